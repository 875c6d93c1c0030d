#pragma once
// The rewrites that simplify() repeats until none of them finds anything, and what they share. Each
// keeps the model's function and returns how many places it changed. The graph must have inferred
// shapes.
//
// Of a chain that becomes one node the last value survives, with its name. A graph's inputs and
// outputs always survive.

#include <optional>
#include <span>
#include <vector>

#include "graph/graph.h"

namespace octet::simplification {

/// Nodes whose outputs are known become constants; the shape input of a Reshape that depends on
/// dynamic dimensions only becomes a constant with 0 and -1 where that means the same.
[[nodiscard]] Result<int> fold_constants(Graph& graph);

/// Identity, Dropout, Cast to the same type, Pad by nothing, and reshapes, transposes, clips and
/// concatenations that change nothing.
[[nodiscard]] Result<int> remove_identities(Graph& graph);

/// BatchNormalization and per-channel Add, Sub, Mul and Div go into the weights and the bias of the
/// Conv, Gemm or MatMul before them.
[[nodiscard]] Result<int> fold_affine(Graph& graph);

/// A BatchNormalization that could go nowhere becomes a depthwise 1x1 Conv, or Mul and Add where
/// there are no spatial dimensions.
[[nodiscard]] Result<int> fold_lone_batch_norm(Graph& graph);

/// Padding by zeros goes into the Conv or AveragePool after it.
[[nodiscard]] Result<int> fold_pad(Graph& graph);

/// Chains of Relu and Clip become one; a Clip from 0 upward becomes a Relu.
[[nodiscard]] Result<int> fold_activations(Graph& graph);

/// Consecutive Transposes, and a Reshape of what was only reshaped, become one.
[[nodiscard]] Result<int> fold_reshapes(Graph& graph);

/// Max and Min with a constant scalar become Clip.
[[nodiscard]] Result<int> fold_min_max(Graph& graph);

/// Sum becomes a chain of Add, in the order of its inputs; that of one input disappears.
[[nodiscard]] Result<int> split_sums(Graph& graph);

/// Powers of 2, 1, 0.5 and -1 become Mul, nothing, Sqrt and Reciprocal.
[[nodiscard]] Result<int> fold_powers(Graph& graph);

/// What exporters make of Gelu (erf and tanh form), HardSwish, HardSigmoid, Swish and Mish.
[[nodiscard]] Result<int> fuse_gates(Graph& graph);

/// What exporters make of LayerNormalization, and constants that scale and shift one.
[[nodiscard]] Result<int> fuse_layer_norm(Graph& graph);

/// Exp divided by its sum.
[[nodiscard]] Result<int> fuse_softmax(Graph& graph);

/// The mean over all spatial axes of an image becomes GlobalAveragePool.
[[nodiscard]] Result<int> fuse_global_pool(Graph& graph);

/// Moves Transposes from channels-first to channels-last behind what does not care for the order of
/// axes, where they meet their inverse; a Transpose that only moves extents of 1 becomes a Reshape.
[[nodiscard]] Result<int> push_transposes(Graph& graph);

/// y = scale[c] * x + offset[c] along one axis.
struct ChannelAffine {
  std::vector<double> scale;
  std::vector<double> offset;
};

/// The transform that a BatchNormalization in inference mode applies, from constant f32 parameters
/// of `channels` elements; nullopt when they are not that. Fails, naming node and channel, where a
/// variance is negative, or 0 without an epsilon, or the transform does not fit f32: the model
/// would compute NaN or infinity.
[[nodiscard]] Result<std::optional<ChannelAffine>> batch_norm_affine(const Graph& graph,
                                                                     const Node& node,
                                                                     std::int64_t channels);

/// Records beta and |gamma| of a BatchNormalization as the moments of `output`.
void set_batch_norm_moments(Graph& graph, const Node& batch_norm, ValueId output);

/// Makes the readers of a node that passes on its input `slot` read that input itself, and removes
/// the node. False, with nothing changed, when input and output must both stay.
[[nodiscard]] bool bypass(Graph& graph, NodeId id, std::size_t slot = 0);

/// The node that makes `id`, provided that exactly one input of one node reads it and that it is no
/// graph output; else NodeId::none.
[[nodiscard]] NodeId sole_producer(const Graph& graph, ValueId id);

/// Replaces the constant that input `slot` of a node reads; other readers keep the old one.
void replace_constant(Graph& graph, NodeId node, std::size_t slot, Tensor tensor);

/// Sets input `slot`, extending the list with absent inputs.
void set_input(Node& node, std::size_t slot, ValueId value);

/// The f32 constant of an input, or nullptr.
[[nodiscard]] const Tensor* f32_constant(const Graph& graph, const Node& node, std::size_t slot);

/// f32 from double; nullopt when an element does not fit.
[[nodiscard]] std::optional<Tensor> to_f32_tensor(std::span<const double> values, Shape shape);

}  // namespace octet::simplification

#pragma once
// What a node must look like to run in integers, operator by operator.

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "passes/target.h"

namespace octet {

/// How the target takes the operator, or nullptr when it stays float there.
[[nodiscard]] const IntegerOp* find_integer_op(const TargetProfile& target, const Node& node);

/// Positions of the inputs that carry values (not weights, shapes or bounds).
[[nodiscard]] std::vector<int> data_inputs(const Graph& graph, const Node& node);

/// How a node takes part that the target has as `kind`: a MatMul whose weights are not constant is
/// a product of activations.
[[nodiscard]] IntegerKind refined_kind(const Graph& graph, const Node& node, IntegerKind kind);

/// Whether the node looks rows up in a constant table of at least min_table_bytes: its codes can be
/// stored and looked up in the place of its floats, whoever reads the result.
[[nodiscard]] bool looks_up_table(const Graph& graph, const Node& node);
inline constexpr std::size_t min_table_bytes = 1024;

/// The input of an Add that holds one constant for each of `channels` columns of the other input
/// and changes its shape in nothing; -1 when it is no such Add.
[[nodiscard]] int bias_input(const Graph& graph, const Node& add, std::int64_t channels);

/// Why this node cannot run in integers although the target has the operator; "" when it can.
[[nodiscard]] std::string float_reason(const Graph& graph, const Node& node,
                                       const TargetProfile& target);

/// Magnitude from which a constant is what something is masked with (-1e4, -1e9, -inf): a step for
/// it is larger than all that is not masked.
inline constexpr float mask_limit = 1e4F;

/// By value slot: values that hold such a constant here and there, as what masks are made of and
/// what they are added to. Whatever computes something else of them (Softmax, a convolution) ends
/// that.
[[nodiscard]] std::vector<bool> mask_values(const Graph& graph, const std::vector<NodeId>& order);

/// Axis of a Conv, Gemm or MatMul weight that counts output channels.
[[nodiscard]] int output_channel_axis(const Node& node);

/// Bounds of a Relu, or of a Clip whose bounds are constant; nullopt for everything else.
struct ActivationBounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};
[[nodiscard]] std::optional<ActivationBounds> activation_limits(const Graph& graph,
                                                                const Node& node);

}  // namespace octet

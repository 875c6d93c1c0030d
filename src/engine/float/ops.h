#pragma once
// What the files of the float engine share: the table of operators and the base of their
// implementations.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/float/buffer_pool.h"
#include "engine/float/float_op.h"

namespace octet::float_engine {

using Inputs = std::span<const Activation* const>;
using Outputs = Result<std::vector<Activation>>;

/// A node to prepare, with the number of leading inputs that its operator cannot do without.
struct OpSource {
  const Graph& graph;
  const Node& node;
  std::size_t required_inputs = 1;

  [[nodiscard]] const Tensor* constant(std::size_t input) const {
    return graph.constant(node.input(input));
  }
};

/// Base of all operators: supplies constants that the caller left out, checks that the required
/// inputs are there, and names the node in errors.
class NodeOp : public FloatOp {
 public:
  explicit NodeOp(const OpSource& source);
  [[nodiscard]] Outputs run(Inputs inputs, State* state) const final;

  /// What computes it, for profiles.
  [[nodiscard]] virtual std::string kernel(const State* state) const;
  /// Multiply-accumulates of a run that gave `output`.
  [[nodiscard]] virtual std::int64_t macs(const Activation& output) const;

 protected:
  /// `inputs` has an entry for every input of the node; absent optional ones are nullptr.
  [[nodiscard]] virtual Outputs compute(Inputs inputs, State* state) const = 0;

 private:
  std::string context_;
  std::size_t required_inputs_;
  std::vector<Activation> constants_;  // by input; empty where not constant
};

/// Which order in memory an operator's function accepts.
enum class InputOrder {
  plain,  ///< channels-last inputs are converted first
  any,
};
using Compute = std::function<Outputs(Inputs)>;
using MadeOp = Result<std::unique_ptr<NodeOp>>;

/// An operator without state, as a function of its inputs.
[[nodiscard]] MadeOp make_function(const OpSource& source, InputOrder order, Compute compute);

struct OpEntry {
  std::string_view op;
  std::size_t required_inputs = 1;
  std::size_t max_outputs = 1;
  MadeOp (*make)(const OpSource& source) = nullptr;
};

[[nodiscard]] std::span<const OpEntry> elementwise_entries();
[[nodiscard]] std::span<const OpEntry> shape_entries();
[[nodiscard]] std::span<const OpEntry> movement_entries();
[[nodiscard]] std::span<const OpEntry> convolution_entries();
[[nodiscard]] std::span<const OpEntry> gemm_entries();
[[nodiscard]] std::span<const OpEntry> pool_entries();
[[nodiscard]] std::span<const OpEntry> reduction_entries();
[[nodiscard]] std::span<const OpEntry> quantize_entries();
[[nodiscard]] std::span<const OpEntry> unary_entries();
[[nodiscard]] std::span<const OpEntry> comparison_entries();
[[nodiscard]] std::span<const OpEntry> cast_entries();
[[nodiscard]] std::span<const OpEntry> softmax_entries();
[[nodiscard]] std::span<const OpEntry> normalization_entries();
[[nodiscard]] std::span<const OpEntry> selection_entries();
[[nodiscard]] std::span<const OpEntry> einsum_entries();
[[nodiscard]] std::span<const OpEntry> recurrent_entries();
[[nodiscard]] std::span<const OpEntry> transposed_convolution_entries();
[[nodiscard]] std::span<const OpEntry> resize_entries();
[[nodiscard]] std::span<const OpEntry> layout_entries();
[[nodiscard]] std::span<const OpEntry> index_entries();
[[nodiscard]] std::span<const OpEntry> scatter_entries();
[[nodiscard]] std::span<const OpEntry> integer_entries();

/// What a convolution or a matrix product does to its result before it is stored.
struct Fusion {
  enum class Kind { none, relu, clip };
  Kind kind = Kind::none;
  float low = 0;
  float high = 0;
};

/// The operator with `fusion` applied to its output; only for Conv and Gemm.
[[nodiscard]] MadeOp make_conv(const OpSource& source, const Fusion& fusion);
[[nodiscard]] MadeOp make_gemm(const OpSource& source, const Fusion& fusion);

/// Conv of any number of spatial dimensions on plain tensors.
[[nodiscard]] Outputs convolve_columns(const Node& node, const Tensor& x, const Tensor& weight,
                                       const Tensor* bias, const Fusion& fusion);

/// Prepares a node like make_float_op, optionally with `fusion` (Conv and Gemm only).
[[nodiscard]] MadeOp make_node_op(const Graph& graph, NodeId node, const Fusion& fusion = {});

/// A Relu, or a Clip with constant bounds, as a fusion; nullopt for other nodes.
[[nodiscard]] std::optional<Fusion> fusion_of(const Graph& graph, const Node& node);

/// Result of an operator with one output.
[[nodiscard]] inline Outputs one_output(Tensor tensor, bool channels_last = false) {
  std::vector<Activation> outputs;
  outputs.push_back({std::move(tensor), channels_last});
  return outputs;
}

/// Bytes of one element; fails for types that cannot be moved element by element.
[[nodiscard]] Result<std::size_t> element_bytes(DType dtype);

/// Copies into dense `out` of `shape` the elements of `in` that lie `steps` apart (in elements,
/// possibly negative or 0), beginning at `in`; `width` is an element's bytes.
void copy_strided(const std::byte* in, const std::vector<std::int64_t>& steps, std::byte* out,
                  const Shape& shape, std::size_t width);

/// Fails unless the tensor is f32.
[[nodiscard]] Status require_f32(const Tensor& tensor, std::string_view what);

/// The integers of a 1-D (or scalar) input.
[[nodiscard]] Result<std::vector<std::int64_t>> integer_input(const Activation& input,
                                                              std::string_view what);

/// Shape in memory order: [N,H,W,C] when channels-last.
[[nodiscard]] Shape memory_shape(const Activation& activation);
/// Axis in memory order of a logical axis.
[[nodiscard]] inline int memory_axis(int axis, bool channels_last) {
  constexpr int order[] = {0, 3, 1, 2};
  return channels_last ? order[axis] : axis;
}

/// out[c * rows + r] = in[r * columns + c].
void transpose_matrix(const float* in, float* out, std::int64_t rows, std::int64_t columns);

}  // namespace octet::float_engine

#pragma once
// Steps: what a lowered program consists of. Internal to the integer engine.
//
// A buffer is a place for one form of a value: its codes (in the arena) or its floats (a tensor).
// Codes of rank-4 values are stored channels-last, all others row-major.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/float/float_op.h"
#include "engine/integer/placement.h"
#include "kernels/conv.h"
#include "kernels/elementwise.h"

namespace octet::integer {

struct Buffer {
  ValueId value = ValueId::none;
  bool coded = false;
  bool image = false;          ///< a [N,C,L] value held as [N,C,1,L], so that it is channels-last
  kernels::CodeParams params;  ///< of codes
  std::vector<std::uint8_t> constant_codes;  ///< in storage order; not empty: constant codes
  std::optional<Tensor> constant;            ///< a float constant
  [[nodiscard]] bool is_constant() const { return constant || !constant_codes.empty(); }
};

/// Shapes of all buffers for one set of input shapes; empty vector elements are never read.
using BufferShapes = std::vector<Shape>;

/// What a running step sees; indexed by buffer.
struct RunContext {
  std::vector<std::uint8_t*> codes;
  std::vector<Activation> floats;
  std::byte* scratch = nullptr;
};

/// A step fixed to shapes and a number of threads.
struct BoundStep {
  std::function<Status(RunContext&)> run;
  std::size_t scratch_bytes = 0;
  std::int64_t macs = 0;
};

struct Step {
  Step(NodeId node_id, std::vector<int> input_buffers, std::vector<int> output_buffers)
      : node(node_id), inputs(std::move(input_buffers)), outputs(std::move(output_buffers)) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;

  /// Errors do not name the node.
  [[nodiscard]] virtual Result<BoundStep> bind(const BufferShapes& shapes, int threads) const = 0;
  [[nodiscard]] virtual std::string kernel() const = 0;

  NodeId node;               ///< the node it belongs to, for errors and profiles
  std::vector<int> inputs;   ///< buffers; -1 for an absent optional input
  std::vector<int> outputs;  ///< buffers
};

using StepPointer = std::unique_ptr<Step>;

[[nodiscard]] StepPointer make_accumulate_step(const Graph& graph, NodeId node,
                                               const AccumulateLayer& layer,
                                               const NodePlacement& placement, const Buffer& input,
                                               const Buffer& output, int input_buffer,
                                               int output_buffer, kernels::Isa isa);
[[nodiscard]] StepPointer make_binary_step(NodeId node, const kernels::BinaryParams& params,
                                           std::vector<int> inputs, int output);
[[nodiscard]] StepPointer make_pool_step(const Graph& graph, NodeId node,
                                         const kernels::CodeParams& input_params,
                                         const kernels::CodeParams& output_params, int input,
                                         int output);
[[nodiscard]] StepPointer make_lookup_step(NodeId node, const kernels::LookupTable& table,
                                           int input, int output);
[[nodiscard]] StepPointer make_quantize_step(NodeId node, const kernels::CodeParams& params,
                                             int input, int output);
[[nodiscard]] StepPointer make_dequantize_step(NodeId node, const kernels::CodeParams& params,
                                               int input, int output);
[[nodiscard]] StepPointer make_fake_quantize_step(NodeId node, const Quantization& quantization,
                                                  int input, int output);
/// Reshape, Flatten, Squeeze, Unsqueeze, Identity: the same elements in logical order.
[[nodiscard]] StepPointer make_reshape_step(NodeId node, int input, int output);
/// Transpose, Slice, Pad of `graph`'s node; `fill` is the code of padding.
[[nodiscard]] Result<StepPointer> make_move_step(const Graph& graph, NodeId node, std::uint8_t fill,
                                                 int input, int output);
[[nodiscard]] StepPointer make_concat_step(NodeId node, std::int64_t axis, std::vector<int> inputs,
                                           int output);
[[nodiscard]] Result<StepPointer> make_float_step(const Graph& graph, NodeId node,
                                                  std::vector<int> inputs,
                                                  std::vector<int> outputs);

/// Table of a unary node between two quantizations: the float op run on all 256 inputs.
[[nodiscard]] Result<kernels::LookupTable> unary_table(const Graph& graph, NodeId node,
                                                       const kernels::CodeParams& input,
                                                       const kernels::CodeParams& output);
/// Table that takes codes of one quantization to those of another.
[[nodiscard]] kernels::LookupTable requantize_table(const kernels::CodeParams& input,
                                                    const kernels::CodeParams& output);

[[nodiscard]] kernels::CodeParams code_params(const Quantization& quantization);

/// Extents in storage order, and for each logical dimension its stride in storage.
[[nodiscard]] std::vector<std::int64_t> storage_strides(const Shape& logical);
/// Logical dimensions, outermost in storage first.
[[nodiscard]] std::vector<std::size_t> storage_order(const Shape& logical);

/// What a nanosecond of one core does with the fast kernels: measured on a 3.7 GHz Zen 4, rounded.
/// They only decide about splitting; elsewhere, a slower core is split later than would be best.
namespace per_nanosecond {
inline constexpr double dense_macs = 200;
inline constexpr double depthwise_macs = 40;  ///< and other grouped convolutions
inline constexpr double binary_elements = 6;
inline constexpr double pool_taps = 7;
inline constexpr double lookups = 2;
}  // namespace per_nanosecond

/// Calls fn(chunk, first, last) for `rows` split into at most `threads` chunks, concurrently where
/// that is worth it; `nanoseconds` estimates how long one thread takes for all rows. fn must give
/// the same results however the rows are split.
void split_rows(std::int64_t rows, int threads, double nanoseconds,
                const std::function<void(int, std::int64_t, std::int64_t)>& fn);

}  // namespace octet::integer

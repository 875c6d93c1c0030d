#pragma once
// Steps: what a lowered program consists of. Internal to the integer engine.
//
// A buffer is a place for one form of a value: its codes (in the arena), or a tensor of floats or
// other numbers, or codes that are quantized at run time (a u8 tensor). Codes of rank-4 values are
// stored channels-last where their buffer says so, all others row-major.

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arithmetic/litert_softmax.h"
#include "core/function_ref.h"
#include "engine/float/float_op.h"
#include "engine/integer/placement.h"
#include "kernels/conv.h"
#include "kernels/elementwise.h"
#include "kernels/litert.h"
#include "kernels/product.h"

namespace octet::integer {

struct Buffer {
  ValueId value = ValueId::none;
  bool coded = false;
  bool channels_last = false;  ///< of codes of rank 4
  bool image = false;          ///< a [N,C,L] value held as [N,C,1,L], so that it is channels-last
  kernels::CodeParams params;  ///< of codes
  std::vector<std::uint8_t> constant_codes;  ///< in storage order; not empty: constant codes
  std::optional<Tensor> constant;            ///< a constant tensor
  [[nodiscard]] bool is_constant() const { return constant || !constant_codes.empty(); }
};

/// A buffer's extents for one set of input shapes and how codes lie in memory.
struct StoredShape {
  Shape shape;
  bool channels_last = false;  ///< only of rank 4
};
/// By buffer; those of unknown shape are never read.
using BufferShapes = std::vector<StoredShape>;

/// What a running step sees; indexed by buffer.
struct RunContext {
  std::vector<std::uint8_t*> codes;
  std::vector<Activation> floats;
  std::vector<kernels::InputParams> input_params;  ///< of codes made at run time
  std::byte* scratch = nullptr;
};

/// A step fixed to shapes and a number of threads.
struct BoundStep {
  std::function<Status(RunContext&)> run;
  std::size_t scratch_bytes = 0;
  std::int64_t macs = 0;
  double nanoseconds = 0;  ///< about what it gives to split_rows, 0 where that is known only later
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
  /// The step as a function of one code, given those that its inputs are of it; nullopt where it
  /// does not work code by code.
  [[nodiscard]] virtual std::optional<kernels::LookupTable> table(
      std::span<const kernels::LookupTable* const> input_tables) const {
    (void)input_tables;
    return std::nullopt;
  }
  /// Bytes of weights and biases, where the step has its own.
  [[nodiscard]] virtual std::int64_t constant_bytes() const { return 0; }
  /// Whether it enters OpenMP's regions by itself, which it must not do inside those of a Team.
  [[nodiscard]] virtual bool brings_threads() const { return false; }

  bool only_for_taps = false;  ///< nothing else reads what it makes
  NodeId node;                 ///< the node it belongs to, for errors and profiles
  std::vector<int> inputs;     ///< buffers; -1 for an absent optional input
  std::vector<int> outputs;    ///< buffers; -1 for an output that nobody reads
};

using StepPointer = std::unique_ptr<Step>;

/// Conv, ConvTranspose, Gemm, MatMul with constant weights; `input` and `output` are the buffers'
/// params (of codes). Shapes of dynamic inputs need not be known before the step runs.
[[nodiscard]] Result<StepPointer> make_accumulate_step(
    const Graph& graph, NodeId node, const AccumulateLayer& layer, const NodePlacement& placement,
    const kernels::CodeParams& input, const kernels::CodeParams& output, int input_buffer,
    int output_buffer, kernels::Isa isa);
/// How an accumulate step wants its input in memory.
enum class InputOrder : std::uint8_t {
  plain,          ///< a matrix
  channels_last,  ///< an image
  image,          ///< [N,C,L] as the image [N,C,1,L]
};
/// The same values, or [N,C,L] as [N,C,1,L], so ordered.
[[nodiscard]] Result<Activation> in_input_order(const Activation& values, InputOrder order);
[[nodiscard]] InputOrder accumulate_order(const Node& node, const AccumulateLayer& layer);

/// MatMul of two coded values; gives codes or floats.
[[nodiscard]] StepPointer make_product_step(NodeId node, const kernels::ProductParams& params,
                                            std::vector<int> inputs, int output, kernels::Isa isa);
/// One whose accumulators become codes by `scale`, which has one channel; params.output is
/// accumulators.
[[nodiscard]] StepPointer make_product_step(NodeId node, const kernels::ProductParams& params,
                                            kernels::litert::Requantization scale,
                                            std::vector<int> inputs, int output, kernels::Isa isa);
[[nodiscard]] StepPointer make_binary_step(NodeId node, const kernels::BinaryParams& params,
                                           std::vector<int> inputs, int output);
/// AveragePool and MaxPool; codes are channels-last.
[[nodiscard]] StepPointer make_pool_step(const Graph& graph, NodeId node,
                                         const kernels::CodeParams& input_params,
                                         const kernels::CodeParams& output_params, int input,
                                         int output);
/// A reduction over neighbouring `axes` of the logical shape, for any order in memory in which they
/// are still neighbours (see axes_adjoin).
enum class Reduce : std::uint8_t { maximum, mean, sum };
[[nodiscard]] StepPointer make_reduce_step(NodeId node, Reduce kind, std::vector<int> axes,
                                           const kernels::CodeParams& input_params,
                                           const kernels::CodeParams& output_params, int input,
                                           int output);
[[nodiscard]] bool axes_adjoin(const std::vector<int>& axes, bool channels_last);
/// Softmax or LogSoftmax along `axis` of the logical shape, by rules tflite and xnnpack.
[[nodiscard]] StepPointer make_softmax_step(NodeId node, litert::SoftmaxKind kind, int axis,
                                            const kernels::CodeParams& params, int input,
                                            int output);
/// Resize to linear interpolation of an image's height and width, by rules tflite and xnnpack;
/// codes are channels-last and keep their `params`.
[[nodiscard]] StepPointer make_resample_step(const Graph& graph, NodeId node,
                                             const kernels::CodeParams& params, int input,
                                             int output);
[[nodiscard]] StepPointer make_lookup_step(NodeId node, const kernels::LookupTable& table,
                                           int input, int output);
[[nodiscard]] StepPointer make_quantize_step(NodeId node, const kernels::CodeParams& params,
                                             int input, int output);
[[nodiscard]] StepPointer make_dequantize_step(NodeId node, const kernels::CodeParams& params,
                                               int input, int output);
/// An image of codes (wide_values.h) under other params.
[[nodiscard]] StepPointer make_convert_image_step(NodeId node, const Quantization& from,
                                                  const Quantization& to, int input, int output);
[[nodiscard]] StepPointer make_fake_quantize_step(NodeId node, const Quantization& quantization,
                                                  Rule rule, int input, int output);
/// ONNX DynamicQuantizeLinear into a u8 tensor and RunContext::input_params.
[[nodiscard]] StepPointer make_dynamic_quantize_step(NodeId node, InputOrder order, int input,
                                                     int output);
/// The floats that dynamic quantization leaves of a value.
[[nodiscard]] StepPointer make_dynamic_fake_quantize_step(NodeId node, int input, int output);
/// The same elements in logical order under another shape or in another order in memory.
[[nodiscard]] StepPointer make_reshape_step(NodeId node, int input, int output);
/// Transpose, Slice, Pad of `graph`'s node, on codes under `params`.
[[nodiscard]] Result<StepPointer> make_move_step(const Graph& graph, NodeId node,
                                                 const kernels::CodeParams& params, int input,
                                                 int output);
[[nodiscard]] StepPointer make_concat_step(NodeId node, std::int64_t axis, std::vector<int> inputs,
                                           int output);
[[nodiscard]] StepPointer make_split_step(NodeId node, std::int64_t axis, int input,
                                          std::vector<int> outputs);
/// Gather along `axis` of plain codes, with integers in buffer `indices`.
[[nodiscard]] StepPointer make_gather_step(NodeId node, std::int64_t axis, int input, int indices,
                                           int output);
/// Any other node whose output elements are elements of input 0; `inputs` are the codes and
/// buffers of the other inputs.
[[nodiscard]] Result<StepPointer> make_map_step(const Graph& graph, NodeId node,
                                                std::vector<int> inputs, int output);
[[nodiscard]] Result<StepPointer> make_float_step(const Graph& graph, NodeId node,
                                                  std::vector<int> inputs,
                                                  std::vector<int> outputs);
/// The node by another operator; `name` is the kernel's.
[[nodiscard]] StepPointer make_operator_step(NodeId node, std::string name,
                                             std::unique_ptr<FloatOp> op, std::vector<int> inputs,
                                             std::vector<int> outputs);

/// Table of a node that is a function of its input number `position` alone, all others being
/// constant, between two quantizations: the float op run on all 256 inputs.
[[nodiscard]] Result<kernels::LookupTable> unary_table(const Graph& graph, NodeId node,
                                                       std::size_t position,
                                                       const kernels::CodeParams& input,
                                                       const kernels::CodeParams& output);
/// Table that takes codes of one quantization to those of another.
[[nodiscard]] kernels::LookupTable requantize_table(const kernels::CodeParams& input,
                                                    const kernels::CodeParams& output);

[[nodiscard]] kernels::CodeParams code_params(const Quantization& quantization, Rule rule);

/// For each logical dimension its stride in storage.
[[nodiscard]] std::vector<std::int64_t> storage_strides(const StoredShape& stored);
/// Logical dimensions, outermost in storage first.
[[nodiscard]] std::vector<std::size_t> storage_order(const StoredShape& stored);
/// Whether storage order and row-major order are the same bytes.
[[nodiscard]] bool is_plain(const StoredShape& stored);

/// By value slot: whether codes of a rank-4 value are best kept channels-last, because it is an
/// image that a convolution or pooling reads or makes, at once or through elementwise operators.
[[nodiscard]] std::vector<bool> channels_last_values(const Graph& graph);

/// What a nanosecond of one core does, rounded. These only decide about splitting; elsewhere, a
/// slower core is split later than would be best. Where an instruction set matters, in the order of
/// kernels::all_isas: AVX2 measured at 3.0 GHz (Zen 3), the VNNIs at 3.7 (Zen 4).
namespace per_nanosecond {
using ByIsa = std::array<double, kernels::all_isas.size()>;
inline constexpr ByIsa dense_macs{1, 60, 130, 200, 1000};
inline constexpr ByIsa depthwise_macs{0.5, 12, 12, 40, 40};  ///< and other grouped convolutions
inline constexpr ByIsa product_macs{1, 40, 40, 100, 100};
constexpr double of(const ByIsa& rates, kernels::Isa isa) {
  return rates[static_cast<std::size_t>(isa)];
}
inline constexpr double weights = 30;        ///< that come from beyond the second-level cache
inline constexpr double layer_outputs = 20;  ///< of a layer with a dense product
inline constexpr double binary_elements = 6;
inline constexpr double quantized = 3;
inline constexpr double pool_taps = 40;
inline constexpr double lookups = 10;
inline constexpr double softmax_codes = 0.5;
inline constexpr double resampled = 0.3;
}  // namespace per_nanosecond

/// Whether split_rows would use more than one of `threads` threads.
[[nodiscard]] bool pays_to_split(double nanoseconds, int threads);

/// Calls fn(chunk, first, last) for `rows` split into at most `threads` chunks, concurrently where
/// that is worth it; `nanoseconds` estimates how long one thread takes for all rows. fn must give
/// the same results however the rows are split.
void split_rows(std::int64_t rows, int threads, double nanoseconds,
                FunctionRef<void(int, std::int64_t, std::int64_t)> fn);

/// The same with calls of at most `block` (at least 1) rows, one after the other in each chunk.
void split_blocks(std::int64_t rows, std::int64_t block, int threads, double nanoseconds,
                  FunctionRef<void(int, std::int64_t, std::int64_t)> fn);

}  // namespace octet::integer

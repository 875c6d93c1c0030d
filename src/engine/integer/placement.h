#pragma once
// Which nodes of a quantized graph run in integers, and as what: a reading of the plan alone, with
// no arithmetic. The integer engine and the simulation both follow it.

#include <optional>
#include <string>
#include <vector>

#include "arithmetic/hybrid.h"
#include "arithmetic/litert.h"
#include "core/result.h"
#include "graph/plan.h"

namespace octet {

enum class Role : std::uint8_t {
  floating,    ///< a float op on (fake-quantized) float values; see NodePlacement::reason
  absorbed,    ///< a Relu, Clip or bias Add that its producer computes
  accumulate,  ///< Conv, ConvTranspose, Gemm, MatMul with constant weights: int32 accumulator
  product,     ///< MatMul of two quantized values: int32 accumulator
  binary,      ///< Add, Sub, Mul, Div of two quantized values; PRelu by rules tflite and xnnpack
  sum,         ///< Add of a quantized value and a real one, by rule openvino
  average,     ///< AveragePool, GlobalAveragePool, ReduceMean: int32 sum, then requantize; by rules
               ///< tflite and xnnpack ReduceSum too
  maximum,     ///< MaxPool, GlobalMaxPool, ReduceMax on codes
  lookup,      ///< a function of one value: 256-entry table
  move,        ///< Reshape, Transpose, Slice, Pad, Gather, Tile, Resize to nearest, ...: bytes move
  softmax,     ///< Softmax, LogSoftmax on codes, by rules tflite and xnnpack
  resample,    ///< Resize to linear interpolation of images, by rules tflite and xnnpack
  split,       ///< Split: bytes move to several outputs
  join,        ///< Concat: bytes move
  wide,        ///< what LiteRT has for 16-bit codes and does not accumulate, on images (wide_ops.h)
};

/// How the input of an accumulate node becomes codes.
enum class InputForm : std::uint8_t {
  coded,    ///< it is quantized by the plan
  dynamic,  ///< at run time: ONNX DynamicQuantizeLinear over the whole tensor; by rules tflite and
            ///< xnnpack a row or an image at a time (NodePlacement::hybrid)
  wide,     ///< it has codes of 16 bits, by rules tflite and xnnpack (wide_values.h)
};

/// What an accumulate or product node, or a Gather from a quantized table, gives.
enum class OutputForm : std::uint8_t {
  codes,   ///< requantized to the plan's params of the output
  floats,  ///< f32: accumulator * scales + bias; quantized afterwards where the plan says so
  wide,    ///< of InputForm::wide: 16-bit codes, held as the f32 they stand for
};

struct NodePlacement {
  Role role = Role::floating;
  InputForm input = InputForm::coded;
  OutputForm form = OutputForm::codes;
  std::string reason;  ///< why a floating node with quantized neighbours is not integer, or empty
  /// What the node computes: its output, or that of the activation or Add fused into it.
  ValueId output = ValueId::none;
  /// Signed codes that limit the output: its code range, narrowed by the fused activation.
  std::int32_t low = 0;
  std::int32_t high = 0;
  /// How an accumulate or product node makes codes by rules tflite and xnnpack; by rule onnx, and
  /// where they have no say, Scaling::floating.
  litert::LayerForm scaling;
  /// How a dynamic accumulate node computes by rules tflite and xnnpack.
  litert::HybridForm hybrid;
  /// How an accumulate or product node of InputForm::wide makes codes.
  litert::WideForm wide;
  /// Rules tflite and xnnpack: what follows is one operator with this node there. A Mul squares the
  /// difference that a binary node gives; a Reciprocal follows the root that a lookup gives.
  bool squares = false;
  bool inverts = false;
  /// Where the constant of a fused bias Add is read; only of OutputForm::floats.
  std::optional<Use> bias;
};

/// Whether values so quantized are kept as 8-bit codes: at most 8 bits, one scale.
[[nodiscard]] bool is_coded(const Quantization* quantization);

/// One entry for each node slot; shapes must have been inferred. Fails on a cycle.
[[nodiscard]] Result<std::vector<NodePlacement>> place_nodes(const QuantizedGraph& model);

/// What an accumulate node multiplies with, as the plan states it.
struct AccumulateLayer {
  Tensor codes;         ///< i8, in the shape of the graph's constant
  int output_axis = 0;  ///< axis of `codes` that counts output channels (of a group)
  std::int64_t output_channels = 0;
  std::vector<float> weight_scale;  ///< [output_channels]
  /// [output_channels], of rules tflite and xnnpack; empty where all are 0.
  std::vector<std::int32_t> weight_zero_point;
  [[nodiscard]] std::int32_t zero_point(std::size_t channel) const {
    return weight_zero_point.empty() ? 0 : weight_zero_point[channel];
  }
  std::vector<std::int32_t> bias;       ///< [output_channels]; zeros when there is none in int32
  std::vector<std::int64_t> wide_bias;  ///< [output_channels], of InputForm::wide alone
  std::vector<float> float_bias;        ///< [output_channels]; empty when there is none in f32
};

/// Reads it for `placement.input` and with `placement.bias`; the error is the reason why the node
/// cannot run in integers (its node is not named). A bias that is an int32 in units of input scale
/// * weight scale is added to the accumulator, any other constant one in f32; by rules tflite and
/// xnnpack an int32 is added to the accumulator whatever its units.
[[nodiscard]] Result<AccumulateLayer> accumulate_layer(const QuantizedGraph& model, NodeId node,
                                                       const NodePlacement& placement);

/// The largest sum, over the output channels, of |w| * 255: what one of the two bytes of 16-bit
/// codes can add up to.
[[nodiscard]] std::int64_t wide_sum_bound(const AccumulateLayer& layer);

/// Multiplier of each output channel by rule onnx, and rule xnnpack where it has the same formula.
[[nodiscard]] std::vector<float> layer_multipliers(const AccumulateLayer& layer, float input_scale,
                                                   float output_scale);

/// Axes that a reduction or global pooling of a value of this rank reduces, ascending; nullopt when
/// they are not known or none.
[[nodiscard]] std::optional<std::vector<int>> constant_axes(const Graph& graph, const Node& node,
                                                            int rank);
/// Axes that a ReduceMean, ReduceMax, GlobalAveragePool or GlobalMaxPool of a value of this rank
/// reduces, ascending; nullopt when they are not known, or none, or not next to each other.
[[nodiscard]] std::optional<std::vector<int>> reduced_axes(const Graph& graph, const Node& node,
                                                           int rank);

}  // namespace octet

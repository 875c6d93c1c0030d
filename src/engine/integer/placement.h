#pragma once
// Which nodes of a quantized graph run in integers, and as what: a reading of the plan alone, with
// no arithmetic. The integer engine and the simulation both follow it.

#include <string>
#include <vector>

#include "core/result.h"
#include "graph/plan.h"

namespace octet {

enum class Role : std::uint8_t {
  floating,    ///< a float op on (fake-quantized) float values; see NodePlacement::reason
  absorbed,    ///< a Relu or Clip that its producer computes by narrowing its output codes
  accumulate,  ///< Conv, Gemm, MatMul with constant weights: int32 accumulator, then requantize
  binary,      ///< Add, Sub, Mul of two quantized values
  average,     ///< AveragePool, GlobalAveragePool: int32 sum, then requantize
  maximum,     ///< MaxPool on codes
  lookup,      ///< a function of one value: 256-entry table
  move,        ///< Reshape, Transpose, Slice, Pad, ...: bytes move
  join,        ///< Concat: bytes move
};

struct NodePlacement {
  Role role = Role::floating;
  std::string reason;  ///< why a floating node with quantized neighbours is not integer, or empty
  /// What the node computes: its output, or that of the activation fused into it.
  ValueId output = ValueId::none;
  /// Signed codes that limit the output: its code range, narrowed by the fused activation.
  std::int32_t low = 0;
  std::int32_t high = 0;
};

/// Whether values so quantized are kept as 8-bit codes: at most 8 bits, one scale.
[[nodiscard]] bool is_coded(const Quantization* quantization);

/// One entry for each node slot; shapes must have been inferred. Fails on a cycle and on a rule
/// other than onnx.
[[nodiscard]] Result<std::vector<NodePlacement>> place_nodes(const QuantizedGraph& model);

/// What an accumulate node multiplies with, as the plan states it.
struct AccumulateLayer {
  Tensor codes;         ///< i8, in the shape of the graph's constant
  int output_axis = 0;  ///< axis of `codes` that counts output channels
  std::int64_t output_channels = 0;
  std::vector<float> weight_scale;  ///< [output_channels]
  std::vector<std::int32_t> bias;   ///< [output_channels]; zeros when the node has none
};

/// Reads it; the error is the reason why the node cannot run in integers (its node is not named).
[[nodiscard]] Result<AccumulateLayer> accumulate_layer(const QuantizedGraph& model, NodeId node);

/// Multiplier of each output channel by rule onnx.
[[nodiscard]] std::vector<float> layer_multipliers(const AccumulateLayer& layer, float input_scale,
                                                   float output_scale);

}  // namespace octet

#pragma once
// Operators whose integer form is more than the float operator between dequantize and quantize.
// Internal to the simulation.

#include "engine/simulation/simulated_layer.h"

namespace octet::simulation {

/// A coded operand.
struct Operand {
  CodedActivation coded;
  const Quantization* quantization = nullptr;
};

/// AveragePool, GlobalAveragePool and ReduceMean: int64 sums of (q - zero_point), then rule onnx.
[[nodiscard]] Result<CodedActivation> average_codes(const Graph& graph, const Node& node,
                                                    const Operand& input,
                                                    const Quantization& output,
                                                    const NodePlacement& placement);

/// Add with numpy broadcasting, by rule onnx.
[[nodiscard]] Result<CodedActivation> add_codes(const Operand& a, const Operand& b,
                                                const Quantization& output,
                                                const NodePlacement& placement);

/// Sums of MatMul with numpy broadcasting of the leading dimensions.
struct ProductSums {
  Shape shape;
  std::vector<std::int32_t> sums;
};
[[nodiscard]] Result<ProductSums> product_sums(const Operand& a, const Operand& b);

}  // namespace octet::simulation

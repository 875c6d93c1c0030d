#pragma once
// Operators whose integer form is more than the float operator between dequantize and quantize.
// Internal to the simulation.

#include "engine/integer/openvino_placement.h"
#include "engine/simulation/simulated_layer.h"

namespace octet::simulation {

/// A coded operand.
struct Operand {
  CodedActivation coded;
  const Quantization* quantization = nullptr;
};

/// AveragePool, GlobalAveragePool and ReduceMean: int64 sums of (q - zero_point), then the rule.
[[nodiscard]] Result<CodedActivation> average_codes(const Graph& graph, const Node& node,
                                                    const Operand& input,
                                                    const Quantization& output,
                                                    const NodePlacement& placement, Rule rule);

/// Add with numpy broadcasting, by rule onnx.
[[nodiscard]] Result<CodedActivation> add_codes(const Operand& a, const Operand& b,
                                                const Quantization& output,
                                                const NodePlacement& placement);

/// The same by rule openvino.
[[nodiscard]] Result<CodedActivation> add_codes_openvino(const MovedOperand& moved,
                                                         const Operand& a, const Operand& b,
                                                         const Quantization& output,
                                                         const NodePlacement& placement);
/// Role::sum: `values` and codes of one shape; `in_layer` as in make_openvino_sum_step.
[[nodiscard]] Result<CodedActivation> add_reals_openvino(const Activation& values,
                                                         const Operand& kept,
                                                         const Quantization& output,
                                                         const NodePlacement& placement,
                                                         bool in_layer);

/// Exact sums of MatMul with numpy broadcasting of the leading dimensions.
struct ProductSums {
  Shape shape;
  std::vector<std::int64_t> sums;
};
[[nodiscard]] Result<ProductSums> product_sums(const Operand& a, const Operand& b);
/// Of plain i16 codes with zero points of 0.
[[nodiscard]] Result<ProductSums> wide_product_sums(const Tensor& a, const Tensor& b);

}  // namespace octet::simulation

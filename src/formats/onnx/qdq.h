#pragma once
// What the import and the export of Q/DQ nodes share.

#include "formats/codes.h"
#include "graph/plan.h"

namespace octet::onnx {

/// MatMulInteger and ConvInteger on the codes of DynamicQuantizeLinear, with Cast, Mul and Add
/// after them -> Conv, Gemm or MatMul whose input is quantized at run time. What has another shape,
/// or weights with zero points other than 0, stays as it is.
[[nodiscard]] Status absorb_integer_operators(QuantizedGraph& model);

/// DequantizeLinear on what DynamicQuantizeLinear gives, before a Conv, Gemm or MatMul with coded
/// weights -> the same. Needs absorbed constants.
void absorb_dynamic_pairs(QuantizedGraph& model);

/// Of a quantized model: x * Sigmoid(x) -> Swish where nothing between is quantized.
void join_swish(QuantizedGraph& model);

/// Swish -> Sigmoid and Mul: what canonical_opset has of it.
void split_swish(Graph& graph);

}  // namespace octet::onnx

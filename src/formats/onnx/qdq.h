#pragma once
// What the import and the export of Q/DQ nodes share: how codes are stored. Inside octet codes are
// signed; unsigned storage holds code + 2^(bits - 1), zero points alike.

#include "core/tensor.h"
#include "graph/plan.h"

namespace octet::onnx {

/// What unsigned storage adds to a code; 0 for signed types.
[[nodiscard]] std::int32_t storage_offset(DType storage);

/// A type of codes that octet quantizes to: i4, u4, i8, u8, i16, u16, i32.
[[nodiscard]] bool is_code_type(DType dtype);

/// Stored integers -> signed codes of type i8, i16 or i32 (4 bits are unpacked).
[[nodiscard]] Tensor codes_from_storage(const Tensor& stored);

/// Signed codes -> stored integers. Codes must lie in the range of `storage`.
[[nodiscard]] Result<Tensor> codes_to_storage(const Tensor& codes, DType storage);

/// The same numbers in the file: equal parameters in equal storage.
[[nodiscard]] bool same_numbers(const Quantization& a, const Quantization& b);

/// Makes `target` the constant that signed codes stand for, with its place in plan and payloads.
[[nodiscard]] Status set_coded_constant(QuantizedGraph& model, ValueId target, const Tensor& codes,
                                        const Quantization& quantization);

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

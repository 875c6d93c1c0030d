#pragma once
// How files store the codes of quantized tensors. Inside octet codes are signed; unsigned storage
// holds code + 2^(bits - 1), zero points alike.

#include "core/tensor.h"
#include "graph/plan.h"

namespace octet {

/// What unsigned storage adds to a code; 0 for signed types.
[[nodiscard]] std::int32_t storage_offset(DType storage);

/// A type of codes that octet quantizes to: i4, u4, i8, u8, i16, u16, i32.
[[nodiscard]] bool is_code_type(DType dtype);

/// Stored integers -> signed codes of type i8, i16, i32 or i64 (4 bits are unpacked).
[[nodiscard]] Tensor codes_from_storage(const Tensor& stored);

/// Signed codes -> stored integers. Codes must lie in the range of `storage`.
[[nodiscard]] Result<Tensor> codes_to_storage(const Tensor& codes, DType storage);

/// The same numbers in the file: equal parameters in equal storage.
[[nodiscard]] bool same_numbers(const Quantization& a, const Quantization& b);

/// Makes `target` the constant that signed codes stand for, with its place in plan and payloads.
[[nodiscard]] Status set_coded_constant(QuantizedGraph& model, ValueId target, const Tensor& codes,
                                        const Quantization& quantization);

}  // namespace octet

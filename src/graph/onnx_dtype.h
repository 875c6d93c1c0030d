#pragma once
// The numbers that ONNX gives to element types (TensorProto.DataType), as they appear in the
// attributes `to` of Cast and `output_dtype` of QuantizeLinear.

#include <cstdint>

#include "core/dtype.h"

namespace octet {

/// DType::other for types that octet only passes through, DType::undefined for 0 and for numbers
/// that ONNX does not define.
[[nodiscard]] DType dtype_from_onnx(std::int64_t code);

/// 0 for undefined and other.
[[nodiscard]] std::int64_t onnx_code(DType dtype);

}  // namespace octet

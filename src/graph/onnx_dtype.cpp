#include "graph/onnx_dtype.h"

#include <array>
#include <cstddef>

namespace octet {
namespace {

/// Indexed by the ONNX code: UNDEFINED, FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING,
/// BOOL, FLOAT16, DOUBLE, UINT32, UINT64, COMPLEX64, COMPLEX128, BFLOAT16, four kinds of FLOAT8,
/// UINT4, INT4, then newer narrow types.
constexpr std::array codes{
    DType::undefined, DType::f32,   DType::u8,     DType::i8,      DType::u16,  DType::i16,
    DType::i32,       DType::i64,   DType::string, DType::boolean, DType::f16,  DType::f64,
    DType::u32,       DType::u64,   DType::other,  DType::other,   DType::bf16, DType::other,
    DType::other,     DType::other, DType::other,  DType::u4,      DType::i4,   DType::other,
    DType::other,     DType::other, DType::other};

}  // namespace

DType dtype_from_onnx(std::int64_t code) {
  if (code < 0 || code >= static_cast<std::int64_t>(codes.size())) return DType::undefined;
  return codes[static_cast<std::size_t>(code)];
}

std::int64_t onnx_code(DType dtype) {
  if (dtype == DType::other) return 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == dtype) return static_cast<std::int64_t>(i);
  }
  return 0;
}

}  // namespace octet

#include "core/dtype.h"

namespace octet {

std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::undefined: return "undefined";
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::i4: return "i4";
    case DType::u4: return "u4";
    case DType::i8: return "i8";
    case DType::u8: return "u8";
    case DType::i16: return "i16";
    case DType::u16: return "u16";
    case DType::i32: return "i32";
    case DType::u32: return "u32";
    case DType::i64: return "i64";
    case DType::u64: return "u64";
    case DType::boolean: return "bool";
    case DType::string: return "string";
    case DType::other: return "other";
  }
  return "undefined";
}

int bits(DType dtype) {
  switch (dtype) {
    case DType::i4:
    case DType::u4: return 4;
    case DType::i8:
    case DType::u8:
    case DType::boolean: return 8;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16: return 16;
    case DType::f32:
    case DType::i32:
    case DType::u32: return 32;
    case DType::f64:
    case DType::i64:
    case DType::u64: return 64;
    case DType::undefined:
    case DType::string:
    case DType::other: return 0;
  }
  return 0;
}

std::size_t storage_bytes(DType dtype, std::int64_t count) {
  const auto total_bits = static_cast<std::size_t>(count) * static_cast<std::size_t>(bits(dtype));
  return (total_bits + 7) / 8;
}

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

bool is_integer(DType dtype) { return dtype >= DType::i4 && dtype <= DType::u64; }

bool is_signed(DType dtype) {
  switch (dtype) {
    case DType::i4:
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64: return true;
    default: return is_float(dtype);
  }
}

}  // namespace octet

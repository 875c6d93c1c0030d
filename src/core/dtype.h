#pragma once
// Element types of tensors, as the two file formats name them.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace octet {

enum class DType : std::uint8_t {
  undefined,
  f32,
  f64,
  f16,
  bf16,
  i4,
  u4,
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  boolean,
  string,
  other,  ///< a type octet only passes through (float8, complex)
};

/// "f32", "u8", ...
[[nodiscard]] std::string_view name(DType dtype);

/// Bits of one element; 4-bit types are packed two to a byte, low nibble first. 0 for string,
/// undefined and other.
[[nodiscard]] int bits(DType dtype);

/// Bytes that `count` packed elements take.
[[nodiscard]] std::size_t storage_bytes(DType dtype, std::int64_t count);

[[nodiscard]] bool is_float(DType dtype);
[[nodiscard]] bool is_integer(DType dtype);  ///< excludes boolean
[[nodiscard]] bool is_signed(DType dtype);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<std::int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct DTypeOf<std::uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<std::uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<std::uint64_t> {
  static constexpr DType value = DType::u64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

}  // namespace octet

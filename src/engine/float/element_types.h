#pragma once
// From the type of a tensor's elements to a C++ type.

#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "core/result.h"

namespace octet::float_engine {

[[nodiscard]] inline auto unsupported_type(DType dtype) {
  return bad_input("elements of type {} are not supported", name(dtype));
}

/// Calls fn with a value of the element type; fails for types that are not integers.
template <class Fn>
auto with_integer(DType dtype, Fn&& fn) -> decltype(fn(std::int32_t{})) {
  switch (dtype) {
    case DType::i8: return fn(std::int8_t{});
    case DType::u8: return fn(std::uint8_t{});
    case DType::i16: return fn(std::int16_t{});
    case DType::u16: return fn(std::uint16_t{});
    case DType::i32: return fn(std::int32_t{});
    case DType::u32: return fn(std::uint32_t{});
    case DType::i64: return fn(std::int64_t{});
    case DType::u64: return fn(std::uint64_t{});
    default: return unsupported_type(dtype);
  }
}

/// The same for integers, f32 and f64.
template <class Fn>
auto with_number(DType dtype, Fn&& fn) -> decltype(fn(float{})) {
  switch (dtype) {
    case DType::f32: return fn(float{});
    case DType::f64: return fn(double{});
    default: return with_integer(dtype, fn);
  }
}

/// The same with booleans as the bytes that they are stored in; a byte that is not 0 is true.
template <class Fn>
auto with_number_or_bool(DType dtype, Fn&& fn) -> decltype(fn(float{})) {
  if (dtype == DType::boolean) return fn(std::uint8_t{});
  return with_number(dtype, fn);
}

/// An unsigned type of at least 32 bits for arithmetic that wraps like two's complement; small
/// types would promote to a signed int that could overflow. Floating-point types stay.
template <class T>
struct WrappingType {
  using type = T;
};
template <class T>
requires std::is_integral_v<T>
struct WrappingType<T> {
  using type = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
};
template <class T>
using Wrapping = typename WrappingType<T>::type;

template <class T>
[[nodiscard]] T wrapping_add(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
}
template <class T>
[[nodiscard]] T wrapping_subtract(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
}
template <class T>
[[nodiscard]] T wrapping_multiply(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
}

}  // namespace octet::float_engine

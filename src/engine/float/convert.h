#pragma once
// Conversion of single elements between types.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "arithmetic/round.h"

namespace octet::float_engine {

/// An IEEE 754 binary16 or bfloat16 in memory.
template <int exponent_bits>
struct Small {
  std::uint16_t bits;
};
using Half = Small<5>;
using Brain = Small<8>;
/// A boolean in memory: any byte but 0 is true.
struct BoolByte {
  std::uint8_t byte;
};

/// Widens exactly.
[[nodiscard]] inline float widen(Brain value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
[[nodiscard]] inline float widen(Half value) {
  const auto magnitude = static_cast<std::uint32_t>(value.bits & 0x7fff) << 13;
  const auto sign = static_cast<std::uint32_t>(value.bits & 0x8000) << 16;
  constexpr std::uint32_t infinity = 0x7f800000;
  // The exponent's bias grows by 112; as a product this makes subnormal numbers normal.
  const bool finite = (value.bits & 0x7c00) != 0x7c00;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
  return std::bit_cast<float>(
      sign | (finite ? std::bit_cast<std::uint32_t>(scaled) : infinity | magnitude));
}

/// Nearest representable, ties to even; too large becomes infinity.
template <int exponent_bits>
Small<exponent_bits> narrow(double x) {
  constexpr int mantissa_bits = 15 - exponent_bits;
  constexpr int largest = (1 << exponent_bits) - 1;
  constexpr int bias = largest / 2;
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  constexpr auto infinity = static_cast<std::uint16_t>(largest << mantissa_bits);
  const auto result = [sign](int code) {
    return Small<exponent_bits>{static_cast<std::uint16_t>(sign | code)};
  };
  if (std::isnan(x)) return result(infinity | (1 << (mantissa_bits - 1)));
  const double magnitude = std::fabs(x);
  if (magnitude == 0) return result(0);
  if (std::isinf(magnitude)) return result(infinity);
  int exponent = 0;
  (void)std::frexp(magnitude, &exponent);
  // In units of the last place of its binade, the subnormal one at least.
  const int place = std::max(exponent - 1, 1 - bias) - mantissa_bits;
  const int binade = place + mantissa_bits + bias;  // >= 1
  if (binade > largest) return result(infinity);
  const auto units = static_cast<int>(round_half_even(std::ldexp(magnitude, -place)));
  // A carry out of the mantissa raises the exponent by itself.
  const int code = (binade - 1) * (1 << mantissa_bits) + units;
  return result(std::min(code, static_cast<int>(infinity)));
}

/// `x` as To. From floating point to integers: towards zero, saturating, NaN becomes 0. Between
/// integers: modulo 2^n.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, Brain>) {
    return convert<To>(widen(x));
  } else if constexpr (std::is_same_v<From, BoolByte>) {
    return convert<To>(static_cast<std::uint8_t>(x.byte != 0));
  } else if constexpr (std::is_same_v<To, Half>) {
    return narrow<5>(static_cast<double>(x));
  } else if constexpr (std::is_same_v<To, Brain>) {
    return narrow<8>(static_cast<double>(x));
  } else if constexpr (std::is_same_v<To, BoolByte>) {
    return {static_cast<std::uint8_t>(x != From{0})};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Both bounds are powers of two (or 0), exact in any float type.
    const auto low = static_cast<From>(std::numeric_limits<To>::min());
    const From high = static_cast<From>(std::numeric_limits<To>::max() / 2 + 1) * 2;
    if (!(x == x)) return To{0};
    if (x <= low) return std::numeric_limits<To>::min();
    if (x >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace octet::float_engine

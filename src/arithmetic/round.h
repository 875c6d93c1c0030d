#pragma once
// Rounding and saturation. Every other file of octet calls these.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace octet {

/// Nearest integer, ties to even, whatever the floating-point environment of the caller's thread
/// is set to (octet never changes it from round-to-nearest-even). IEEE 754
/// roundToIntegralTiesToEven.
[[nodiscard]] inline float round_half_even(float x) { return std::nearbyint(x); }
[[nodiscard]] inline double round_half_even(double x) { return std::nearbyint(x); }

/// Nearest integer, ties away from zero.
[[nodiscard]] inline float round_half_away(float x) { return std::round(x); }
[[nodiscard]] inline double round_half_away(double x) { return std::round(x); }

/// round_half_even for |x| <= 2^22, in a form that compilers vectorise for every CPU: adding
/// 1.5 * 2^23 leaves no room for a fraction, so the addition itself rounds to nearest even.
[[nodiscard]] inline float round_half_even_bounded(float x) {
  constexpr float shift = 0x1.8p23F;
  return (x + shift) - shift;
}

/// `value` limited to [low, high]; NaN becomes low.
template <class T>
[[nodiscard]] constexpr T saturate(T value, T low, T high) {
  return value >= low ? (value <= high ? value : high) : low;
}

}  // namespace octet

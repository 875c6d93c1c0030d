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

/// `value` limited to [low, high]; NaN becomes low.
template <class T>
[[nodiscard]] constexpr T saturate(T value, T low, T high) {
  return value >= low ? (value <= high ? value : high) : low;
}

}  // namespace octet

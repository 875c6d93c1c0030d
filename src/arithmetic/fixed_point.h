#pragma once
// Scaling of integers by a real factor in integer arithmetic: the factor as an int32 multiplier and
// a power of two.
//
// Sources: gemmlowp (fixedpoint.h: SaturatingRoundingDoublingHighMul, RoundingDivideByPOT) and
// TensorFlow Lite (QuantizeMultiplier, MultiplyByQuantizedMultiplier) for the formulas; which of
// them LiteRT computes where was measured (docs/arithmetic.md, section 9).

#include <cmath>
#include <cstdint>

namespace octet {

/// The real factor multiplier * 2^(shift - 31), with multiplier in [2^30, 2^31) or 0.
struct FixedMultiplier {
  std::int32_t multiplier = 0;
  int shift = 0;  ///< -31 to 30; factors below 2^-32 are 0

  friend bool operator==(const FixedMultiplier&, const FixedMultiplier&) = default;
};

/// The nearest FixedMultiplier of a factor >= 0, ties upward.
[[nodiscard]] inline FixedMultiplier fixed_multiplier(double factor) {
  if (!(factor > 0)) return {};
  int shift = 0;
  const double fraction = std::frexp(factor, &shift);
  auto multiplier = static_cast<std::int64_t>(std::round(fraction * 0x1.0p31));
  if (multiplier == std::int64_t{1} << 31) {
    multiplier /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  // Whatever is scaled by more than 2^30 saturates.
  if (shift > 30) return {INT32_MAX, 30};
  return {static_cast<std::int32_t>(multiplier), shift};
}

/// value * 2^left modulo 2^32.
[[nodiscard]] inline std::int32_t shift_left(std::int32_t value, int left) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(value) << left);
}

/// round(a * b / 2^31) with ties upward, b >= 0.
[[nodiscard]] inline std::int32_t high_product(std::int32_t a, std::int32_t b) {
  const std::int64_t product = std::int64_t{a} * b + (std::int64_t{1} << 30);
  return static_cast<std::int32_t>(product >> 31);
}

/// round(value / 2^right), ties away from zero; 0 <= right <= 31.
[[nodiscard]] inline std::int32_t divide_away(std::int32_t value, int right) {
  const auto mask = static_cast<std::int32_t>((std::int64_t{1} << right) - 1);
  const std::int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
  return (value >> right) + ((value & mask) > threshold ? 1 : 0);
}

/// round(value / 2^right), ties upward; 0 <= right <= 31.
[[nodiscard]] inline std::int32_t divide_up(std::int32_t value, int right) {
  const std::int64_t half = (std::int64_t{1} << right) >> 1;
  return static_cast<std::int32_t>((value + half) >> right);
}

/// Rounds twice: to the high product, then to the power of two with ties away from zero.
[[nodiscard]] inline std::int32_t scale_twice_rounded(std::int32_t value,
                                                      const FixedMultiplier& factor) {
  const int left = factor.shift > 0 ? factor.shift : 0;
  const int right = factor.shift > 0 ? 0 : -factor.shift;
  return divide_away(high_product(shift_left(value, left), factor.multiplier), right);
}

/// The same with ties upward in both.
[[nodiscard]] inline std::int32_t scale_rounded_up(std::int32_t value,
                                                   const FixedMultiplier& factor) {
  const int left = factor.shift > 0 ? factor.shift : 0;
  const int right = factor.shift > 0 ? 0 : -factor.shift;
  return divide_up(high_product(shift_left(value, left), factor.multiplier), right);
}

/// Of a 64-bit accumulator, |value| < 2^47: the multiplier is first rounded to 16 bits, then one
/// rounding with ties upward. The factor is below 2^7; the result must fit 32 bits, and is taken
/// modulo 2^32 otherwise.
[[nodiscard]] inline std::int32_t scale_wide(std::int64_t value, const FixedMultiplier& factor) {
  const std::int32_t reduced =
      factor.multiplier < 0x7FFF0000 ? (factor.multiplier + (1 << 15)) >> 16 : 0x7FFF;
  const int total = factor.shift < 8 ? 15 - factor.shift : 8;
  const std::uint64_t half = std::uint64_t{1} << (total - 1);
  const std::uint64_t product =
      static_cast<std::uint64_t>(value) * static_cast<std::uint64_t>(reduced);
  return static_cast<std::int32_t>(static_cast<std::int64_t>(product + half) >> total);
}

}  // namespace octet

#include "arithmetic/litert_unary.h"

#include <algorithm>
#include <bit>
#include <numbers>

namespace octet::litert {
namespace {

constexpr std::int32_t most16 = INT16_MAX;

/// round(a * b / 2^15) with ties upward; -32768 * -32768 saturates.
std::int32_t high_product16(std::int32_t a, std::int32_t b) {
  return std::min((a * b + (1 << 14)) >> 15, most16);
}

std::int32_t saturating_shift16(std::int32_t value, int left) {
  return std::clamp(value * (1 << left), -most16 - 1, most16);
}

/// A FixedMultiplier's upper 16 bits, rounded.
std::int32_t upper_half(std::int32_t multiplier) {
  return multiplier >= INT32_MAX - (1 << 15) ? most16 : (multiplier + (1 << 15)) >> 16;
}

/// A product of fixed-point numbers with `a_bits` and `b_bits` integer bits, as one with 3.
std::int32_t product3(std::int32_t a, std::int32_t b, int integer_bits) {
  const std::int64_t value =
      std::int64_t{high_product(a, b)} * (std::int64_t{1} << (integer_bits - 3));
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX));
}

/// 1 / sqrt(value), value > 1, in the form whose shift is to the right.
FixedMultiplier inverse_root(std::int32_t value) {
  int right = 11;
  while (value >= (1 << 29)) {
    value /= 4;
    ++right;
  }
  const int pairs = (std::countl_zero(static_cast<std::uint32_t>(value)) - 1) / 2 - 1;
  right -= pairs;
  value <<= 2 * pairs;
  const std::int32_t input = value >> 1;
  const std::int32_t half_input = divide_away(input, 1);
  constexpr std::int32_t one_and_a_half = (1 << 28) + (1 << 27);
  constexpr std::int32_t half_root_of_two = 1518500250;
  std::int32_t x = 1 << 28;
  for (int i = 0; i < 5; ++i) {
    const std::int32_t cube = product3(high_product(x, x), x, 9);
    // Both products have 6 integer bits.
    const std::int32_t difference =
        high_product(one_and_a_half, x) - high_product(half_input, cube);
    x = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(std::int64_t{difference} * 8, INT32_MIN, INT32_MAX));
  }
  x = high_product(x, half_root_of_two);
  if (right < 0) {
    x = shift_left(x, -right);
    right = 0;
  }
  return {x, -right};
}

}  // namespace

std::int32_t hard_swish(std::int32_t code, const Affine& input, const Affine& output,
                        std::int32_t low, std::int32_t high) {
  const float unit = (1.0F / 128.0F) * input.scale;
  const FixedMultiplier to_output = fixed_multiplier(static_cast<double>(unit / output.scale));
  const FixedMultiplier to_gate = fixed_multiplier(static_cast<double>(unit / (3.0F / 32768.0F)));
  const std::int32_t x = (code - input.zero_point) * 128;
  const std::int32_t scaled = high_product16(x, upper_half(to_output.multiplier));
  std::int32_t gate = x;
  if (to_gate.shift > 0) gate = saturating_shift16(gate, to_gate.shift - 1);
  gate = high_product16(gate, upper_half(to_gate.multiplier));
  if (to_gate.shift > 0) gate = saturating_shift16(gate, 1);
  if (to_gate.shift < 0) gate = divide_away(gate, -to_gate.shift);
  gate = (gate + (1 << 15)) >> 1;
  // Toward zero.
  const std::int32_t product = gate * scaled / (1 << 15);
  return to_code(divide_away(product, std::max(-to_output.shift, 0)), output.zero_point, low, high);
}

std::int32_t reciprocal_root(std::int32_t code, const Affine& input, const Affine& output,
                             std::int32_t low, std::int32_t high) {
  const std::int32_t x = code - input.zero_point;
  if (x == 0) return high;
  if (x < 0) return low;
  constexpr int fraction = 20;
  FixedMultiplier root = x == 1 ? FixedMultiplier{INT32_MAX, 0} : inverse_root(x);
  root.shift += fraction;
  FixedMultiplier factor =
      fixed_multiplier(static_cast<double>(1.0F / (std::sqrt(input.scale) * output.scale)));
  factor.shift -= fraction;
  return to_code(scale_twice_rounded(scale_twice_rounded(1, root), factor), output.zero_point, low,
                 high);
}

float logistic(TableForm form, float x) {
  if (form == TableForm::built_in) return 1.0F / (1.0F + std::exp(-x));
  return static_cast<float>(1.0 / (1.0 + static_cast<double>(std::exp(-x))));
}

float gelu(bool approximate, float x) {
  if (approximate) {
    const auto root = static_cast<float>(std::sqrt(2.0 / std::numbers::pi));
    return 0.5F * x * (1.0F + std::tanh(root * (x + 0.044715F * x * x * x)));
  }
  return 0.5F * x * (1.0F + std::erf(x * std::numbers::sqrt2_v<float> * 0.5F));
}

float elu(float x) { return x < 0 ? std::expm1(x) : x; }

}  // namespace octet::litert

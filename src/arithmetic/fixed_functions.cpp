#include "arithmetic/fixed_functions.h"

#include <algorithm>
#include <array>
#include <bit>

#include "arithmetic/fixed_point.h"

namespace octet {
namespace {

std::int32_t saturated(std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX));
}

/// The product of numbers with a and b integer bits, with a + b.
std::int32_t product(std::int32_t a, std::int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return high_product(a, b);
}

/// value * 2^exponent, saturated, or rounded with ties away from zero.
std::int32_t times_power(std::int32_t value, int exponent) {
  if (exponent < 0) return divide_away(value, std::min(-exponent, 31));
  return saturated(std::int64_t{value} * (std::int64_t{1} << std::min(exponent, 31)));
}

/// exp(x) for x in [-1/4, 0), both with 0 integer bits: a Taylor polynomial around -1/8.
std::int32_t exp_near_zero(std::int32_t x) {
  constexpr std::int32_t exp_of_minus_eighth = 1895147668;
  constexpr std::int32_t third = 715827883;
  const std::int32_t t = x + (1 << 28);
  const std::int32_t t2 = product(t, t);
  const std::int32_t t3 = product(t2, t);
  const std::int32_t t4_quarter = divide_away(product(t2, t2), 2);
  const std::int32_t rest = divide_away(product(t4_quarter + t3, third) + t2, 1);
  return saturated(std::int64_t{exp_of_minus_eighth} + product(exp_of_minus_eighth, t + rest));
}

/// round((a + b) / 2), ties away from zero.
std::int32_t half_sum(std::int32_t a, std::int32_t b) {
  const std::int64_t sum = std::int64_t{a} + b;
  return static_cast<std::int32_t>((sum + (sum >= 0 ? 1 : -1)) / 2);
}

int leading_zeros(std::int32_t value) {
  return std::countl_zero(static_cast<std::uint32_t>(value));
}

}  // namespace

std::int32_t fixed_exp(std::int32_t x, int integer_bits) {
  if (x == 0) return INT32_MAX;
  const int fraction = 31 - integer_bits;
  if (integer_bits > 5 && x < -(1 << (fraction + 5))) return 0;
  const std::int32_t quarter = 1 << (fraction - 2);
  // x = near_zero - rest, rest a sum of powers of two from 1/4 upward.
  const std::int32_t near_zero = (x & (quarter - 1)) - quarter;
  const std::int32_t rest = near_zero - x;
  std::int32_t result = exp_near_zero(shift_left(near_zero, integer_bits));
  // exp(-2^k), k from -2.
  constexpr auto factors = std::to_array<std::int32_t>(
      {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242});
  int exponent = -2;
  for (const auto factor : factors) {
    if (integer_bits > exponent && (rest & (1 << (fraction + exponent))) != 0) {
      result = product(result, factor);
    }
    ++exponent;
  }
  return result;
}

std::int32_t fixed_reciprocal(std::int32_t x) {
  // Newton's iteration for 2 / (1 + x) in numbers of 2 integer bits.
  constexpr std::int32_t first = 1515870810;   // 48 / 17
  constexpr std::int32_t slope = -1010580540;  // -32 / 17
  const std::int32_t half = half_sum(x, INT32_MAX);
  std::int32_t y = first + product(half, slope);
  for (int i = 0; i < 3; ++i) {
    const std::int32_t rest = (1 << 29) - product(half, y);
    y += times_power(product(y, rest), 2);
  }
  return times_power(y, 1);
}

std::int32_t fixed_log(std::int32_t x) {
  constexpr int input_bits = 12;
  constexpr int sum_bits = 6;  // one more than the result's
  constexpr std::int32_t log_of_two = 1488522236;
  constexpr std::int32_t root4_of_half = 1805811301;
  constexpr std::int32_t root_of_half = 1518500250;
  constexpr std::int32_t quarter = 536870912 >> sum_bits;
  constexpr std::int32_t alpha_n = 117049297, alpha_d = 127690142;
  constexpr std::int32_t alpha_i = 1057819769, alpha_f = 638450708;
  // x = z * 2^power with z around 1, centred in one of two ways.
  const int zeros = leading_zeros(x);
  const std::int32_t z_a = times_power(product(times_power(x, zeros - 1), root_of_half), 1);
  const std::int32_t power_a =
      saturated(std::int64_t{times_power(input_bits - zeros, 31 - sum_bits)} + quarter);
  const int other_zeros = leading_zeros(product(x, root_of_half)) - 1;
  const std::int32_t z_b = times_power(x, other_zeros);
  const std::int32_t power_b =
      saturated(std::int64_t{times_power(input_bits - other_zeros, 31 - sum_bits)} - quarter);
  const std::int32_t z = std::min(z_a, z_b);
  const std::int32_t power = std::max(power_a, power_b);
  // A rational approximation in q = 2 (z - 2^(-1/4)).
  const std::int32_t p = half_sum(z, root4_of_half);
  const std::int32_t q = shift_left(z - root4_of_half, 1);
  const std::int32_t square = product(q, q);
  const std::int32_t numerator = product(q, z) + product(product(q, square), alpha_n);
  const std::int32_t denominator =
      product(p, alpha_i + q + product(alpha_d, square)) + product(alpha_f, q);
  const std::int32_t quotient =
      product(times_power(numerator, -sum_bits), fixed_reciprocal(denominator));
  return times_power(product(power, log_of_two) + quotient, 1);
}

}  // namespace octet

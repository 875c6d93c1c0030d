#pragma once
// Elementary functions in f32 that compilers vectorise: no branches, no calls, no tables. Errors
// are at most a few units in the last place (tests/engine/float_math_test.cpp measures them); NaN
// gives NaN. The polynomials are minimax fits of octet's own.

#include <bit>
#include <cstdint>
#include <limits>

#include "arithmetic/round.h"
#include "engine/float/vector_clones.h"

namespace octet::float_engine::math {

OCTET_INLINE float magnitude(float x) { return __builtin_fabsf(x); }

/// condition ? a : b as masks: compilers would branch around arithmetic in the arms, and such loops
/// are not vectorised for every instruction set.
OCTET_INLINE float select(bool condition, float a, float b) {
  const std::uint32_t mask = 0U - static_cast<std::uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(a) & mask) |
                              (std::bit_cast<std::uint32_t>(b) & ~mask));
}

/// x limited to [low, high]; NaN stays NaN, and high wins where low > high.
OCTET_INLINE float limit(float x, float low, float high) {
  const float raised = select(low > x, low, x);
  return select(high < raised, high, raised);
}

/// 2^n for n in [-126, 127].
OCTET_INLINE float power_of_two(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

/// x = n * ln 2 + r with |r| <= ln 2 / 2, for |x| up to some hundreds.
struct Reduced {
  float r;
  std::int32_t n;
};
OCTET_INLINE Reduced reduce_by_ln2(float x) {
  constexpr float log2_e = 0x1.715476p0F;
  // The first part has 9 bits, so that its products with n are exact.
  constexpr float ln2_high = 0x1.63p-1F;
  constexpr float ln2_low = -0x1.bd0106p-13F;
  constexpr float shift = 0x1.8p23F;
  const float n = round_half_even_bounded(x * log2_e);
  // The low bits of n + shift are n: unlike a conversion this is defined for NaN too.
  const auto bits = std::bit_cast<std::uint32_t>(n + shift) - std::bit_cast<std::uint32_t>(shift);
  return {(x - n * ln2_high) - n * ln2_low, static_cast<std::int32_t>(bits)};
}

OCTET_INLINE float exponential(float x) {
  const auto [r, n] = reduce_by_ln2(limit(x, -104.0F, 89.0F));
  float p = 0x1.6db466p-10F;
  p = p * r + 0x1.123b7ep-7F;
  p = p * r + 0x1.55545ep-5F;
  p = p * r + 0x1.55548ep-3F;
  p = p * r + 0.5F;
  const float power = (r * r * p + r) + 1.0F;
  // In two steps, because 2^n alone may be too small or too large for f32.
  const std::int32_t half = n >> 1;
  return power * power_of_two(half) * power_of_two(n - half);
}

/// e^x - 1 without cancellation near 0; for x <= 88.
OCTET_INLINE float exponential_minus_one(float x) {
  const auto [r, n] = reduce_by_ln2(limit(x, -86.0F, 88.0F));
  float p = 0x1.a032c2p-13F;
  p = p * r + 0x1.6d7226p-10F;
  p = p * r + 0x1.11118ap-7F;
  p = p * r + 0x1.5554b2p-5F;
  p = p * r + 0x1.555554p-3F;
  p = p * r + 0.5F;
  const float minus_one = r * r * p + r;
  const float scale = power_of_two(n);
  return scale * minus_one + (scale - 1.0F);
}

OCTET_INLINE float logarithm(float x) {
  constexpr float tiny = std::numeric_limits<float>::min();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float raised = x * 0x1p23F;
  const bool subnormal = x < tiny;
  const auto bits = std::bit_cast<std::uint32_t>(select(subnormal, raised, x));
  // x = 2^k * m with m in [sqrt(1/2), sqrt(2)).
  const std::int32_t k = static_cast<std::int32_t>(bits - 0x3f3504f3U) >> 23;
  const float m = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(k) << 23));
  const float exponent = static_cast<float>(k) - select(subnormal, 23.0F, 0.0F);
  const float f = m - 1.0F;
  const float s = f / (2.0F + f);
  const float z = s * s;
  float p = 0x1.e30168p-4F;
  p = p * z + 0x1.243892p-3F;
  p = p * z + 0x1.999a7cp-3F;
  p = p * z + 0x1.555554p-2F;
  // log(1 + f) = f - f^2 / 2 + s * (f^2 / 2 + 2 (atanh(s) - s) / s)
  const float square = 0.5F * f * f;
  const float small = square - (s * (square + 2.0F * z * p) + exponent * -0x1.bd0106p-13F);
  const float result = exponent * 0x1.63p-1F + (f - small);
  const float ordinary = select(x < infinity, result, x);
  const float positive = select(x > 0.0F, ordinary, std::numeric_limits<float>::quiet_NaN());
  return select(x == 0.0F, -infinity, positive);
}

/// log(1 + x) for x in [0, 1].
OCTET_INLINE float logarithm_of_one_plus(float x) {
  const float s = x / (2.0F + x);
  const float z = s * s;
  float p = 0x1.f1be5ap-4F;
  p = p * z + 0x1.b6d2dcp-4F;
  p = p * z + 0x1.25099ap-3F;
  p = p * z + 0x1.9996a8p-3F;
  p = p * z + 0x1.555558p-2F;
  return 2.0F * (s + s * (z * p));
}

/// The one sigmoid: Sigmoid, Swish and the recurrent cells share its bits.
OCTET_INLINE float sigmoid(float x) {
  // exp of a negative number only: no overflow at either end.
  const float e = exponential(-magnitude(x));
  const float numerator = select(x < 0.0F, e, 1.0F);
  return numerator / (1.0F + e);
}

OCTET_INLINE float hyperbolic_tangent(float x) {
  const float t = exponential_minus_one(-2.0F * magnitude(x));
  return __builtin_copysignf(t / (t + 2.0F), x);
}

OCTET_INLINE float error_function(float x) {
  const float z = x * x;
  float p = 0x1.496a92p-14F;
  p = p * z + -0x1.a3f728p-11F;
  p = p * z + 0x1.5405b8p-8F;
  p = p * z + -0x1.b7f90ep-6F;
  p = p * z + 0x1.ce2cf8p-4F;
  p = p * z + -0x1.81273ep-2F;
  p = p * z + 0x1.06eba8p-3F;
  const float near = x + x * p;
  // 1 - exp(-q) beyond 1; from 4 on it is 1.
  const float a = magnitude(x);
  const float t = limit(a, 0.0F, 4.0F);
  float q = -0x1.86dd9ap-13F;
  q = q * t + 0x1.825b06p-9F;
  q = q * t + -0x1.65cb7ep-6F;
  q = q * t + 0x1.a65346p-4F;
  q = q * t + 0x1.46baecp-1F;
  q = q * t + 0x1.2088eap0F;
  q = q * t + 0x1.661cb2p-12F;
  const float far = __builtin_copysignf(1.0F - exponential(-q), x);
  return select(a > 1.0F, far, near);
}

OCTET_INLINE float softplus(float x) {
  const float positive = select(x > 0.0F, x, 0.0F);
  return positive + logarithm_of_one_plus(exponential(-magnitude(x)));
}

/// x * tanh(softplus(x)) = x * (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x).
OCTET_INLINE float mish(float x) {
  const float e = exponential(limit(x, -200.0F, 20.0F));
  const float n = e * (e + 2.0F);
  return x * (n / (n + 2.0F));
}

OCTET_INLINE float gelu(float x) { return 0.5F * x * (1.0F + error_function(x * 0x1.6a09e6p-1F)); }

/// 0.5 x (1 + tanh(u)) = x * sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
OCTET_INLINE float gelu_tanh(float x) {
  const float u = 0x1.988454p-1F * (x + 0.044715F * x * x * x);
  return x * sigmoid(2.0F * u);
}

}  // namespace octet::float_engine::math

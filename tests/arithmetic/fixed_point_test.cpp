// Fixed-point scaling against wider arithmetic of its own.

#include "arithmetic/fixed_point.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "arithmetic/hybrid.h"
#include "arithmetic/litert.h"

namespace octet {
namespace {

__extension__ using Wide = __int128;

/// floor(a / 2^n)
Wide floor_shift(Wide a, int n) { return n >= 0 ? a >> n : a * (Wide{1} << -n); }
Wide round_up(Wide a, int n) {
  return n <= 0 ? floor_shift(a, n) : (a + (Wide{1} << (n - 1))) >> n;
}
Wide round_away(Wide a, int n) { return a < 0 ? -round_up(-a, n) : round_up(a, n); }

TEST(FixedPoint, MultiplierIsTheNearest) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> exponent(-31, 29);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::exp2(exponent(random));
    const auto fixed = fixed_multiplier(factor);
    EXPECT_GE(fixed.multiplier, 1 << 30);
    const double made = std::ldexp(fixed.multiplier, fixed.shift - 31);
    EXPECT_LE(std::abs(made - factor), std::ldexp(0.5, fixed.shift - 31)) << factor;
  }
  EXPECT_EQ(fixed_multiplier(0), FixedMultiplier{});
  EXPECT_EQ(fixed_multiplier(0x1.0p-33), FixedMultiplier{});
  // One that rounds up to the next power of two.
  EXPECT_EQ(fixed_multiplier(1 - 0x1.0p-40), (FixedMultiplier{1 << 30, 1}));
  EXPECT_EQ(fixed_multiplier(1e30), (FixedMultiplier{INT32_MAX, 30}));
}

TEST(FixedPoint, ScalesRoundAsStated) {
  std::mt19937 random(2);
  std::uniform_int_distribution<std::int32_t> any(INT32_MIN, INT32_MAX);
  std::uniform_int_distribution<std::int32_t> multiplier(1 << 30, INT32_MAX);
  int differ = 0;
  for (int i = 0; i < 200000; ++i) {
    const int shift = i % 33 - 31;
    const FixedMultiplier factor{i % 3 == 0 ? 3 << 29 : multiplier(random), shift};
    const int left = std::max(shift, 0);
    // Small ones make ties; the product of a left shift must stay in 32 bits here.
    const std::int32_t value = (i % 2 == 0 ? any(random) : any(random) >> 18) / (1 << left);
    const Wide product = Wide{value} * (Wide{1} << left) * factor.multiplier;
    const Wide high = round_up(product, 31);
    EXPECT_EQ(scale_twice_rounded(value, factor),
              static_cast<std::int32_t>(round_away(high, std::max(-shift, 0))));
    EXPECT_EQ(scale_rounded_up(value, factor),
              static_cast<std::int32_t>(round_up(high, std::max(-shift, 0))));
    differ += scale_twice_rounded(value, factor) != scale_rounded_up(value, factor);
  }
  EXPECT_GT(differ, 0);
}

TEST(FixedPoint, WideSumsTakeSixteenBitsOfTheMultiplier) {
  std::mt19937_64 random(3);
  std::uniform_int_distribution<std::int32_t> multiplier(1 << 30, INT32_MAX);
  for (int i = 0; i < 100000; ++i) {
    const FixedMultiplier factor{i % 16 == 0 ? 0x7FFF8000 : multiplier(random), i % 38 - 31};
    const auto bits = static_cast<int>(random() % 40);
    const std::int64_t value = static_cast<std::int64_t>(random()) >> (24 + bits);
    const Wide reduced = std::min<Wide>((Wide{factor.multiplier} + (1 << 15)) >> 16, 0x7FFF);
    const Wide want = round_up(value * reduced, 15 - factor.shift);
    EXPECT_EQ(scale_wide(value, factor), static_cast<std::int32_t>(want));
  }
}

TEST(Litert, FactorsAreFormedInOneOfTwoWays) {
  // 0.1F * 0.3F is no f32.
  const double exact = static_cast<double>(0.1F) * static_cast<double>(0.3F);
  EXPECT_EQ(litert::factor(litert::Product::exact, 0.1F, 0.3F, 1), exact);
  EXPECT_EQ(litert::factor(litert::Product::rounded, 0.1F, 0.3F, 1),
            static_cast<double>(static_cast<float>(exact)));
}

TEST(Litert, HugeResultsAreLimited) {
  for (const auto scaling : {litert::Scaling::floating, litert::Scaling::twice_rounded,
                             litert::Scaling::rounded_up, litert::Scaling::real}) {
    const auto channel = litert::channel(litert::Product::exact, 1, 1, 4);
    EXPECT_EQ(litert::requantize(scaling, channel, INT32_MAX, -128, -128, 127), 127);
    EXPECT_EQ(litert::requantize(scaling, channel, INT32_MIN, 127, -128, 127), -128);
  }
  const auto infinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(litert::bound_half_away(infinite, 0.1F, 3, -128, 127), 127);
  EXPECT_EQ(litert::bound_half_even(-infinite, 0.1F, 3, -128, 127), -128);
}

TEST(Hybrid, CodesStayInRangeWhateverTheInput) {
  const auto infinite = std::numeric_limits<float>::infinity();
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto form : {litert::HybridCodes::symmetric, litert::HybridCodes::asymmetric,
                          litert::HybridCodes::delegate}) {
    for (const float low : {0.0F, -1e-45F, -1.0F, -3e38F, -infinite}) {
      for (const float high : {0.0F, 1e-45F, 2.5F, 3e38F, infinite}) {
        const auto params = litert::hybrid_params(form, low, high);
        EXPECT_GE(params.zero_point, -128);
        EXPECT_LE(params.zero_point, 127);
        for (const float x : {low, high, 0.0F, nan}) {
          const auto code = litert::hybrid_code(form, params, x);
          EXPECT_GE(code, -128);
          EXPECT_LE(code, 127);
        }
      }
    }
    // Zero is exact, and an empty range makes no codes but zero points.
    for (const float high : {0.0F, 0.7F, 12.0F}) {
      const auto params = litert::hybrid_params(form, -0.3F * high, high);
      EXPECT_EQ(litert::hybrid_code(form, params, 0), params.zero_point);
    }
  }
}

}  // namespace
}  // namespace octet

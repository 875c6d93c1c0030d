#include "arithmetic/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "arithmetic/requantize.h"

namespace octet {
namespace {

/// Half to even in double, written apart from round.h.
double nearest_even(double x) {
  const double below = std::floor(x);
  const double fraction = x - below;
  if (fraction != 0.5) return fraction < 0.5 ? below : below + 1;
  return std::fmod(below, 2) == 0 ? below : below + 1;
}

std::vector<QuantScheme> schemes() {
  std::vector<QuantScheme> all;
  for (const int bits : {2, 4, 7, 8, 16}) {
    for (const auto symmetry : {Symmetry::symmetric, Symmetry::asymmetric}) {
      for (const auto range : {CodeRange::full, CodeRange::narrow}) {
        QuantScheme scheme;
        scheme.bits = bits;
        scheme.symmetry = symmetry;
        scheme.range = range;
        all.push_back(scheme);
      }
    }
  }
  return all;
}

std::int32_t code(double x, const QuantParams& params, const QuantScheme& scheme) {
  return quantize_value(static_cast<float>(x), params.scale[0], params.zero_point[0],
                        static_cast<std::int32_t>(scheme.qmin()),
                        static_cast<std::int32_t>(scheme.qmax()));
}

TEST(Quantize, ZeroIsExactForEveryRange) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> exponent(-20, 20);
  for (const auto& scheme : schemes()) {
    for (int i = 0; i < 200; ++i) {
      const double a = std::exp2(exponent(random)) * (random() % 2 == 0 ? 1 : -1);
      const double b = std::exp2(exponent(random)) * (random() % 2 == 0 ? 1 : -1);
      const auto params = params_from_range(std::min(a, b), std::max(a, b), scheme);
      ASSERT_TRUE(validate(params, scheme));
      const auto zero = code(0, params, scheme);
      EXPECT_EQ(zero, params.zero_point[0]);
      EXPECT_EQ(dequantize_value(zero, params.scale[0], params.zero_point[0]), 0.0F);
    }
  }
}

TEST(Quantize, ErrorIsAtMostHalfAStepInRange) {
  std::mt19937 random(2);
  for (const auto& scheme : schemes()) {
    const auto params = params_from_range(-1.7, 3.1, scheme);
    const double scale = static_cast<double>(params.scale[0]);
    std::uniform_real_distribution<double> inside(range_minimum(params, scheme),
                                                  range_maximum(params, scheme));
    for (int i = 0; i < 1000; ++i) {
      const double x = static_cast<double>(static_cast<float>(inside(random)));
      const double back = static_cast<double>(
          dequantize_value(code(x, params, scheme), params.scale[0], params.zero_point[0]));
      // The f32 division and product each add at most one part in 2^24.
      EXPECT_LE(std::abs(x - back), scale / 2 + 4 * std::abs(x) * 0x1p-24) << to_string(scheme);
    }
  }
}

TEST(Quantize, TiesGoToEvenForEveryZeroPoint) {
  for (std::int32_t zero_point = -128; zero_point <= 127; ++zero_point) {
    for (int k = -300; k <= 300; ++k) {
      const float x = static_cast<float>(k) + 0.5F;
      const double expected =
          std::min(std::max(nearest_even(static_cast<double>(x)) + zero_point, -128.0), 127.0);
      ASSERT_EQ(quantize_value(x, 1.0F, zero_point, -128, 127), static_cast<int>(expected));
      ASSERT_EQ(quantize_narrow(x, 1.0F, zero_point, -128, 127), static_cast<int>(expected));
    }
  }
}

TEST(Quantize, NarrowFormEqualsTheGeneralOne) {
  std::mt19937 random(3);
  for (int i = 0; i < 200000; ++i) {
    // Any bit pattern: infinities and NaN too.
    const auto bits = static_cast<std::uint32_t>(random());
    float x = 0;
    static_assert(sizeof x == sizeof bits);
    std::memcpy(&x, &bits, sizeof x);
    const auto zero_point = static_cast<std::int32_t>(random() % 256) - 128;
    const float scale = std::exp2(static_cast<float>(random() % 100) / 5.0F - 10.0F);
    ASSERT_EQ(quantize_value(x, scale, zero_point, -128, 127),
              quantize_narrow(x, scale, zero_point, -128, 127))
        << x << " " << scale;
  }
}

TEST(Quantize, NonFiniteValuesHaveADefinedCode) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(quantize_value(inf, 0.1F, 5, -128, 127), 127);
  EXPECT_EQ(quantize_value(-inf, 0.1F, 5, -128, 127), -128);
  EXPECT_EQ(quantize_value(std::nanf(""), 0.1F, 5, -128, 127), -128);
  EXPECT_EQ(quantize_value(1e38F, 1e-10F, 0, -128, 127), 127);
}

TEST(Quantize, EveryCodeSurvivesTheRoundTrip) {
  for (const auto& scheme : schemes()) {
    for (const double reach : {1e-7, 0.37, 5.0, 1e9}) {
      const auto params = params_from_range(-reach, 2 * reach, scheme);
      for (auto q = static_cast<std::int32_t>(scheme.qmin()); q <= scheme.qmax(); ++q) {
        const float x = dequantize_value(q, params.scale[0], params.zero_point[0]);
        ASSERT_EQ(code(static_cast<double>(x), params, scheme), q) << to_string(scheme);
      }
    }
  }
}

TEST(Quantize, OneChannelIsPerTensor) {
  std::mt19937 random(4);
  Tensor x(DType::f32, {1, 3, 5});
  for (int i = 0; i < 15; ++i) {
    x.mutable_data<float>()[i] = static_cast<float>(random() % 1000) / 250.0F - 2.0F;
  }
  QuantScheme scheme;
  const auto params = params_from_range(-2, 2, scheme);
  auto per_channel = params;
  per_channel.axis = 0;
  const auto a = quantize(x, params, scheme, DType::i8);
  const auto b = quantize(x, per_channel, scheme, DType::i8);
  ASSERT_TRUE(a && b);
  EXPECT_TRUE(identical(*a, *b));
}

TEST(Quantize, ChannelsUseTheirOwnParams) {
  const auto x = Tensor::from<float>({1, 1, 1, 1, 1, 1}, {2, 3});
  const QuantParams params{{1.0F, 0.5F, 0.25F}, {0, 1, 2}, 1};
  const auto codes = quantize(x, params, QuantScheme{}, DType::i8);
  ASSERT_TRUE(codes);
  EXPECT_TRUE(identical(*codes, Tensor::from<std::int8_t>({1, 3, 6, 1, 3, 6}, {2, 3})));
  const auto back = dequantize(*codes, params);
  ASSERT_TRUE(back);
  EXPECT_TRUE(identical(*back, x));
  EXPECT_FALSE(quantize(x, {{1, 1}, {0, 0}, 1}, QuantScheme{}, DType::i8));
  EXPECT_FALSE(quantize(x, {{1, 1}, {0, 0}, 7}, QuantScheme{}, DType::i8));
}

TEST(Requantize, EqualsDoubleArithmetic) {
  std::mt19937 random(5);
  for (int i = 0; i < 200000; ++i) {
    const auto accumulator = static_cast<std::int32_t>(random()) >> (random() % 32);
    const float multiplier = std::exp2(static_cast<float>(random() % 200) / 10.0F - 18.0F);
    const auto zero_point = static_cast<std::int32_t>(random() % 256) - 128;
    const double product =
        static_cast<double>(static_cast<float>(accumulator)) * static_cast<double>(multiplier);
    const double rounded = nearest_even(static_cast<double>(static_cast<float>(product)));
    const double expected = std::min(std::max(rounded + zero_point, -100.0), 90.0);
    ASSERT_EQ(requantize_onnx(accumulator, multiplier, zero_point, -100, 90),
              static_cast<int>(expected))
        << accumulator << " * " << multiplier;
  }
}

TEST(Round, BoundedFormEqualsNearbyintUpToItsBound) {
  for (int i = -400000; i <= 400000; ++i) {
    const float x = static_cast<float>(i) / 4.0F;
    ASSERT_EQ(round_half_even_bounded(x), round_half_even(x));
  }
  for (const float x : {0x1p22F, -0x1p22F, 0x1p22F - 0.5F, -0x1p22F + 0.5F}) {
    EXPECT_EQ(round_half_even_bounded(x), round_half_even(x));
  }
  EXPECT_EQ(round_half_even(0.5F), 0);
  EXPECT_EQ(round_half_even(1.5), 2);
  EXPECT_EQ(round_half_even(-2.5F), -2);
}

TEST(Rule, NamesRoundTrip) {
  for (const auto rule : {Rule::onnx, Rule::xnnpack, Rule::tflite}) {
    EXPECT_EQ(rule_from_name(name(rule)), rule);
  }
  EXPECT_FALSE(rule_from_name("ONNX"));
}

}  // namespace
}  // namespace octet

// Quantization at run time against the figures of ONNX Runtime 1.32's DynamicQuantizeLinear and the
// specification's formula in double.

#include "arithmetic/dynamic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace octet {
namespace {

TEST(DynamicParams, AreThoseOfOnnxRuntime) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const struct {
    float minimum, maximum, scale;
    int zero_point;
  } cases[] = {{0, 0, 1.0F, 0},        {-1, 3, 0.01568628F, 64},    {-5, -4, 0.01960784F, 255},
               {4, 5, 0.01960784F, 0}, {-1, infinity, infinity, 0}, {-3e38F, 1e38F, infinity, 0},
               {0, 1e-44F, 0.0F, 255}};
  for (const auto& c : cases) {
    const auto params = dynamic_params(c.minimum, c.maximum);
    EXPECT_FLOAT_EQ(params.scale, c.scale) << c.minimum << " " << c.maximum;
    EXPECT_EQ(params.zero_point, c.zero_point) << c.minimum << " " << c.maximum;
  }
}

TEST(DynamicParams, GiveZeroACodeAndCoverTheRange) {
  std::mt19937 random(1);
  const auto real = [&] { return (static_cast<float>(random() % 20001) - 10000.0F) * 1e-3F; };
  for (int i = 0; i < 2000; ++i) {
    const float a = real();
    const float b = real();
    const auto params = dynamic_params(std::fmin(a, b), std::fmax(a, b));
    const double low = std::fmin(std::fmin(a, b), 0.0F);
    const double high = std::fmax(std::fmax(a, b), 0.0F);
    ASSERT_GE(params.zero_point, 0);
    ASSERT_LE(params.zero_point, 255);
    const double scale = params.scale;
    EXPECT_NEAR(scale * 255, high - low, 1e-6 * (high - low));
    // Rounding the zero point shifts the range by at most half a step.
    EXPECT_LE(std::abs(-params.zero_point * scale - low), 0.5001 * scale);
    EXPECT_LE(std::abs((255 - params.zero_point) * scale - high), 0.5001 * scale);
  }
}

TEST(FloatOutput, RoundsTwiceAndMinusZeroIsNoBias) {
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const auto accumulator = static_cast<std::int32_t>(random()) >> (random() % 20);
    const float multiplier = static_cast<float>(random() % 1000 + 1) * 1e-5F;
    const float bias = static_cast<float>(random() % 1000) * 0.01F - 5;
    const float product = static_cast<float>(static_cast<double>(static_cast<float>(accumulator)) *
                                             static_cast<double>(multiplier));
    const float want = static_cast<float>(static_cast<double>(product) + static_cast<double>(bias));
    EXPECT_EQ(float_output(accumulator, multiplier, bias), want);
    const float plain = float_output(accumulator, multiplier, no_bias);
    EXPECT_EQ(std::memcmp(&plain, &product, sizeof plain), 0);
  }
  EXPECT_FALSE(std::signbit(float_output(0, 1, no_bias)));
  EXPECT_TRUE(std::signbit(float_output(0, -1, no_bias)));
}

}  // namespace
}  // namespace octet

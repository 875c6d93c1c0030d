// Rule openvino: numbers taken from OpenVINO 2026.4.1 itself where they are exact codes, and the
// properties that make it differ from rule onnx.

#include "arithmetic/openvino.h"

#include <gtest/gtest.h>

#include <random>

#include "arithmetic/dynamic.h"
#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"

namespace octet::openvino {
namespace {

TEST(Openvino, ZeroPointIsAddedBeforeRounding) {
  // Half a step above zero and an odd zero point: 0.5 + 3 rounds to the even 4; rule onnx rounds
  // 0.5 to 0 and adds 3 (codes unsigned here, the signed ones are 128 lower).
  EXPECT_EQ(quantize(0.25F, quantize_line(0.5F, 3), 0, 255), 4);
  EXPECT_EQ(quantize_value(0.25F, 0.5F, 3 - 128, -128, 127) + 128, 3);
  EXPECT_EQ(quantize(-1000.0F, quantize_line(0.5F, 3), 0, 255), 0);
  EXPECT_EQ(quantize(1000.0F, quantize_line(0.5F, 3), 0, 255), 255);
  EXPECT_EQ(quantize(std::nanf(""), quantize_line(0.5F, 3), 7, 255), 7);
}

TEST(Openvino, LineIsMadeOfTheLimits) {
  // 255 / (high - low) and -low * 255 / (high - low) in f32, worked in double apart from here.
  const Line exact = quantize_line(0.5F, 3);
  EXPECT_EQ(exact.ratio, 2.0F);
  EXPECT_EQ(exact.shift, 3.0F);
  int inexact = 0;
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    const float scale = std::uniform_real_distribution<float>(0.001F, 0.1F)(random);
    const int zero_point = std::uniform_int_distribution<int>(0, 255)(random);
    const Line line = quantize_line(scale, zero_point);
    inexact += line.ratio != 1.0F / scale || line.shift != static_cast<float>(zero_point);
    EXPECT_NEAR(line.ratio * scale, 1.0F, 4e-7F);
    EXPECT_NEAR(line.shift, static_cast<float>(zero_point), 6e-5F);
    // Zero is exact, and every code survives.
    EXPECT_EQ(quantize(0.0F, line, 0, 255), zero_point);
    for (int code = 0; code <= 255; ++code) {
      EXPECT_EQ(quantize(dequantize_value(code, scale, zero_point), line, 0, 255), code);
    }
  }
  EXPECT_GT(inexact, 100);  // else the line could be {1 / scale, zero point}
}

/// All forms are the same function but for rounding.
TEST(Openvino, LayerFormsAgreeInTheReals) {
  std::mt19937 random(2);
  for (int i = 0; i < 500; ++i) {
    const float m = std::uniform_real_distribution<float>(1e-5F, 1e-3F)(random);
    const int zero_point = std::uniform_int_distribution<int>(0, 255)(random);
    const auto output = limits(0.02F, zero_point);
    const float bias = std::uniform_real_distribution<float>(-1, 1)(random);
    const int acc = std::uniform_int_distribution<int>(-9000, 9000)(random);
    for (const auto form : {LayerForm::real, LayerForm::matrix, LayerForm::unbiased}) {
      const bool biased = form != LayerForm::unbiased;
      const Layer made = layer(form, m, biased ? bias : 0.0F, output);
      const float x = float_output(acc, made.multiplier, made.bias);
      const double real = static_cast<double>(m) * acc + (biased ? static_cast<double>(bias) : 0.0);
      const double code = std::clamp(real / 0.02 + zero_point, 0.0, 255.0);
      EXPECT_NEAR(quantize(x, made.line, 0, 255), code, 0.5 + 1e-3);
    }
  }
}

TEST(Openvino, AveragesAreWithinHalfAStep) {
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    const float in_scale = 0.03F;
    const float out_scale = 0.02F;
    const int in_zero = std::uniform_int_distribution<int>(0, 255)(random);
    const int out_zero = std::uniform_int_distribution<int>(0, 255)(random);
    const auto line = average_line(in_scale, in_zero, limits(out_scale, out_zero));
    const int sum = std::uniform_int_distribution<int>(0, 49 * 255)(random);
    const double real = static_cast<double>(in_scale) * (sum / 49.0 - in_zero);
    const double code = std::clamp(real / static_cast<double>(out_scale) + out_zero, 0.0, 255.0);
    for (const auto form : {Average::divides, Average::multiplies}) {
      EXPECT_NEAR(quantize(average(form, sum, 49), line, 0, 255), code, 0.5 + 1e-3);
    }
  }
  // The two forms are not the same: 1 / 49 is inexact.
  int differ = 0;
  for (int sum = 0; sum < 49 * 255; ++sum) {
    differ += average(Average::divides, sum, 49) != average(Average::multiplies, sum, 49);
  }
  EXPECT_GT(differ, 1000);
}

TEST(Openvino, AddIsWithinHalfAStep) {
  std::mt19937 random(4);
  const auto scale_of = [&] { return std::uniform_real_distribution<float>(0.01F, 0.05F)(random); };
  const auto code_of = [&] { return std::uniform_int_distribution<int>(0, 255)(random); };
  for (int i = 0; i < 2000; ++i) {
    const float kept_scale = scale_of();
    const float moved_scale = scale_of();
    const float scale = scale_of();
    const int kept_zero = code_of();
    const int moved_zero = code_of();
    const int zero = code_of();
    const Sum s = sum(kept_scale, kept_zero, moved_scale, moved_zero, limits(scale, zero));
    const int kept = code_of();
    const int moved = code_of();
    const double moved_real_value = static_cast<double>(moved_scale) * (moved - moved_zero);
    const double real = static_cast<double>(kept_scale) * (kept - kept_zero) + moved_real_value;
    const double code = std::clamp(real / static_cast<double>(scale) + zero, 0.0, 255.0);
    EXPECT_NEAR(add(s, moved_code(s, moved), kept, 0, 255), code, 0.5 + 1e-3);
    EXPECT_NEAR(add(s, moved_own_code(s, moved), kept, 0, 255), code, 0.5 + 1e-3);
    const auto x = static_cast<float>(moved_real_value);
    EXPECT_NEAR(add(s, moved_real(s, x), kept, 0, 255), code, 0.5 + 1e-3);
  }
}

/// Elements of 1x1 convolutions in OpenVINO 2026.4.1, picked where another order of the same steps
/// would give another code; tests/parity/openvino_rows.py compares whole tensors.
TEST(Openvino, CodesThatOpenVinoGave) {
  struct Row {
    std::int32_t accumulator;
    float multiplier, bias, scale;
    std::int32_t zero_point, code;
  };
  constexpr Row rows[] = {
      {46455, 0x1.01245ep-16F, 0x1.6a2bc8p-4F, 0x1.56db28p-7F, 81, 158},  // an int32 bias
      {17509, 0x1.c1d2fcp-16F, -0x1.5c75cp-4F, 0x1.2be1fcp-5F, 86, 96},   // an int32 bias
      {12783, 0x1.56db2ap-16F, 0x1.0c915ep-3F, 0x1.56db28p-7F, 81, 118},  // a fused bias
      {-56085, 0x1.2be1f8p-16F, 0x1.728d54p-2F, 0x1.2be1fcp-5F, 86, 69},  // a fused bias
      {-20497, 0x1.56db2ap-16F, 0x1.0c915ep-3F, 0x1.56db28p-7F, 81, 53},  // two roundings; division
      {41107, 0x1.76da78p-15F, 0x1.1269dep-2F, 0x1.2be1fcp-5F, 86, 143},  // two roundings; division
      {-36527, 0x1.56a296p-14F, -0x1.dde626p-2F, 0x1.56a298p-5F, 217, 134},  // ratio 1 / scale
  };
  for (const auto& row : rows) {
    const float x = float_output(row.accumulator, row.multiplier, row.bias);
    EXPECT_EQ(quantize(x, quantize_line(row.scale, row.zero_point), 0, 255), row.code)
        << row.accumulator;
  }
}

}  // namespace
}  // namespace octet::openvino

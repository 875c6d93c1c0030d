#pragma once
// Rules tflite and xnnpack: functions of one code, and QUANTIZE. What a kernel tabulates for its
// 256 codes. Measured on LiteRT 2.3.0 (tests/parity/litert_rows_elementwise.py). Sources of the
// formulas: TensorFlow Lite (activations.cc, elementwise.cc, quantize.cc, lut.h, hard_swish.h),
// XNNPACK (reference unary kernels, qs8-vcvt, qs8-vlrelu).

#include <cmath>
#include <cstdint>

#include "arithmetic/fixed_point.h"
#include "arithmetic/litert.h"
#include "arithmetic/litert_binary.h"
#include "arithmetic/round.h"

namespace octet::litert {

/// QUANTIZE of f32 to 8 bits. Rule tflite: the quotient, half away from zero. Rule xnnpack: times
/// the reciprocal of the scale, half to even. Then the zero point. NaN becomes low.
[[nodiscard]] inline std::int32_t quantize(Rule rule, float x, const Affine& output,
                                           std::int32_t low, std::int32_t high) {
  const float steps = rule == Rule::tflite ? x / output.scale : x * (1.0F / output.scale);
  const float limited = saturate(steps, static_cast<float>(low - output.zero_point),
                                 static_cast<float>(high - output.zero_point));
  const float rounded =
      rule == Rule::tflite ? round_half_away(limited) : round_half_even_bounded(limited);
  return static_cast<std::int32_t>(rounded) + output.zero_point;
}

/// QUANTIZE of codes to other params. Built-in kernels: fixed point. XNNPACK, which takes those of
/// one type and of scales not too far apart: a multiplier of 8 fractional bits, ties upward.
/// `same_type`: both have int8, or both uint8, in the file.
[[nodiscard]] inline std::int32_t convert(Rule rule, bool same_type, std::int32_t code,
                                          const Affine& input, const Affine& output,
                                          std::int32_t low, std::int32_t high) {
  const std::int32_t x = code - input.zero_point;
  const FixedMultiplier factor =
      fixed_multiplier(static_cast<double>(input.scale) / static_cast<double>(output.scale));
  if (rule == Rule::tflite) {
    return to_code(scale_twice_rounded(x, factor), output.zero_point, low, high);
  }
  const float ratio = input.scale / output.scale;
  if (!same_type || ratio < 0x1.0p-8F || ratio > 0x1.0p7F) {
    return to_code(scale_rounded_up(x, factor), output.zero_point, low, high);
  }
  const auto multiplier = static_cast<std::int32_t>(round_half_even(ratio * 256.0F));
  return to_code(divide_up(x * multiplier, 8), output.zero_point, low, high);
}

/// CONCATENATION of uint8 values that have other params than the output; codes are the file's.
[[nodiscard]] inline std::int32_t join(std::int32_t code, const Affine& input, const Affine& output,
                                       std::int32_t low, std::int32_t high) {
  const float scale = input.scale * (1.0F / output.scale);
  const float bias = static_cast<float>(-input.zero_point) * scale;
  const float real = static_cast<float>(code) * scale + bias;
  return to_code(static_cast<double>(round_half_away(real)), output.zero_point, low, high);
}

/// RELU and its kin between two quantizations: [low, high] are the codes of their bounds.
[[nodiscard]] inline std::int32_t rescale(std::int32_t code, const Affine& input,
                                          const Affine& output, std::int32_t low,
                                          std::int32_t high) {
  const FixedMultiplier factor = fixed_multiplier(static_cast<double>(input.scale / output.scale));
  return to_code(scale_twice_rounded(code - input.zero_point, factor), output.zero_point, low,
                 high);
}

/// ABS.
[[nodiscard]] inline std::int32_t absolute(std::int32_t code, const Affine& input,
                                           const Affine& output, std::int32_t low,
                                           std::int32_t high) {
  const std::int32_t x = std::abs(code - input.zero_point);
  if (input.scale == output.scale) return to_code(x, output.zero_point, low, high);
  return rescale(x + input.zero_point, input, output, low, high);
}

/// SQRT: the root times the reciprocal of the scale, rounded down. Codes below zero, which LiteRT
/// refuses, give the lowest.
[[nodiscard]] inline std::int32_t root(std::int32_t code, const Affine& input, const Affine& output,
                                       std::int32_t low, std::int32_t high) {
  const std::int32_t x = code - input.zero_point;
  if (x < 0) return low;
  const float steps = std::sqrt(static_cast<float>(x) * input.scale) * (1.0F / output.scale);
  return to_code(std::floor(static_cast<double>(steps)), output.zero_point, low, high);
}

/// NEG of int8: the code itself is negated, whatever the params; -128 stays.
[[nodiscard]] constexpr std::int32_t negative(std::int32_t code) {
  return code == INT8_MIN ? code : -code;
}

/// A real factor of any sign.
[[nodiscard]] inline FixedMultiplier signed_multiplier(double factor) {
  FixedMultiplier result = fixed_multiplier(std::abs(factor));
  if (factor < 0) result.multiplier = -result.multiplier;
  return result;
}

/// LEAKY_RELU. XNNPACK takes scales and slopes that its 8 fractional bits hold.
[[nodiscard]] inline std::int32_t leaky_relu(Rule rule, float slope, std::int32_t code,
                                             const Affine& input, const Affine& output,
                                             std::int32_t low, std::int32_t high) {
  const std::int32_t x = code - input.zero_point;
  const float above = input.scale / output.scale;
  const float below = above * slope;
  const bool delegate = rule == Rule::xnnpack && above >= 0x1.0p-8F && above <= 0x1.0p7F &&
                        std::abs(below) >= 0x1.0p-8F && below <= 0x1.0p7F && below >= -0x1.fffp6F;
  if (delegate) {
    const auto multiplier =
        static_cast<std::int32_t>(round_half_even((x >= 0 ? above : below) * 256.0F));
    return to_code(divide_up(x * multiplier, 8), output.zero_point, low, high);
  }
  const float factor = x >= 0 ? above : (input.scale * slope) / output.scale;
  return to_code(scale_twice_rounded(x, signed_multiplier(static_cast<double>(factor))),
                 output.zero_point, low, high);
}

/// HARD_SWISH in 16 bits: x * relu6(x + 3) / 6, both factors with their own multiplier.
[[nodiscard]] std::int32_t hard_swish(std::int32_t code, const Affine& input, const Affine& output,
                                      std::int32_t low, std::int32_t high);

/// RSQRT: a Newton iteration in fixed point. A code that stands for 0 gives the largest code; codes
/// below, which LiteRT refuses, the lowest.
[[nodiscard]] std::int32_t reciprocal_root(std::int32_t code, const Affine& input,
                                           const Affine& output, std::int32_t low,
                                           std::int32_t high);

/// What makes a code of a function's real result.
enum class TableForm : std::uint8_t {
  built_in,  ///< times the reciprocal of the scale, half away from zero, then the zero point
  delegate,  ///< XNNPACK: times the reciprocal, plus the zero point, then half to even
};

/// NaN becomes low.
[[nodiscard]] inline std::int32_t table_code(TableForm form, float y, const Affine& output,
                                             std::int32_t low, std::int32_t high) {
  const float steps = y * (1.0F / output.scale);
  const auto from = static_cast<float>(low);
  const auto to = static_cast<float>(high);
  const auto zero = static_cast<float>(output.zero_point);
  if (form == TableForm::delegate) {
    return static_cast<std::int32_t>(round_half_even_bounded(saturate(steps + zero, from, to)));
  }
  return static_cast<std::int32_t>(round_half_away(saturate(steps, from - zero, to - zero))) +
         output.zero_point;
}

/// The functions as LiteRT evaluates them in f32, with the C library's exp, tanh, erf.
[[nodiscard]] float logistic(TableForm form, float x);
[[nodiscard]] float gelu(bool approximate, float x);
[[nodiscard]] float elu(float x);

}  // namespace octet::litert

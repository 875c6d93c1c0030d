#pragma once
// Rule openvino: how the CPU plugin of OpenVINO computes an int8 model with 8-bit codes stored as
// u8. Measured bit for bit on version 2026.4.1, x86-64 with AVX-512 VNNI (docs/arithmetic.md).
//
// OpenVINO reads QuantizeLinear as a FakeQuantize with real limits, and every operator hands real
// numbers to it. So all codes are made in one way,
//
//   q = limit(round_half_even(fma(x, ratio, shift)))
//
// with the output's zero point added before rounding, and biases stay f32. Codes and zero points
// are unsigned (signed code + 128) throughout.

#include <cmath>
#include <cstdint>

#include "arithmetic/round.h"

namespace octet::openvino {

/// The reals that codes 0 and 255 stand for.
struct Limits {
  float low = 0;
  float high = 0;
};

[[nodiscard]] inline Limits limits(float scale, std::int32_t zero_point) {
  return {scale * static_cast<float>(-zero_point), scale * static_cast<float>(255 - zero_point)};
}

/// Limits of x / unit, for operators that compute in units of one of their inputs.
[[nodiscard]] inline Limits limits_in(float unit, const Limits& limits) {
  return {limits.low / unit, limits.high / unit};
}

/// x * ratio + shift is the code before rounding.
struct Line {
  float ratio = 1;
  float shift = 0;
};

/// The line that takes [low, high] to [0, 255]: nearly, but not always exactly, 1 / scale and the
/// zero point.
[[nodiscard]] inline Line line(const Limits& limits) {
  const float width = limits.high - limits.low;
  return {255.0F / width, (-limits.low * 255.0F) / width};
}

/// The line of a quantization, for real numbers.
[[nodiscard]] inline Line quantize_line(float scale, std::int32_t zero_point) {
  return line(limits(scale, zero_point));
}

/// The line as a convolution or matrix product applies it to reals: where nothing is to be added,
/// its kernels take 1 / ratio as the scale of their output, and multiply by the reciprocal of that.
[[nodiscard]] inline Line destination_line(const Line& line) {
  if (line.shift != 0) return line;
  return {1.0F / (1.0F / line.ratio), line.shift};
}

/// Rounds half to even and limits; NaN becomes low. Limits are codes, so that the order of the two
/// does not matter.
[[nodiscard]] inline std::int32_t to_code(float code, std::int32_t low, std::int32_t high) {
  const float limited = saturate(code, static_cast<float>(low), static_cast<float>(high));
  return static_cast<std::int32_t>(round_half_even_bounded(limited));
}

[[nodiscard]] inline std::int32_t quantize(float x, const Line& line, std::int32_t low,
                                           std::int32_t high) {
  return to_code(std::fma(x, line.ratio, line.shift), low, high);
}

/// How an accumulating operator makes codes of its exact int32 accumulator, per output channel:
///
///   x = f32(acc) * multiplier + bias, two roundings (float_output of arithmetic/dynamic.h)
///   q = quantize(x, line)
///
/// and what it gives where its output stays float is x of LayerForm::real. m is input scale *
/// weight scale, rounded once.
struct Layer {
  float multiplier = 1;
  float bias = 0;
  Line line;
};

enum class LayerForm : std::uint8_t {
  real,      ///< Conv with a bias, MatMul of rank 3 and more: x is the real result
  matrix,    ///< Gemm and MatMul of rank 2 with a bias: the line is folded into multiplier and bias
  unbiased,  ///< without a bias: m is folded into the limits, a channel at a time
};

[[nodiscard]] inline Layer layer(LayerForm form, float m, float bias, const Limits& output) {
  const Line whole = line(output);
  switch (form) {
    case LayerForm::real: return {m, bias, destination_line(whole)};
    case LayerForm::matrix: return {m * whole.ratio, bias * whole.ratio + whole.shift, {1, 0}};
    case LayerForm::unbiased: break;
  }
  const Line folded = line(limits_in(m, output));
  return {folded.ratio, folded.shift, {1, 0}};
}

/// Averages are quantized by average_line from the exact sum of the input's unsigned codes, zero
/// points included, over `count` pixels.
enum class Average : std::uint8_t {
  divides,     ///< f32(sum) / f32(count): GlobalAveragePool, ReduceMean
  multiplies,  ///< f32(sum) * (1 / f32(count)): AveragePool
};

[[nodiscard]] inline float average(Average form, std::int64_t sum, std::int64_t count) {
  const auto total = static_cast<float>(sum);
  const auto pixels = static_cast<float>(count);
  return form == Average::divides ? total / pixels : total * (1.0F / pixels);
}

[[nodiscard]] inline Line average_line(float input_scale, std::int32_t input_zero_point,
                                       const Limits& output) {
  const Line scaled = line(limits_in(input_scale, output));
  return {scaled.ratio, scaled.shift + scaled.ratio * static_cast<float>(-input_zero_point)};
}

/// Add, computed in units of one operand, the kept one:
///
///   q = quantize(moved + kept code, line)
///
/// where `moved` is the other operand in these units, by where it comes from.
struct Sum {
  float offset = 0;      ///< kept scale * kept zero point
  float unit_ratio = 1;  ///< 1 / kept scale
  float code_zero = 0;   ///< the moved operand's code that ends at 0
  float code_ratio = 1;  ///< moved scale / kept scale
  float code_step = 1;   ///< the same, as the distance of the images of codes 0 and 255
  float code_shift = 0;  ///< image of code 0
  Line line;
};

/// `moved_scale` and `moved_zero_point` are those of the other operand where it has codes.
[[nodiscard]] inline Sum sum(float kept_scale, std::int32_t kept_zero_point, float moved_scale,
                             std::int32_t moved_zero_point, const Limits& output) {
  Sum sum;
  sum.offset = static_cast<float>(kept_zero_point) * kept_scale;
  sum.unit_ratio = 1.0F / kept_scale;
  sum.code_zero = static_cast<float>(moved_zero_point) + sum.offset / moved_scale;
  sum.code_ratio = moved_scale / kept_scale;
  sum.code_shift = (0.0F - sum.code_zero) * sum.code_ratio;
  sum.code_step = ((255.0F - sum.code_zero) * sum.code_ratio - sum.code_shift) / 255.0F;
  sum.line = line(limits_in(kept_scale, output));
  return sum;
}

/// An operand that is quantized for the sum alone: its FakeQuantize gives it in the sum's units.
[[nodiscard]] inline float moved_own_code(const Sum& sum, std::int32_t code) {
  return std::fma(static_cast<float>(code), sum.code_step, sum.code_shift);
}
/// An operand whose codes others read, or that was moved around since it was quantized.
[[nodiscard]] inline float moved_code(const Sum& sum, std::int32_t code) {
  return (static_cast<float>(code) - sum.code_zero) * sum.code_ratio;
}
/// An operand that is not quantized.
[[nodiscard]] inline float moved_real(const Sum& sum, float x) {
  return (x - sum.offset) * sum.unit_ratio;
}
[[nodiscard]] inline std::int32_t add(const Sum& sum, float moved, std::int32_t kept,
                                      std::int32_t low, std::int32_t high) {
  return quantize(moved + static_cast<float>(kept), sum.line, low, high);
}

}  // namespace octet::openvino

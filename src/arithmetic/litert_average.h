#pragma once
// Rules tflite and xnnpack: averages and sums over codes. Measured on LiteRT 2.3.0
// (tests/parity/litert_rows_elementwise.py). Sources of the formulas: TensorFlow Lite
// (integer_ops/pooling.h, reduce.cc), XNNPACK (static reductions).
//
// Some count with the codes as the file states them, zero points included: `file` sums and zero
// points are those of signed codes where the file has int8, of unsigned ones where it has uint8.

#include <bit>
#include <cstdint>

#include "arithmetic/fixed_point.h"
#include "arithmetic/litert.h"
#include "arithmetic/litert_binary.h"
#include "arithmetic/round.h"

namespace octet::litert {

/// AVERAGE_POOL_2D, whose output has the input's params: the quotient of the file's codes, half
/// away from zero.
[[nodiscard]] inline std::int32_t pooled(std::int64_t file_sum, std::int64_t count) {
  const std::int64_t half = count / 2;
  return static_cast<std::int32_t>((file_sum > 0 ? file_sum + half : file_sum - half) / count);
}

enum class Reduction : std::uint8_t { mean, sum };

/// MEAN and SUM over `count` elements between two quantizations (zero points of the file).
struct Average {
  bool floating = false;      ///< XNNPACK: one line over the file's sum, in f32
  float scale = 1;            ///< floating
  float bias = 0;             ///< floating
  FixedMultiplier factor;     ///< else, of the sum without zero points
  std::int32_t zero_sum = 0;  ///< count * input zero point
  std::int32_t zero_point = 0;
};

/// Rule tflite divides the multiplier, with all the bits that the count leaves room for.
[[nodiscard]] inline FixedMultiplier mean_multiplier(const FixedMultiplier& factor,
                                                     std::int64_t count) {
  int left = 63 - std::countl_zero(static_cast<std::uint64_t>(count));
  left = std::min(std::min(left, 32), 31 + factor.shift);
  if (left < 0) return {};
  const std::int64_t divided = (std::int64_t{factor.multiplier} << left) / count;
  return {static_cast<std::int32_t>(divided), factor.shift - left};
}

[[nodiscard]] inline Average average(Rule rule, Reduction reduction, std::int64_t count,
                                     const Affine& input, const Affine& output) {
  Average result;
  result.zero_sum = static_cast<std::int32_t>(count * input.zero_point);
  result.zero_point = output.zero_point;
  const float ratio = input.scale / output.scale;
  if (rule == Rule::xnnpack) {
    result.floating = true;
    result.scale =
        reduction == Reduction::mean ? ratio * (1.0F / static_cast<float>(count)) : ratio;
    result.bias =
        static_cast<float>(output.zero_point) - static_cast<float>(result.zero_sum) * result.scale;
    return result;
  }
  result.factor =
      fixed_multiplier(static_cast<double>(input.scale) / static_cast<double>(output.scale));
  if (reduction == Reduction::mean) result.factor = mean_multiplier(result.factor, count);
  return result;
}

/// The file's code, within [low, high].
[[nodiscard]] inline std::int32_t code(const Average& average, std::int32_t file_sum,
                                       std::int32_t low, std::int32_t high) {
  if (!average.floating) {
    return to_code(scale_twice_rounded(file_sum - average.zero_sum, average.factor),
                   average.zero_point, low, high);
  }
  const float real = static_cast<float>(file_sum) * average.scale + average.bias;
  const float limited = saturate(real, static_cast<float>(low), static_cast<float>(high));
  return static_cast<std::int32_t>(round_half_even_bounded(limited));
}

}  // namespace octet::litert

#include "arithmetic/litert_softmax.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "arithmetic/fixed_functions.h"
#include "arithmetic/litert.h"
#include "arithmetic/round.h"

namespace octet::litert {
namespace {

constexpr int difference_bits = 5;  ///< integer bits of differences
constexpr int sum_bits = 12;        ///< integer bits of sums of exponentials

/// A code of an unsigned output.
std::uint8_t byte(std::int32_t code) { return static_cast<std::uint8_t>(std::clamp(code, 0, 255)); }

std::int32_t largest(const std::uint8_t* input, std::int64_t count, std::int64_t step) {
  std::int32_t result = 0;
  for (std::int64_t i = 0; i < count; ++i) result = std::max<std::int32_t>(result, input[i * step]);
  return result;
}

/// round(value / 2^right), ties away from zero, for any right >= 0.
std::int32_t shifted(std::int32_t value, int right) {
  return right > 31 ? 0 : divide_away(value, right);
}

}  // namespace

Affine softmax_output(SoftmaxKind kind) {
  if (kind == SoftmaxKind::softmax) return {1.0F / 256.0F, 0};
  return {16.0F / 256.0F, 255};
}

Softmax::Softmax(Rule rule, SoftmaxKind kind, float input_scale, std::int32_t offset)
    : kind_(kind),
      // Reference kernels have fixed-point logarithms of int8 only.
      fixed_(rule == Rule::tflite && (kind == SoftmaxKind::softmax || offset != 0)),
      input_scale_(input_scale),
      offset_(offset) {
  for (std::size_t d = 0; d < table_.size(); ++d) {
    table_[d] = std::exp(-input_scale * static_cast<float>(d));
  }
  if (!fixed_) return;
  const double scaled = std::ldexp(static_cast<double>(input_scale), 31 - difference_bits);
  const auto factor = fixed_multiplier(std::min(scaled, static_cast<double>(INT32_MAX)));
  const double reach = std::ldexp((1 << difference_bits) - 1, 31 - difference_bits - factor.shift);
  furthest_ = static_cast<int>(std::min(std::floor(reach), 255.0));
  for (int d = 0; d <= furthest_; ++d) {
    const auto at = static_cast<std::size_t>(d);
    scaled_[at] = high_product(shift_left(-d, std::max(factor.shift, 0)), factor.multiplier);
    exponentials_[at] = fixed_exp(scaled_[at], difference_bits);
  }
  to_distance_ = fixed_multiplier(std::ldexp(1.0, 31 - factor.shift) / factor.multiplier);
}

void Softmax::row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                  std::int64_t step) const {
  if (kind_ == SoftmaxKind::softmax) {
    return fixed_ ? fixed_row(input, output, count, step) : table_row(input, output, count, step);
  }
  return fixed_ ? fixed_log_row(input, output, count, step)
                : table_log_row(input, output, count, step);
}

std::uint32_t Softmax::fixed_sum(const std::uint8_t* input, std::int64_t count, std::int64_t step,
                                 std::int32_t most) const {
  std::uint32_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t d = most - input[i * step];
    if (d > furthest_) continue;
    sum += static_cast<std::uint32_t>(
        divide_away(exponentials_[static_cast<std::size_t>(d)], sum_bits));
  }
  return sum;
}

float Softmax::table_sum(const std::uint8_t* input, std::int64_t count, std::int64_t step,
                         std::int32_t most) const {
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += table_[static_cast<std::size_t>(most - input[i * step])];
  }
  return sum;
}

void Softmax::fixed_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                        std::int64_t step) const {
  const std::int32_t most = largest(input, count, step);
  const std::uint32_t sum = fixed_sum(input, count, step, most);
  // sum = (1 + rest) * 2^over.
  const int zeros = std::countl_zero(sum);
  const int over = sum_bits - zeros;
  const auto rest = static_cast<std::int32_t>((sum << zeros) - (std::uint32_t{1} << 31));
  const std::int32_t reciprocal = fixed_reciprocal(rest);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t d = most - input[i * step];
    std::int32_t code = 0;
    if (d <= furthest_) {
      const std::int32_t share =
          high_product(exponentials_[static_cast<std::size_t>(d)], reciprocal);
      code = shifted(share, over + 31 - 8);
    }
    output[i * step] = byte(code);
  }
}

void Softmax::table_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                        std::int64_t step) const {
  const std::int32_t most = largest(input, count, step);
  const float sum = table_sum(input, count, step, most);
  const float factor = 1.0F / (sum * softmax_output(kind_).scale);
  for (std::int64_t i = 0; i < count; ++i) {
    const float share = table_[static_cast<std::size_t>(most - input[i * step])] * factor;
    output[i * step] = byte(static_cast<std::int32_t>(share + 0.5F));
  }
}

void Softmax::table_log_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                            std::int64_t step) const {
  const std::int32_t most = largest(input, count, step);
  const float sum = table_sum(input, count, step, most);
  const Affine params = softmax_output(kind_);
  const float base = static_cast<float>(most - offset_) * input_scale_ + std::log(sum);
  for (std::int64_t i = 0; i < count; ++i) {
    const float logarithm = input_scale_ * static_cast<float>(input[i * step] - offset_) - base;
    const float steps = saturate(logarithm / params.scale, -255.0F, 0.0F);
    output[i * step] = byte(static_cast<std::int32_t>(round_half_even(steps)) + params.zero_point);
  }
}

void Softmax::fixed_log_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                            std::int64_t step) const {
  const std::int32_t most = largest(input, count, step);
  const std::uint32_t sum = fixed_sum(input, count, step, most);
  const std::int32_t logarithm = fixed_log(static_cast<std::int32_t>(sum));
  // The furthest distance whose difference to the logarithm still has 5 integer bits.
  const std::int32_t reach = scale_twice_rounded(logarithm + INT32_MIN, to_distance_);
  const std::int32_t furthest = std::min(furthest_, -reach - 1);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t d = most - input[i * step];
    std::int32_t code = 0;
    if (d <= furthest) {
      constexpr int output_bits = 4;
      code = divide_away(scaled_[static_cast<std::size_t>(d)] - logarithm,
                         31 - difference_bits - output_bits) +
             softmax_output(kind_).zero_point;
    }
    output[i * step] = byte(code);
  }
}

}  // namespace octet::litert

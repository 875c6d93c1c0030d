#include "arithmetic/litert_wide.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "arithmetic/round.h"

namespace octet::litert {
namespace {

constexpr std::int32_t least16 = INT16_MIN;
constexpr std::int32_t most16 = INT16_MAX;

/// Where LiteRT's table of the sigmoid has one more than the nearest integer.
constexpr auto one_more = std::to_array<std::uint8_t>(
    {4,  8,  12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31,  33,  34,  35,  37,  39,
     40, 41, 43, 44, 45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255});

/// value * 2^15 * factor with one rounding. A right shift comes first and is cut off.
std::int32_t common_units_once(std::int32_t value, const FixedMultiplier& factor, int left) {
  const int shift = factor.shift + left;
  const std::int32_t shifted =
      shift >= 0 ? shift_left(value, shift) : value >> std::min(-shift, 31);
  return high_product(shifted, factor.multiplier);
}

std::int32_t position(std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, least16, most16));
}

}  // namespace

Binary wide_binary(Operation operation, float a_scale, float b_scale, float output_scale) {
  if (operation == Operation::multiply) {
    return binary(Rule::tflite, operation, {a_scale, 0}, {b_scale, 0}, {output_scale, 0});
  }
  Binary result;
  result.a.scale = a_scale;
  result.b.scale = b_scale;
  result.output.scale = output_scale;
  binary_detail::set_fixed_sum(result, operation == Operation::subtract, 15);
  return result;
}

Binary power_of_two_sum(Operation operation, float a_scale, float b_scale, float output_scale) {
  Binary result = wide_binary(operation, a_scale, b_scale, output_scale);
  const auto right = [&](float scale) -> std::optional<int> {
    int steps = 0;
    const bool power = std::frexp(scale, &steps) == 0.5F;
    int output_steps = 0;
    const bool output_power = std::frexp(output_scale, &output_steps) == 0.5F;
    const int shift = output_steps - steps;
    return power && output_power && shift >= 0 && shift <= 31 ? std::optional(shift) : std::nullopt;
  };
  const auto a = right(a_scale);
  const auto b = right(b_scale);
  if (!a || !b || (*a != 0 && *b != 0)) return result;
  result.form = BinaryForm::shifted_sum;
  result.a_right = *a;
  result.b_right = *b;
  return result;
}

std::int32_t code_in_block(const Binary& sum, std::int32_t a, std::int32_t b, std::int32_t low,
                           std::int32_t high) {
  const std::int32_t left = common_units_once(a, sum.a_factor, sum.left);
  const std::int32_t right = common_units_once(b, sum.b_factor, sum.left);
  return to_code(scale_twice_rounded(left + right, sum.factor), 0, low, high);
}

WideSigmoid::WideSigmoid(float input_scale) {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const double sigmoid = 1 / (1 + std::exp(-static_cast<double>(i) / 24));
    table_[i] = static_cast<std::int32_t>(std::round(sigmoid * 65536));
  }
  for (const std::size_t i : one_more) ++table_[i];
  double multiplier = static_cast<double>(input_scale) * 3 * 4096;
  while (multiplier <= 32767.0 / 2 && right_ <= 30) {
    multiplier *= 2;
    ++right_;
  }
  multiplier_ = static_cast<std::int32_t>(std::min(multiplier, static_cast<double>(INT32_MAX)));
}

std::int32_t WideSigmoid::steps(std::int32_t code) const {
  const auto product = static_cast<std::uint32_t>(code) * static_cast<std::uint32_t>(multiplier_);
  const std::uint32_t half = (std::uint32_t{1} << right_) >> 1;
  return static_cast<std::int32_t>(product + half) >> right_;
}

std::int32_t WideSigmoid::between(std::uint32_t magnitude, int bits) const {
  const std::size_t at = magnitude >> bits;
  const auto rest = static_cast<std::int32_t>(magnitude & ((std::uint32_t{1} << bits) - 1));
  return (table_[at] << bits) + rest * (table_[at + 1] - table_[at]);
}

std::int32_t WideSigmoid::logistic(std::int32_t code) const {
  const std::int32_t x = steps(code);
  const auto magnitude = x < 0 ? 0U - static_cast<std::uint32_t>(x) : static_cast<std::uint32_t>(x);
  const std::int32_t value = magnitude >> 9 >= 255 ? most16 << 10 : between(magnitude, 9);
  return (x >= 0 ? value + (1 << 9) : (1 << 25) - value + (1 << 9) - 1) >> 10;
}

std::int32_t WideSigmoid::tanh(std::int32_t code) const {
  // tanh(x) = 2 * sigmoid(2 x) - 1.
  const std::int32_t x = steps(code);
  const auto magnitude = x < 0 ? 0U - static_cast<std::uint32_t>(x) : static_cast<std::uint32_t>(x);
  const std::int32_t value = magnitude >> 8 >= 255 ? 0xFFFF << 8 : between(magnitude, 8);
  return (x >= 0 ? value - (1 << 23) + (1 << 7) : (1 << 23) - value + (1 << 7) - 1) >> 8;
}

template <class Real, class Function>
void WideTable::fill(Function function, Real least, Real most, Real factor) {
  const auto intervals = table_.size() - 1;
  const Real step = (most - least) / static_cast<Real>(intervals);
  const auto begin = [&](std::size_t i) { return least + static_cast<Real>(i) * step; };
  const auto scaled = [&](Real x) { return function(x) * factor; };
  for (std::size_t i = 0; i <= intervals; ++i) {
    const Real here = std::round(scaled(i < intervals ? begin(i) : most));
    Real correction = 0;
    if (i < intervals) {
      const Real line = std::round((scaled(begin(i + 1)) + here) / 2);
      correction = std::round((line - std::round(scaled(begin(i) + step / 2))) / 2);
    }
    table_[i] = static_cast<std::int16_t>(
        saturate(here - correction, static_cast<Real>(least16), static_cast<Real>(most16)));
  }
}

WideTable::WideTable(double (*function)(double), double least, double most) {
  fill(function, least, most, 32768.0);
}

WideTable::WideTable(float input_scale, float output_scale,
                     const std::function<float(float)>& function) {
  const auto end = [](float scale, std::int32_t code) { return scale * static_cast<float>(code); };
  const float range = end(output_scale, most16) - end(output_scale, least16);
  fill(function, end(input_scale, least16), end(input_scale, most16), 65536.0F / range);
}

std::int32_t WideTable::at(std::int32_t position) const {
  const auto i = static_cast<std::size_t>(256 + (position >> 7));
  const std::int32_t rest = position & 127;
  return table_[i] + (((table_[i + 1] - table_[i]) * rest + 64) >> 7);
}

WideSoftmax::WideSoftmax(float input_scale)
    : exponential_([](double x) { return std::exp(x); }, -10, 0),
      reciprocal_([](double x) { return 1 / (1 + x); }, 0, 1),
      to_position_(fixed_multiplier(static_cast<double>(input_scale) / (10.0 / 65535.0))) {}

void WideSoftmax::row(const std::int16_t* input, std::int16_t* output, std::int64_t count) const {
  const std::int32_t most = *std::max_element(input, input + count);
  std::int64_t sum = 0;  // 15 fractional bits
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t distance = scale_twice_rounded(input[i] - most, to_position_);
    const std::int32_t exponential = exponential_.at(position(std::int64_t{distance} + most16));
    output[i] = static_cast<std::int16_t>(exponential);
    sum += exponential;
  }
  // sum = (1 + rest) * 2^over, rest with 16 fractional bits. Beyond 2^31 LiteRT's sum overflows.
  sum = std::min<std::int64_t>(sum, INT32_MAX);
  const int zeros = std::countl_zero(static_cast<std::uint32_t>(sum));
  const std::int64_t rest = (((sum << (zeros - 1)) + (1 << 13)) >> 14) - (1 << 16);
  const std::int32_t reciprocal = reciprocal_.at(position(rest - (1 << 15)));
  const int right = 31 - zeros;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t share =
        (std::int64_t{output[i]} * reciprocal + (std::int64_t{1} << (right - 1))) >> right;
    output[i] = static_cast<std::int16_t>(std::clamp<std::int64_t>(share, 0, most16));
  }
}

}  // namespace octet::litert

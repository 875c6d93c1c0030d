#include "arithmetic/litert_resample.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/fixed_point.h"
#include "arithmetic/round.h"

namespace octet::litert {
namespace {

constexpr std::int32_t fixed_one = 1 << 10;
constexpr std::int32_t delegate_one = 1 << 11;

ResamplePoint fixed_point_of(const ResampleAxis& axis, std::int64_t position) {
  const bool corners = axis.align_corners && axis.output > 1;
  const std::int64_t from = corners ? axis.input - 1 : axis.input;
  const std::int64_t to = corners ? axis.output - 1 : axis.output;
  const std::int64_t step = (fixed_one * from + to / 2) / to;
  std::int64_t at = position * step;
  if (axis.half_pixel) at += step / 2 - fixed_one / 2;
  ResamplePoint point;
  // Quotients are cut off, toward zero.
  point.lower = std::max<std::int64_t>(at / fixed_one, 0);
  point.upper = std::min((at + fixed_one - 1) / fixed_one, axis.input - 1);
  point.fixed = static_cast<std::int32_t>(at - fixed_one * point.lower);
  return point;
}

float real_position(const ResampleAxis& axis, std::int64_t position) {
  const bool corners = axis.align_corners && axis.output > 1;
  const float step = corners
                         ? static_cast<float>(axis.input - 1) / static_cast<float>(axis.output - 1)
                         : static_cast<float>(axis.input) / static_cast<float>(axis.output);
  const auto at = static_cast<float>(position);
  return axis.half_pixel ? (at + 0.5F) * step - 0.5F : at * step;
}

ResamplePoint floating_point_of(const ResampleAxis& axis, std::int64_t position) {
  const float at = real_position(axis, position);
  ResamplePoint point;
  point.lower = std::max<std::int64_t>(static_cast<std::int64_t>(std::floor(at)), 0);
  point.upper = std::min(static_cast<std::int64_t>(std::ceil(at)), axis.input - 1);
  point.floating = at - static_cast<float>(point.lower);
  return point;
}

ResamplePoint delegate_point_of(const ResampleAxis& axis, std::int64_t position) {
  const float at =
      saturate(real_position(axis, position), 0.0F, static_cast<float>(axis.input - 1));
  ResamplePoint point;
  point.lower = static_cast<std::int64_t>(at);
  point.upper = std::min(point.lower + 1, axis.input - 1);
  const float weight = at - static_cast<float>(point.lower);
  point.fixed = static_cast<std::int32_t>(round_half_even(weight * delegate_one));
  return point;
}

}  // namespace

ResamplePoint resample_point(Resample form, const ResampleAxis& axis, std::int64_t position) {
  switch (form) {
    case Resample::fixed: return fixed_point_of(axis, position);
    case Resample::floating: return floating_point_of(axis, position);
    case Resample::delegate: break;
  }
  return delegate_point_of(axis, position);
}

std::int32_t resample(Resample form, const ResamplePoint& y, const ResamplePoint& x,
                      std::int32_t top_left, std::int32_t top_right, std::int32_t bottom_left,
                      std::int32_t bottom_right) {
  if (form == Resample::delegate) {
    const std::int32_t top = top_left * delegate_one + (top_right - top_left) * x.fixed;
    const std::int32_t bottom = bottom_left * delegate_one + (bottom_right - bottom_left) * x.fixed;
    return divide_up(top * delegate_one + (bottom - top) * y.fixed, 22);
  }
  if (form == Resample::fixed) {
    const std::int32_t right = x.fixed;
    const std::int32_t left = fixed_one - right;
    const std::int32_t bottom = y.fixed;
    const std::int32_t top = fixed_one - bottom;
    const std::int64_t sum =
        std::int64_t{top_left} * top * left + std::int64_t{bottom_left} * bottom * left +
        std::int64_t{top_right} * top * right + std::int64_t{bottom_right} * bottom * right;
    return static_cast<std::int32_t>((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
  }
  const auto at = [](std::int32_t code) { return static_cast<float>(code); };
  const float dy = y.floating;
  const float dx = x.floating;
  const float sum = at(top_left) * (1 - dy) * (1 - dx) + at(bottom_left) * dy * (1 - dx) +
                    at(top_right) * (1 - dy) * dx + at(bottom_right) * dy * dx;
  return static_cast<std::int32_t>(sum + 0.5F);
}

}  // namespace octet::litert

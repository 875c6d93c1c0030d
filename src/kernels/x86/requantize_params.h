#pragma once
// What the tail of a kernel needs besides what it has for each channel.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "kernels/conv.h"

namespace octet::kernels {

/// Rule onnx. The tails limit f32(acc) * multiplier from above by `high` (still a float, so that
/// the conversion to int32 is defined; NaN and overflow below both convert to INT32_MIN), round
/// half to even, and leave the lower limit to saturating packs and a byte maximum with `low`. The
/// limits are integers, so limiting before or after rounding gives the same code.
///
/// Where a tail is `saturating`, no limit needs an instruction of its own: |f32(acc) * multiplier|
/// is less than 2^31, so that the conversion is defined, the packs keep the order, the zero point
/// is added with saturation to 16 bits, and the last pack ends at 0 and 255.
struct RequantizeParams {
  ConvOutput output = ConvOutput::codes;
  float high = 0;               ///< largest output code - output zero point
  std::int16_t zero_point = 0;  ///< of the output
  std::uint8_t low = 0;         ///< smallest output code
  bool saturating = false;      ///< all codes are allowed and all |multipliers| are below 1

  RequantizeParams() = default;
  RequantizeParams(ConvOutput form, std::uint8_t output_zero_point, std::uint8_t lowest,
                   std::uint8_t highest, std::span<const float> multipliers)
      : output(form),
        high(static_cast<float>(int{highest} - int{output_zero_point})),
        zero_point(output_zero_point),
        low(lowest),
        saturating(lowest == 0 && highest == 255 &&
                   std::all_of(multipliers.begin(), multipliers.end(),
                               [](float m) { return std::abs(m) < 1; })) {}
  explicit RequantizeParams(const ConvParams& params)
      : RequantizeParams(params.output, params.output_zero_point, params.low, params.high,
                         params.multiplier) {}
};

}  // namespace octet::kernels

#pragma once
// What the tail of a kernel needs besides the bias and multiplier of each channel.

#include <cstdint>

#include "kernels/conv.h"

namespace octet::kernels {

/// Rule onnx. The tails limit f32(acc) * multiplier from above by `high` (still a float, so that
/// the conversion to int32 is defined; NaN and overflow below both convert to INT32_MIN), round
/// half to even, and leave the lower limit to saturating packs and a byte maximum with `low`. The
/// limits are integers, so limiting before or after rounding gives the same code.
struct RequantizeParams {
  float high = 0;               ///< largest output code - output zero point
  std::int16_t zero_point = 0;  ///< of the output
  std::uint8_t low = 0;         ///< smallest output code

  RequantizeParams() = default;
  explicit RequantizeParams(const ConvParams& params)
      : high(static_cast<float>(params.high - params.output_zero_point)),
        zero_point(params.output_zero_point),
        low(params.low) {}
};

}  // namespace octet::kernels

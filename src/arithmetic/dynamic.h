#pragma once
// Quantization at run time: from the range of the tensor at hand to its scale and zero point, and
// from the int32 accumulator back to f32.
//
// Sources: ONNX DynamicQuantizeLinear, MatMulInteger, ConvInteger; ONNX Runtime's
// GetQuantizationParameter (onnxruntime/core/util/qmath.h) for what the specification leaves open.

#include <cstdint>

#include "arithmetic/round.h"

namespace octet {

/// Of unsigned 8-bit codes: real = scale * (q - zero_point), 0 <= q <= 255.
struct DynamicParams {
  float scale = 1;
  std::int32_t zero_point = 0;
};

/// ONNX DynamicQuantizeLinear, each operation rounding to f32:
///
///   minimum = min(minimum, 0), maximum = max(maximum, 0)
///   scale = (maximum - minimum) / 255, or 1 where that is 0
///   zero_point = round_half_even(saturate(0 - minimum / scale, 0, 255))
///
/// The specification divides by a scale of 0 for a tensor of zeros; ONNX Runtime takes 1 there, and
/// all codes are 0 then. Where a range of denormals gives the scale 0, 0 / 0 saturates to 255.
[[nodiscard]] inline DynamicParams dynamic_params(float minimum, float maximum) {
  minimum = minimum < 0 ? minimum : 0;
  maximum = maximum > 0 ? maximum : 0;
  const float scale = minimum == maximum ? 1.0F : (maximum - minimum) / 255.0F;
  const float unlimited = 0.0F - minimum / scale;
  const float zero_point = unlimited < 255.0F ? saturate(unlimited, 0.0F, 255.0F) : 255.0F;
  return {scale, static_cast<std::int32_t>(round_half_even_bounded(zero_point))};
}

/// f32(accumulator) * multiplier + bias in two roundings, where multiplier = input scale * weight
/// scale, rounded first (ONNX Runtime's MatMulIntegerToFloat).
[[nodiscard]] inline float float_output(std::int32_t accumulator, float multiplier, float bias) {
  return static_cast<float>(accumulator) * multiplier + bias;
}

/// The bias that changes nothing: -0 + x is x for every x, also for -0.
inline constexpr float no_bias = -0.0F;

}  // namespace octet

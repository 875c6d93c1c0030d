#pragma once
// Quantize and dequantize.
//
//   q = clamp(round_half_even(x / scale) + zero_point, qmin, qmax)
//   x = scale * (q - zero_point)
//
// ONNX QuantizeLinear / DequantizeLinear: divide (never multiply by a reciprocal), round, then add.
// The division is an f32 division.

#include <cstdint>
#include <span>

#include "arithmetic/params.h"
#include "arithmetic/round.h"
#include "core/tensor.h"

namespace octet {

/// One value. NaN becomes qmin.
[[nodiscard]] inline std::int32_t quantize_value(float x, float scale, std::int32_t zero_point,
                                                 std::int32_t qmin, std::int32_t qmax) {
  const float rounded = round_half_even(x / scale);
  // Saturated while still a float: the conversion to int32 is then always defined.
  const float low = static_cast<float>(qmin - zero_point);
  const float high = static_cast<float>(qmax - zero_point);
  return static_cast<std::int32_t>(saturate(rounded, low, high)) + zero_point;
}

/// quantize_value for codes of at most 16 bits. Saturating first gives the same code, because the
/// limits are integers, and bounds what is rounded.
[[nodiscard]] inline std::int32_t quantize_narrow(float x, float scale, std::int32_t zero_point,
                                                  std::int32_t qmin, std::int32_t qmax) {
  const float limited = saturate(x / scale, static_cast<float>(qmin - zero_point),
                                 static_cast<float>(qmax - zero_point));
  return static_cast<std::int32_t>(round_half_even_bounded(limited)) + zero_point;
}

/// One value; the subtraction is exact in int32, the product rounds once to f32.
[[nodiscard]] inline float dequantize_value(std::int32_t q, float scale, std::int32_t zero_point) {
  return scale * static_cast<float>(q - zero_point);
}

/// Quantizes an f32 tensor to signed codes in `storage` (i8, i16 or i32; the smallest that holds
/// scheme.bits is usual). Per-channel along params.axis.
[[nodiscard]] Result<Tensor> quantize(const Tensor& values, const QuantParams& params,
                                      const QuantScheme& scheme, DType storage);

/// The f32 values that signed codes (i8, i16, i32, i64) stand for. Per-channel along params.axis.
/// 64-bit codes are biases: their zero point counts as 0, and their image rounds.
[[nodiscard]] Result<Tensor> dequantize(const Tensor& codes, const QuantParams& params);

/// dequantize(quantize(values)): what the integer model makes of them.
[[nodiscard]] Result<Tensor> fake_quantize(const Tensor& values, const QuantParams& params,
                                           const QuantScheme& scheme);

}  // namespace octet

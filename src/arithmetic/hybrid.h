#pragma once
// Rules tflite and xnnpack, dynamic range ("hybrid") operators: float activations are quantized to
// int8 when the program runs, by the range of one row or one image at a time, and the int32 sums
// over int8 weights become f32. Measured bit for bit on LiteRT 2.3.0 (tests/parity/litert_rows.py).

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "arithmetic/round.h"

namespace octet::litert {

/// How a unit's range [minimum, maximum] becomes signed codes.
enum class HybridCodes : std::uint8_t {
  symmetric,   ///< built-in kernels: range / 127, half away from zero
  asymmetric,  ///< built-in kernels: zero point in f64, half away from zero before it is added
  delegate,    ///< XNNPACK's qdint8: all in f32, half to even
};

/// What has one range.
enum class HybridUnit : std::uint8_t {
  row,    ///< a matrix row; of an image, a pixel
  image,  ///< an image of the batch
};

/// How an accumulator becomes f32: by unit scale s, weight scale w and bias.
enum class HybridOutput : std::uint8_t {
  scales_first,   ///< acc * (s * w) + bias, three roundings
  channel_first,  ///< (acc * w) * s + bias, three roundings
  fused,          ///< fma(acc * s, w, bias), two roundings
};

struct HybridForm {
  HybridCodes codes = HybridCodes::asymmetric;
  HybridUnit unit = HybridUnit::row;
  HybridOutput output = HybridOutput::scales_first;

  friend bool operator==(const HybridForm&, const HybridForm&) = default;
};

/// real = scale * (code - zero_point); codes are made with `factor`, nearly 1 / scale.
struct HybridParams {
  float scale = 1;
  float factor = 1;
  std::int32_t zero_point = 0;
};

/// Codes lie in [-127, 127]. Without a range the scale is 1.
[[nodiscard]] inline HybridParams symmetric_params(float minimum, float maximum) {
  const float range = std::max(std::abs(minimum), std::abs(maximum));
  if (!(range > 0)) return {};
  return {range / 127.0F, 127.0F / range, 0};
}

/// The zero point is worked out from the end of the range whose code is nearer to it, by
/// magnitudes.
[[nodiscard]] inline HybridParams asymmetric_params(float minimum, float maximum) {
  minimum = std::min(minimum, 0.0F);
  maximum = std::max(maximum, 0.0F);
  if (!(minimum < maximum)) return {};
  const double step = static_cast<double>(maximum - minimum) / 255.0;
  const double low = static_cast<double>(minimum) / step;
  const double high = static_cast<double>(maximum) / step;
  const double zero_point =
      128.0 + std::abs(low) < 127.0 + std::abs(high) ? -128.0 - low : 127.0 - high;
  const auto scale = static_cast<float>(step);
  return {scale, 1.0F / scale,
          static_cast<std::int32_t>(round_half_away(saturate(zero_point, -128.0, 127.0)))};
}

[[nodiscard]] inline HybridParams delegate_params(float minimum, float maximum) {
  minimum = std::min(minimum, 0.0F);
  maximum = std::max(maximum, 0.0F);
  const float factor = minimum == maximum ? 1.0F : 255.0F / (maximum - minimum);
  const float low = minimum * factor;
  const float high = maximum * factor;
  const float zero_point = (-128.0F + low) + (127.0F + high) > 0.0F ? -128.0F - low : 127.0F - high;
  return {1.0F / factor, factor,
          static_cast<std::int32_t>(round_half_even(saturate(zero_point, -128.0F, 127.0F)))};
}

[[nodiscard]] inline HybridParams hybrid_params(HybridCodes codes, float minimum, float maximum) {
  switch (codes) {
    case HybridCodes::symmetric: return symmetric_params(minimum, maximum);
    case HybridCodes::asymmetric: return asymmetric_params(minimum, maximum);
    case HybridCodes::delegate: break;
  }
  return delegate_params(minimum, maximum);
}

/// The signed code of x. NaN becomes the lowest.
[[nodiscard]] inline std::int32_t hybrid_code(HybridCodes codes, const HybridParams& params,
                                              float x) {
  const float scaled = x * params.factor;
  const float rounded =
      codes == HybridCodes::delegate ? round_half_even(scaled) : round_half_away(scaled);
  const float low = codes == HybridCodes::symmetric ? -127.0F : -128.0F;
  const auto zero_point = static_cast<float>(params.zero_point);
  return static_cast<std::int32_t>(saturate(rounded, low - zero_point, 127.0F - zero_point)) +
         params.zero_point;
}

[[nodiscard]] inline float hybrid_output(HybridOutput form, std::int32_t accumulator, float scale,
                                         float weight_scale, float bias) {
  const auto sum = static_cast<float>(accumulator);
  switch (form) {
    case HybridOutput::scales_first: return sum * (scale * weight_scale) + bias;
    case HybridOutput::channel_first: return (sum * weight_scale) * scale + bias;
    case HybridOutput::fused: break;
  }
  return std::fma(sum * scale, weight_scale, bias);
}

}  // namespace octet::litert

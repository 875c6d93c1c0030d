#pragma once
// Rules tflite and xnnpack, accumulating operators: how LiteRT makes 8-bit codes of an exact
// int32 accumulator. Rule tflite is its reference kernels (BUILTIN_REF), rule xnnpack what it
// computes by default on x86-64: XNNPACK where its delegate takes the operator, LiteRT's optimized
// kernels elsewhere. Measured bit for bit on version 2.3.0 (tests/parity/litert_rows.py).

#include <cstdint>

#include "arithmetic/fixed_point.h"
#include "arithmetic/requantize.h"
#include "arithmetic/round.h"

namespace octet::litert {

/// From the accumulator to the rounded code minus the zero point, by one real factor
/// (input scale * weight scale) / output scale.
enum class Scaling : std::uint8_t {
  floating,       ///< XNNPACK: requantize_onnx, f32 and half to even
  twice_rounded,  ///< reference kernels but FULLY_CONNECTED: scale_twice_rounded
  rounded_up,     ///< ruy, which optimized kernels use: scale_rounded_up
  real,           ///< reference FULLY_CONNECTED: the f64 product, half away from zero
};

/// How the factor is formed before it becomes f32, f64 or a FixedMultiplier.
enum class Product : std::uint8_t {
  exact,    ///< input scale * weight scale in f64: what has scales per channel, and real
  rounded,  ///< in f32 first: uint8 layers, BATCH_MATMUL, optimized FULLY_CONNECTED per tensor
};

struct LayerForm {
  Scaling scaling = Scaling::floating;
  Product product = Product::exact;

  friend bool operator==(const LayerForm&, const LayerForm&) = default;
};

/// The factor in f64, for all but Scaling::floating.
[[nodiscard]] inline double factor(Product product, float input_scale, float weight_scale,
                                   float output_scale) {
  const double inputs = product == Product::exact
                            ? static_cast<double>(input_scale) * static_cast<double>(weight_scale)
                            : static_cast<double>(input_scale * weight_scale);
  return inputs / static_cast<double>(output_scale);
}

/// Scaling::real before limiting: |accumulator * factor| may exceed int32.
[[nodiscard]] inline double scale_real(std::int32_t accumulator, double factor) {
  return round_half_away(static_cast<double>(accumulator) * factor);
}

/// `scaled` and the zero point as a code within [low, high].
[[nodiscard]] inline std::int32_t to_code(std::int32_t scaled, std::int32_t zero_point,
                                          std::int32_t low, std::int32_t high) {
  return saturate(scaled, low - zero_point, high - zero_point) + zero_point;
}
[[nodiscard]] inline std::int32_t to_code(double scaled, std::int32_t zero_point, std::int32_t low,
                                          std::int32_t high) {
  return static_cast<std::int32_t>(saturate(scaled, static_cast<double>(low - zero_point),
                                            static_cast<double>(high - zero_point))) +
         zero_point;
}

/// One output channel's factor in the form that its scaling wants.
struct Channel {
  float floating = 1;
  FixedMultiplier fixed;
  double real = 1;
};

[[nodiscard]] inline Channel channel(Product product, float input_scale, float weight_scale,
                                     float output_scale) {
  Channel result;
  result.floating = onnx_multiplier(input_scale, weight_scale, output_scale);
  result.real = factor(product, input_scale, weight_scale, output_scale);
  result.fixed = fixed_multiplier(result.real);
  return result;
}

[[nodiscard]] inline std::int32_t requantize(Scaling scaling, const Channel& channel,
                                             std::int32_t accumulator, std::int32_t zero_point,
                                             std::int32_t low, std::int32_t high) {
  switch (scaling) {
    case Scaling::floating: break;
    case Scaling::twice_rounded:
      return to_code(scale_twice_rounded(accumulator, channel.fixed), zero_point, low, high);
    case Scaling::rounded_up:
      return to_code(scale_rounded_up(accumulator, channel.fixed), zero_point, low, high);
    case Scaling::real:
      return to_code(scale_real(accumulator, channel.real), zero_point, low, high);
  }
  return requantize_onnx(accumulator, channel.floating, zero_point, low, high);
}

/// The code that limits a fused activation at the real number `bound`, built-in kernels: the
/// quotient rounded half away from zero, then the zero point.
[[nodiscard]] inline std::int32_t bound_half_away(float bound, float scale, std::int32_t zero_point,
                                                  std::int32_t qmin, std::int32_t qmax) {
  return to_code(static_cast<double>(round_half_away(bound / scale)), zero_point, qmin, qmax);
}

/// The same in XNNPACK: the zero point (as the file states it) is added before rounding half to
/// even, in f32.
[[nodiscard]] inline std::int32_t bound_half_even(float bound, float scale, std::int32_t zero_point,
                                                  std::int32_t qmin, std::int32_t qmax) {
  const float code = bound / scale + static_cast<float>(zero_point);
  return static_cast<std::int32_t>(
      round_half_even(saturate(code, static_cast<float>(qmin), static_cast<float>(qmax))));
}

// Codes of 16 bits, with sums of 64.

/// From the accumulator to the rounded code. Zero points are 0.
enum class WideScaling : std::uint8_t {
  reduced,     ///< scale_wide
  real,        ///< FULLY_CONNECTED: the f64 product, half away from zero
  rounded_up,  ///< optimized FULLY_CONNECTED without an int64 bias: scale_rounded_up, sum mod 2^32
};

struct WideForm {
  WideScaling scaling = WideScaling::reduced;
  Product product = Product::exact;

  friend bool operator==(const WideForm&, const WideForm&) = default;
};

[[nodiscard]] inline std::int32_t requantize_wide(WideScaling scaling, const Channel& channel,
                                                  std::int64_t accumulator, std::int32_t low,
                                                  std::int32_t high) {
  switch (scaling) {
    case WideScaling::reduced: return to_code(scale_wide(accumulator, channel.fixed), 0, low, high);
    case WideScaling::real: break;
    case WideScaling::rounded_up:
      return to_code(scale_rounded_up(static_cast<std::int32_t>(accumulator), channel.fixed), 0,
                     low, high);
  }
  return to_code(round_half_away(static_cast<double>(accumulator) * channel.real), 0, low, high);
}

/// QUANTIZE of f32 to int16, rule tflite: half away from zero.
[[nodiscard]] inline std::int32_t quantize_wide_reference(float x, float scale,
                                                          std::int32_t zero_point,
                                                          std::int32_t qmin, std::int32_t qmax) {
  return to_code(static_cast<double>(round_half_away(x / scale)), zero_point, qmin, qmax);
}
/// The same, rule xnnpack: times the reciprocal, half to even.
[[nodiscard]] inline std::int32_t quantize_wide_default(float x, float scale,
                                                        std::int32_t zero_point, std::int32_t qmin,
                                                        std::int32_t qmax) {
  return to_code(static_cast<double>(round_half_even(x * (1.0F / scale))), zero_point, qmin, qmax);
}

}  // namespace octet::litert

#pragma once
// Rules tflite and xnnpack: RESIZE_BILINEAR of codes, whose output has the input's params. Measured
// on LiteRT 2.3.0 (tests/parity/litert_rows_elementwise.py). Sources of the formulas: TensorFlow
// Lite (resize_bilinear.h), XNNPACK (indirection.c, s8-ibilinear).

#include <cstdint>

#include "arithmetic/requantize.h"

namespace octet::litert {

enum class Resample : std::uint8_t {
  fixed,     ///< rule tflite, int8, and 16 bits: weights of 10 bits, the sum half away from zero
  floating,  ///< rule tflite, uint8: f32 weights, plus 1/2 and cut off
  delegate,  ///< XNNPACK: weights of 11 bits from f32, one axis after the other, ties upward
};

/// `runtime_size`: the size is computed at run time, which XNNPACK's delegate leaves to the
/// built-in kernels. `unsigned_codes`: the file has uint8.
[[nodiscard]] inline Resample resample_form(Rule rule, bool runtime_size, bool unsigned_codes) {
  if (rule == Rule::xnnpack && !runtime_size) return Resample::delegate;
  return unsigned_codes ? Resample::floating : Resample::fixed;
}

/// How output positions map to input positions: x' = x * step, or (x + 1/2) * step - 1/2.
struct ResampleAxis {
  std::int64_t input = 1;
  std::int64_t output = 1;
  bool align_corners = false;  ///< the step is (input - 1) / (output - 1)
  bool half_pixel = false;
};

/// An output position between two input positions; one of the weights is used.
struct ResamplePoint {
  std::int64_t lower = 0;
  std::int64_t upper = 0;
  std::int32_t fixed = 0;  ///< weight of upper, of 10 or 11 bits
  float floating = 0;
};

[[nodiscard]] ResamplePoint resample_point(Resample form, const ResampleAxis& axis,
                                           std::int64_t position);

/// The codes at (lower y, lower x), (lower y, upper x), (upper y, lower x), (upper y, upper x), as
/// the file has them, to one such code.
[[nodiscard]] std::int32_t resample(Resample form, const ResamplePoint& y, const ResamplePoint& x,
                                    std::int32_t top_left, std::int32_t top_right,
                                    std::int32_t bottom_left, std::int32_t bottom_right);

}  // namespace octet::litert

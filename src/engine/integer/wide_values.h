#pragma once
// Values of 9 to 16 bits by rules tflite and xnnpack. Both engines hold them as the f32 that their
// codes stand for, which loses nothing: codes of up to 16 bits come back from it as they were.

#include "arithmetic/quantize.h"
#include "engine/float/float_op.h"
#include "graph/plan.h"

namespace octet {

/// Whether values so quantized have codes of 9 to 16 bits, one scale and the zero point 0.
[[nodiscard]] bool is_wide(const Quantization* quantization);

/// The i16 codes that an f32 image stands for.
[[nodiscard]] Result<Tensor> wide_codes(const Tensor& image, const Quantization& quantization);
/// The image of i16 codes.
[[nodiscard]] Result<Tensor> wide_image(const Tensor& codes, const Quantization& quantization);

/// Whether LiteRT has a QUANTIZE between codes so quantized, of which one side has 16 bits and the
/// other 16 or 8 signed ones.
[[nodiscard]] bool converts_wide(const Quantization* from, const Quantization* to);
/// What it makes of an image.
[[nodiscard]] Result<Tensor> converted_image(const Tensor& image, const Quantization& from,
                                             const Quantization& to);

/// What quantization leaves of freshly computed f32 values by `rule`: LiteRT's QUANTIZE to int16
/// where the value is wide and the rule LiteRT's, else fake_quantize.
[[nodiscard]] Result<Tensor> fake_quantize_by(Rule rule, const Tensor& values,
                                              const Quantization& quantization);

}  // namespace octet

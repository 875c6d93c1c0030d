#pragma once
// Pooling on 8-bit codes (u8 = signed code + 128), NHWC.

#include <cstdint>

#include "kernels/elementwise.h"

namespace octet::kernels {

struct PoolGeometry {
  std::int64_t batch = 1;
  int in_height = 1, in_width = 1, channels = 1;
  int out_height = 1, out_width = 1;
  int kernel_height = 1, kernel_width = 1;
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

/// What an average divides by.
enum class PoolCount : std::uint8_t {
  inside,  ///< the pixels of the window that lie in the image
  padded,  ///< those in the image or in its padding (ONNX count_include_pad = 1)
};

/// What the operator is called, which matters to all rules but onnx.
enum class Averaging : std::uint8_t {
  pool,  ///< AveragePool
  mean,  ///< GlobalAveragePool, ReduceMean
  sum,   ///< ReduceSum, by rules tflite and xnnpack
};

/// q = requantize_onnx(sum of (x - zx), sx / (s * count)): exact int32 sum, one f32 multiplier. A
/// window without a counted pixel gives the zero point. Rows r = image * out_height + y. The
/// output's params name the rule. Rule openvino: `average` of arithmetic/openvino.h and
/// average_line. Rules tflite and xnnpack: arithmetic/litert_average.h; a pool then takes the
/// params of input and output for the same.
void average_pool(const PoolGeometry& geometry, PoolCount count, const CodeParams& input_params,
                  const CodeParams& output_params, const std::uint8_t* input, std::uint8_t* output,
                  std::int64_t first_row, std::int64_t last_row,
                  Averaging averaging = Averaging::pool);

/// The largest code of each window, at least `lowest`.
void max_pool(const PoolGeometry& geometry, std::uint8_t lowest, const std::uint8_t* input,
              std::uint8_t* output, std::int64_t first_row, std::int64_t last_row);

}  // namespace octet::kernels

#pragma once
// Bilinear resampling of 8-bit codes (u8 = signed code + 128), NHWC, by rules tflite and xnnpack:
// arithmetic/litert_resample.h. The output has the input's params.

#include <cstdint>
#include <vector>

#include "arithmetic/litert_resample.h"

namespace octet::kernels {

struct ResampleGeometry {
  std::int64_t in_height = 1, in_width = 1, channels = 1;
  litert::Resample form = litert::Resample::fixed;
  std::int32_t offset = 128;                   ///< what codes are more than in the file
  std::vector<litert::ResamplePoint> rows;     ///< one for each output row
  std::vector<litert::ResamplePoint> columns;  ///< one for each output column
};

/// Rows r = image * output height + y.
void resample(const ResampleGeometry& geometry, const std::uint8_t* input, std::uint8_t* output,
              std::int64_t first_row, std::int64_t last_row);

}  // namespace octet::kernels

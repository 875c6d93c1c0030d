#pragma once
// The AVX512-VNNI tile: a few pixels by 16, 32, 48 or 64 output channels, sums in registers.

#include <cstdint>

#include "kernels/x86/requantize_params.h"

namespace octet::kernels::avx512 {

/// Registers across a full block, from the output channels of a group.
[[nodiscard]] constexpr int matrix_vectors(int channels) {
  return channels > 48 ? 4 : (channels + 15) / 16;
}
/// Pixels of a full tile: as many as 32 registers hold besides weights and codes.
[[nodiscard]] constexpr int matrix_pixels(int vectors) {
  return vectors <= 2 ? 12 : (vectors == 3 ? 8 : 6);
}

/// Input and output of one tile. Code j of segment s of pixel p is segments[s][offset +
/// p * pixel_stride + j].
struct MatrixTile {
  const std::uint8_t* const* segments = nullptr;
  int segment_count = 1;
  int steps = 1;  ///< groups of 4 codes per segment
  std::int64_t offset = 0;
  std::int64_t pixel_stride = 0;
  const std::int8_t* weights = nullptr;
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  std::uint8_t* output = nullptr;
  std::int64_t output_stride = 0;
  int channels = 0;  ///< stored
  RequantizeParams requantize;
};

/// Computes `pixels` (at most matrix_pixels(vectors)) pixels.
void run_matrix_tile(int pixels, int vectors, const MatrixTile& tile);

}  // namespace octet::kernels::avx512

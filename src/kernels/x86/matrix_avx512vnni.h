#pragma once
// The AVX512-VNNI tile: a few pixels by 16, 32, 48 or 64 output channels, sums in registers.

#include <cstdint>

#include "kernels/x86/matrix_conv.h"

namespace octet::kernels::avx512 {

/// Registers across a full block, from the output channels of a group.
[[nodiscard]] constexpr int matrix_vectors(int channels) {
  return channels > 48 ? 4 : (channels + 15) / 16;
}
/// Pixels of a full tile: as many as 32 registers hold besides weights and codes.
[[nodiscard]] constexpr int matrix_pixels(int vectors) {
  return vectors <= 2 ? 12 : (vectors == 3 ? 8 : 6);
}

using Tile = MatrixTile<std::uint8_t, std::int8_t>;

/// Computes `pixels` (at most matrix_pixels(vectors)) pixels.
void run_matrix_tile(int pixels, int vectors, const Tile& tile);

}  // namespace octet::kernels::avx512

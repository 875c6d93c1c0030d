#pragma once
// The AVX2 tile: up to 6 pixels by 16 output channels, sums in registers.

#include <cstdint>

#include "kernels/x86/matrix_conv.h"

namespace octet::kernels::avx2 {

using Tile = MatrixTile<std::int16_t, std::int16_t>;
inline constexpr int max_pixels = 6;

/// Computes `pixels` (at most max_pixels) pixels.
void run_matrix_tile(int pixels, const Tile& tile);

}  // namespace octet::kernels::avx2

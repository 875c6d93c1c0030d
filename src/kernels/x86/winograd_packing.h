#pragma once
// Winograd's F(2x2, 3x3) for convolutions 3x3 with stride 1 (Lavin and Gray 2016, "Fast Algorithms
// for Convolutional Neural Networks"), in integers. A tile of 2x2 outputs Y is made of 4x4 codes d
// by 16 products for each input channel instead of 36:
//
//   4 Y = A^T [sum over the inputs of U .* V] A,   U = T g T^T,   V = B^T d B
//
//       | 2  0  0 |         | 1  0 -1  0 |
//   T = | 1  1  1 |   B^T = | 0  1  1  0 |   A^T = | 1  1  1  0 |
//       | 1 -1  1 |         | 0 -1  1  0 |         | 0  1 -1  1 |
//       | 0  0  2 |         | 0 -1  0  1 |
//
// T is twice the G of the paper, so that U is integral. |U| <= 9 * 128 and |V| <= 4 * 255 fit 16
// bits. Sums and A^T wrap modulo 2^32, which leaves 4 Y exact where |4 Y| < 2^31: a property of the
// weights, since all codes, those of the padding too, lie in [0, 255].

#include <array>
#include <cstdint>

#include "kernels/x86/packing.h"

namespace octet::kernels::winograd {

inline constexpr int positions = 16;

/// Rows and columns of U and V in the order of computation: those that A^T adds and subtracts
/// come first.
inline constexpr std::array<int, 4> sequence = {1, 2, 0, 3};

/// A well-formed layer 3x3 of stride and dilation 1 and one group.
[[nodiscard]] bool is_3x3(const ConvParams& params);

/// Whether no codes can bring a sum of products to 2^29 in absolute value.
[[nodiscard]] bool is_exact(const ConvParams& params);

/// U as [block][position][step][vector][lane][depth], a position for each pair of `sequence`:
/// `segments` of the result are the positions.
[[nodiscard]] PackedMatrix<std::int16_t> pack(const ConvParams& params, const LaneOrder& order,
                                              int vectors);

}  // namespace octet::kernels::winograd

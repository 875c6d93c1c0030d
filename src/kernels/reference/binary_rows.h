#pragma once
// Walks the rows of a BinaryGeometry.

#include "kernels/elementwise.h"

namespace octet::kernels {

/// Calls fn(a, b, output) with the beginnings of each row.
template <class Fn>
void for_each_row(const BinaryGeometry& g, const std::uint8_t* a, const std::uint8_t* b,
                  std::uint8_t* output, std::int64_t first_row, std::int64_t last_row, Fn fn) {
  for (std::int64_t row = first_row; row < last_row; ++row) {
    const std::int64_t i2 = row % g.extent[2];
    const std::int64_t i1 = row / g.extent[2] % g.extent[1];
    const std::int64_t i0 = row / (g.extent[2] * g.extent[1]);
    fn(a + i0 * g.a_stride[0] + i1 * g.a_stride[1] + i2 * g.a_stride[2],
       b + i0 * g.b_stride[0] + i1 * g.b_stride[1] + i2 * g.b_stride[2],
       output + row * g.extent[3]);
  }
}

}  // namespace octet::kernels

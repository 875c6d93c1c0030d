#pragma once
// Product of two matrices of 8-bit codes that are both known only at run time (attention). Codes
// are u8 = signed code + 128, row-major:
//
//   acc[m,n] = sum over k of (a[m,k] - za) * (b[k,n] - zb)                                 (int32)
//   codes         y = round_half_even(clamp(f32(acc) * multiplier, low - zy, high - zy)) + zy
//   accumulators  acc
//   floats        y = f32(acc) * multiplier
//
// (rule onnx: src/arithmetic/requantize.h, ONNX QLinearMatMul.) The sum wraps modulo 2^32.

#include <cstddef>
#include <cstdint>

#include "kernels/conv.h"

namespace octet::kernels {

struct ProductParams {
  std::uint8_t a_zero_point = 128;
  std::uint8_t b_zero_point = 128;
  ConvOutput output = ConvOutput::codes;
  float multiplier = 1;  ///< codes: (sa * sb) / sy; floats: sa * sb
  std::uint8_t output_zero_point = 128;
  std::uint8_t low = 0;
  std::uint8_t high = 255;
};

/// a is [rows, depth], b is [depth, columns].
struct ProductShape {
  std::int64_t rows = 1;
  std::int64_t depth = 1;
  std::int64_t columns = 1;
};

/// Computes one product with the fastest kernel of at most `isa` that this CPU has; all give the
/// same bits. `scratch` is product_scratch_bytes() bytes, 64-byte aligned. `a` may be read up to 64
/// bytes beyond its end.
void product(const ProductParams& params, const ProductShape& shape, const std::uint8_t* a,
             const std::uint8_t* b, void* output, std::byte* scratch, Isa isa);
[[nodiscard]] std::size_t product_scratch_bytes(const ProductShape& shape, Isa isa);
[[nodiscard]] const char* product_kernel_name(Isa isa);

}  // namespace octet::kernels

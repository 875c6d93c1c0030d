#pragma once
// 8-bit codes as differences to their zero points, their products in int32, and where the sums go.

#include <cstdint>
#include <string_view>

#include "core/result.h"
#include "core/tensor.h"
#include "engine/float/ops.h"

namespace octet::float_engine {

/// How the zero points of a dense tensor lie: element i has number (i / inner) % count.
struct ZeroPointOrder {
  std::int64_t count = 1;
  std::int64_t inner = 1;
};

/// code - zero point as i16 (exact), in the order of `codes` (u8 or i8). `zero_point` is nullptr
/// (0), one element, or one for each of order.count; its type must be that of the codes.
[[nodiscard]] Result<Tensor> centered(const Tensor& codes, const Tensor* zero_point,
                                      const ZeroPointOrder& order);

/// c[m,n] = a[m,k] * b[k,n], dense; exact modulo 2^32.
void integer_product(const std::int16_t* a, const std::int16_t* b, std::int64_t m, std::int64_t n,
                     std::int64_t k, std::int32_t* c);

/// Fails unless the tensor is f32 with finite positive elements.
[[nodiscard]] Status check_scale(const Tensor& scale, std::string_view what);

/// The type of an output of 8-bit codes.
struct RequantizationTarget {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t low = 0;  ///< smallest code
  std::int32_t high = 255;
};
[[nodiscard]] Result<RequantizationTarget> requantization_target(const Tensor& scale,
                                                                 const Tensor& zero_point);

// integer_conv.cpp
[[nodiscard]] MadeOp make_conv_integer(const OpSource& source);
[[nodiscard]] MadeOp make_qlinear_conv(const OpSource& source);

}  // namespace octet::float_engine

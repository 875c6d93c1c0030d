#pragma once
// Codes of biases: wider than those of weights, with scale = input scale * weight scale, so that
// they add to the accumulator as they are.

#include "arithmetic/params.h"
#include "core/tensor.h"

namespace octet {

/// Largest |code| of 32-bit biases.
inline constexpr double largest_bias_code = 0x1.fffffffcp30;

enum class BiasWidth : std::uint8_t {
  int32,  ///< of 8-bit inputs; limited so that half of int32 is left to the products
  int64,  ///< of 16-bit inputs; limited to the 48 bits that TFLite-Micro and CMSIS-NN take
};

/// q[i] = clamp(round_half_even(bias[i] / scale)), computed in double: a bias code has more digits
/// than f32. `bias` is f32 of rank 1 or more with one element per scale, or params has one scale.
[[nodiscard]] Tensor quantize_bias(const Tensor& bias, const QuantParams& params, BiasWidth width);

}  // namespace octet

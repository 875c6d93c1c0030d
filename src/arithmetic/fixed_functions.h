#pragma once
// Functions of fixed-point numbers in int32. A number with n integer bits is raw / 2^(31 - n).
//
// Source: gemmlowp (fixedpoint.h) and TensorFlow Lite (internal/common.h) for the approximations
// and the order of their operations, which decide the last bit.

#include <cstdint>

namespace octet {

/// exp(x) with 0 integer bits, x <= 0 with `integer_bits` (5 at least).
[[nodiscard]] std::int32_t fixed_exp(std::int32_t x, int integer_bits);

/// 1 / (1 + x) with 0 integer bits, x in [0, 1] with 0 integer bits.
[[nodiscard]] std::int32_t fixed_reciprocal(std::int32_t x);

/// log(x), x >= 1 with 12 integer bits; 5 integer bits.
[[nodiscard]] std::int32_t fixed_log(std::int32_t x);

}  // namespace octet

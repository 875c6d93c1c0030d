#pragma once
// Vector forms of litert.h, bit-equal to its reference.

#include "kernels/litert.h"

namespace octet::kernels::litert {

/// `count` accumulators: whole rows of params.channels.
using RequantizeRows = void (*)(const Requantization& params, const std::int32_t* accumulators,
                                std::uint8_t* output, std::int64_t count);

/// The fastest of at most `isa` that this CPU has; nullptr where the plain loop has to do.
[[nodiscard]] RequantizeRows x86_requantize(Isa isa);

#if defined(__x86_64__)
void requantize_avx2(const Requantization& params, const std::int32_t* accumulators,
                     std::uint8_t* output, std::int64_t count);
void requantize_avx512(const Requantization& params, const std::int32_t* accumulators,
                       std::uint8_t* output, std::int64_t count);

/// Adding this, with the sign of x, before truncating rounds x half away from zero: the largest
/// f64 below 1/2, so that what lies just below a tie stays there.
inline constexpr double below_half = 0x1.fffffffffffffp-2;
#endif

}  // namespace octet::kernels::litert

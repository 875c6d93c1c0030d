#pragma once
// What one core multiplies at most: dot products of registers alone, without loads or tails.

#include "kernels/conv.h"

namespace octet::kernels {

/// Multiply-accumulates u8 * s8 per nanosecond of the calling thread with an instruction set that
/// is available: vpmaddwd and vpaddd (avx2), vpdpbusd of 256 or 512 bits, tdpbusd. The best of some
/// short runs; 0 for reference.
[[nodiscard]] double dot_peak(Isa isa);
/// The same of f32, with the widest fused multiply-add of this CPU; 0 without one.
[[nodiscard]] double float_dot_peak();

}  // namespace octet::kernels

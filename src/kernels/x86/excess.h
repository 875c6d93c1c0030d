#pragma once
// Weights in two parts. vpmaddubsw adds two products u8 * s8 in 16 bits and saturates; it cannot
// where the two weights together lie within [-128, 128]. What a pair has beyond that, its excess,
// is taken off its first weight and added by other instructions.

#include <cstdint>
#include <span>
#include <vector>

namespace octet::kernels {

/// Excess of at most two weights for each of 8 lanes, among 16 inputs in a row. Slots without
/// excess hold zeros.
struct ExcessWindow {
  std::int32_t segment = 0;
  std::int32_t input = 0;         ///< the first of the 16, counted in the segment
  std::uint8_t offsets[16] = {};  ///< [lane][2]: which of the 16
  std::int8_t excess[16] = {};    ///< [lane][2]
};

/// How the weights of one block lie: [segment][step][vector][8 lanes][4 inputs].
struct SplitShape {
  int segments = 1;
  int steps = 1;
  int vectors = 1;
};

/// Leaves weights of which no pair saturates, and appends the windows of register `vector`, in
/// order of segment and input.
void split_weights(std::span<std::int8_t> weights, const SplitShape& shape, int vector,
                   std::vector<ExcessWindow>& windows);

}  // namespace octet::kernels

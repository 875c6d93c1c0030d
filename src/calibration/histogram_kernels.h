#pragma once
// The two inner loops of Histogram::observe, for the best instruction set of this CPU. All versions
// give the same results.

#include <cstddef>
#include <cstdint>

namespace octet {

/// Range of f32 values; low and high mean nothing unless all values are finite.
struct ValueRange {
  float low = 0;
  float high = 0;
  bool finite = true;
};

/// Exact minimum and maximum of count > 0 values; -0 counts as +0.
[[nodiscard]] ValueRange scan_range(const float* values, std::size_t count);

/// bins[i] = floor(values[i] / 2^exponent) - first_bin, exactly. |values[i]| must be at most
/// 2^(exponent + 14), exponent in [-120, 120].
void bin_indices(const float* values, std::size_t count, int exponent, std::int32_t first_bin,
                 std::int32_t* bins);

}  // namespace octet

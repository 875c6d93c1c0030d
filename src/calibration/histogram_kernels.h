#pragma once
// The inner loops of Histogram::observe, for the best instruction set of this CPU. All versions
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

/// Writes the exact bins floor(values[i] / 2^exponent) - first_bin, in any order, of all values but
/// some (all, none, or any) of those in zero's bin, -first_bin; returns how many it wrote.
/// |values[i]| must be at most 2^(exponent + 14), exponent in [-120, 120], the bins in [0, 2^16);
/// `bins` has room for count + 31.
[[nodiscard]] std::size_t bins_but_zero(const float* values, std::size_t count, int exponent,
                                        std::int32_t first_bin, std::uint16_t* bins);

/// sums[i] += tables[i] + tables[bins + i] + tables[2 bins + i] + tables[3 bins + i].
void add_four_tables(const std::uint16_t* tables, std::size_t bins, std::uint64_t* sums);

}  // namespace octet

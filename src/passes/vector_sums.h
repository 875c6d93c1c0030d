#pragma once
// Sums over vectors whose order of additions is fixed: the same bits on every instruction set.

#include <cstdint>

namespace octet::sums {

/// Sum of a[i] * b[i] in 16 interleaved partial sums.
[[nodiscard]] float dot(const float* a, const float* b, std::int64_t count);
[[nodiscard]] double dot(const double* a, const double* b, std::int64_t count);

/// sums[i] += factor * values[i]
void add_scaled(const float* values, float factor, std::int64_t count, float* sums);

}  // namespace octet::sums

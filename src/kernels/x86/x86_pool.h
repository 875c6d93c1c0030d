#pragma once
// Vector forms of what pooling does with one window (pool.h), bit-equal to its loops.

#if defined(__x86_64__)

#include <cstdint>

#include "kernels/conv.h"

namespace octet::kernels {

/// Pixels of codes in memory, at least one; strides in bytes.
struct PoolWindow {
  const std::uint8_t* first = nullptr;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
};

struct PoolKernels {
  /// output[i * channels + c] = the largest of `lowest` and pixel[c] of window i, which begins
  /// i * window_stride bytes behind `window`.
  void (*maximum)(const PoolWindow& window, std::int64_t windows, std::int64_t window_stride,
                  std::uint8_t lowest, std::int64_t channels, std::uint8_t* output) = nullptr;
  /// sums[c] += the sum of pixel[c], modulo 2^32.
  void (*sum)(const PoolWindow& window, std::int64_t channels, std::int32_t* sums) = nullptr;
};

/// nullptr where plain loops have to do.
[[nodiscard]] const PoolKernels* x86_pool_kernels(Isa isa);

}  // namespace octet::kernels

#endif

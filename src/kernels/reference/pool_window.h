#pragma once
// The pixels under one output of a pool, and the plain loops over them. Internal to the pooling
// kernels.

#include <algorithm>
#include <cstdint>

namespace octet::kernels {

/// Pixels of codes in memory; strides in bytes.
struct PoolWindow {
  const std::uint8_t* first = nullptr;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  [[nodiscard]] std::int64_t pixels() const { return rows * columns; }
};

/// Windows side by side, each `stride` bytes behind the one before.
struct WindowRun {
  PoolWindow first;
  std::int64_t count = 1;
  std::int64_t stride = 0;
};

/// Calls fn(pixel) for each pixel.
template <class Fn>
void for_each_pixel(const PoolWindow& window, Fn fn) {
  const std::uint8_t* row = window.first;
  for (std::int64_t y = 0; y < window.rows; ++y, row += window.row_stride) {
    const std::uint8_t* pixel = row;
    for (std::int64_t x = 0; x < window.columns; ++x, pixel += window.column_stride) fn(pixel);
  }
}

/// output[i * channels + c] = the largest of `lowest` and pixel[c] of window i.
inline void largest_pixels(const WindowRun& run, std::uint8_t lowest, std::int64_t channels,
                           std::uint8_t* output) {
  PoolWindow window = run.first;
  for (std::int64_t i = 0; i < run.count; ++i) {
    std::fill_n(output, channels, lowest);
    for_each_pixel(window, [&](const std::uint8_t* pixel) {
      for (std::int64_t c = 0; c < channels; ++c) output[c] = std::max(output[c], pixel[c]);
    });
    window.first += run.stride;
    output += channels;
  }
}

/// sums[c] += the sum of pixel[c], modulo 2^32.
inline void add_pixels(const PoolWindow& window, std::int64_t channels, std::uint32_t* sums) {
  for_each_pixel(window, [&](const std::uint8_t* pixel) {
    for (std::int64_t c = 0; c < channels; ++c) sums[c] += pixel[c];
  });
}

}  // namespace octet::kernels

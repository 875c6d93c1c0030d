#include "kernels/pool.h"

#include <algorithm>

#include "kernels/reference/average_rule.h"
#include "kernels/x86/x86_pool.h"

namespace octet::kernels {
namespace {

/// Window positions along one axis that lie inside the image: first + i * dilation, i < count.
struct Span {
  int first = 0;
  int count = 0;
  int counted_with_padding = 0;  ///< positions inside the image or its padding
};

Span window(int out, int stride, int pad_before, int pad_after, int kernel, int dilation,
            int extent) {
  const std::int64_t start = std::int64_t{out} * stride - pad_before;
  if (start >= 0 && start + std::int64_t{kernel - 1} * dilation < extent) {
    return {static_cast<int>(start), kernel, kernel};
  }
  // Taps before the one that reaches `position`; a window may be far larger than the image.
  const auto taps_before = [&](std::int64_t position) {
    const std::int64_t taps = position <= start ? 0 : (position - start + dilation - 1) / dilation;
    return std::min<std::int64_t>(taps, kernel);
  };
  const std::int64_t first = taps_before(0);
  Span span;
  span.first = static_cast<int>(start + first * dilation);
  span.count = static_cast<int>(taps_before(extent) - first);
  span.counted_with_padding = static_cast<int>(taps_before(std::int64_t{extent} + pad_after));
  if (span.count == 0) span.first = 0;
  return span;
}

/// Channels handled together, so that their sums stay on the stack.
constexpr int channel_block = 256;

struct Windows {
  Span rows, columns;
};

/// Outputs side by side from `x` on whose windows have all their columns in the image; at least 1.
std::int64_t alike_from(const PoolGeometry& g, int x) {
  const std::int64_t reach = std::int64_t{g.kernel_width - 1} * g.dilation_width;
  const std::int64_t start = std::int64_t{x} * g.stride_width - g.pad_left;
  const std::int64_t room = g.in_width - 1 - reach - start;
  if (start < 0 || room < 0) return 1;
  return std::min<std::int64_t>(room / g.stride_width + 1, g.out_width - x);
}

/// Calls fn(windows of the first pixel, pixels, image, output) for runs of output pixels whose
/// windows have as many columns as each other.
template <class Fn>
void for_each_run(const PoolGeometry& g, const std::uint8_t* input, std::uint8_t* output,
                  std::int64_t first_row, std::int64_t last_row, Fn fn) {
  const std::int64_t image_bytes = std::int64_t{g.in_height} * g.in_width * g.channels;
  for (std::int64_t row = first_row; row < last_row; ++row) {
    const std::uint8_t* image = input + row / g.out_height * image_bytes;
    std::uint8_t* out = output + row * g.out_width * g.channels;
    const Span rows = window(static_cast<int>(row % g.out_height), g.stride_height, g.pad_top,
                             g.pad_bottom, g.kernel_height, g.dilation_height, g.in_height);
    for (int x = 0; x < g.out_width;) {
      const Span columns = window(x, g.stride_width, g.pad_left, g.pad_right, g.kernel_width,
                                  g.dilation_width, g.in_width);
      const std::int64_t pixels = alike_from(g, x);
      fn(Windows{rows, columns}, pixels, image, out);
      out += pixels * g.channels;
      x += static_cast<int>(pixels);
    }
  }
}

/// Calls fn(windows, image, output pixel) for each pixel of the rows.
template <class Fn>
void for_each_window(const PoolGeometry& g, const std::uint8_t* input, std::uint8_t* output,
                     std::int64_t first_row, std::int64_t last_row, Fn fn) {
  for_each_run(g, input, output, first_row, last_row,
               [&](Windows w, std::int64_t pixels, const std::uint8_t* image, std::uint8_t* out) {
                 for (std::int64_t i = 0; i < pixels; ++i) {
                   fn(w, image, out + i * g.channels);
                   w.columns.first += g.stride_width;
                 }
               });
}

/// The pixels of a window that lie inside the image, from `channel` on.
PoolWindow pixels_of(const PoolGeometry& g, const Windows& w, const std::uint8_t* image,
                     std::int64_t channel) {
  const std::int64_t row = std::int64_t{g.in_width} * g.channels;
  return {image + w.rows.first * row + std::int64_t{w.columns.first} * g.channels + channel,
          w.rows.count, w.columns.count, g.dilation_height * row,
          std::int64_t{g.dilation_width} * g.channels};
}

#if defined(__x86_64__)
/// nullptr where plain loops have to do.
const PoolKernels* fast(const PoolWindow& window) {
  return window.pixels() > 0 ? x86_pool_kernels(default_isa()) : nullptr;
}
#endif

void sum_window(const PoolWindow& window, std::int64_t channels, std::uint32_t* sums) {
#if defined(__x86_64__)
  if (const auto* vector = fast(window)) return vector->add_pixels(window, channels, sums);
#endif
  add_pixels(window, channels, sums);
}

void maximum_of_run(const WindowRun& run, std::uint8_t lowest, std::int64_t channels,
                    std::uint8_t* output) {
#if defined(__x86_64__)
  if (const auto* vector = fast(run.first)) {
    return vector->largest_pixels(run, lowest, channels, output);
  }
#endif
  largest_pixels(run, lowest, channels, output);
}

}  // namespace

void average_pool(const PoolGeometry& geometry, PoolCount count, const CodeParams& input_params,
                  const CodeParams& output_params, const std::uint8_t* input, std::uint8_t* output,
                  std::int64_t first_row, std::int64_t last_row, Averaging averaging) {
  const AverageRule rule(averaging, input_params, output_params);
  const std::int32_t base = rule.base();
  // What a padded pixel that counts adds.
  const std::int32_t padding = input_params.zero_point - base;
  for_each_window(
      geometry, input, output, first_row, last_row,
      [&](const Windows& w, const std::uint8_t* image, std::uint8_t* out) {
        const std::int64_t inside = std::int64_t{w.rows.count} * w.columns.count;
        const std::int64_t counted =
            count == PoolCount::inside
                ? inside
                : std::int64_t{w.rows.counted_with_padding} * w.columns.counted_with_padding;
        // The sum is modulo 2^32, like those of convolutions.
        const auto first_sum = static_cast<std::uint32_t>((counted - inside) * padding) -
                               static_cast<std::uint32_t>(inside * base);
        for (int c0 = 0; c0 < geometry.channels; c0 += channel_block) {
          const int block = std::min(channel_block, geometry.channels - c0);
          std::uint32_t sums[channel_block];
          std::fill_n(sums, block, first_sum);
          sum_window(pixels_of(geometry, w, image, c0), block, sums);
          std::int32_t signed_sums[channel_block];
          std::transform(sums, sums + block, signed_sums,
                         [](std::uint32_t sum) { return static_cast<std::int32_t>(sum); });
          rule.store(signed_sums, counted, out + c0, block);
        }
      });
}

void max_pool(const PoolGeometry& geometry, std::uint8_t lowest, const std::uint8_t* input,
              std::uint8_t* output, std::int64_t first_row, std::int64_t last_row) {
  for_each_run(
      geometry, input, output, first_row, last_row,
      [&](const Windows& w, std::int64_t windows, const std::uint8_t* image, std::uint8_t* out) {
        const WindowRun run{pixels_of(geometry, w, image, 0), windows,
                            std::int64_t{geometry.stride_width} * geometry.channels};
        maximum_of_run(run, lowest, geometry.channels, out);
      });
}

}  // namespace octet::kernels

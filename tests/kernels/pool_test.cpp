// Pools against loops over every tap, and the vector forms of windows against plain sums.

#include "kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "arithmetic/requantize.h"
#include "kernels/x86/x86_pool.h"

namespace octet::kernels {
namespace {

std::vector<std::uint8_t> random_codes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> codes(count);
  for (auto& code : codes) code = static_cast<std::uint8_t>(random());
  return codes;
}

/// What lies under one output element: the codes inside the image, and how many taps lie in the
/// image or its padding.
struct Taps {
  std::vector<int> codes;
  int padded = 0;
};

Taps taps_of(const PoolGeometry& g, const std::vector<std::uint8_t>& input, std::int64_t n, int y,
             int x, int c) {
  Taps taps;
  for (int ky = 0; ky < g.kernel_height; ++ky) {
    for (int kx = 0; kx < g.kernel_width; ++kx) {
      const int iy = y * g.stride_height - g.pad_top + ky * g.dilation_height;
      const int ix = x * g.stride_width - g.pad_left + kx * g.dilation_width;
      if (iy >= g.in_height + g.pad_bottom || ix >= g.in_width + g.pad_right) continue;
      ++taps.padded;
      if (iy < 0 || ix < 0 || iy >= g.in_height || ix >= g.in_width) continue;
      const auto at = ((n * g.in_height + iy) * g.in_width + ix) * g.channels + c;
      taps.codes.push_back(input[static_cast<std::size_t>(at)]);
    }
  }
  return taps;
}

template <class Fn>
void for_each_output(const PoolGeometry& g, Fn fn) {
  std::size_t i = 0;
  for (std::int64_t n = 0; n < g.batch; ++n) {
    for (int y = 0; y < g.out_height; ++y) {
      for (int x = 0; x < g.out_width; ++x) {
        for (int c = 0; c < g.channels; ++c) fn(i++, n, y, x, c);
      }
    }
  }
}

int outputs_of(int in, int pads, int kernel, int dilation, int stride) {
  return (in + pads - ((kernel - 1) * dilation + 1)) / stride + 1;
}

std::vector<PoolGeometry> geometries() {
  std::mt19937 random(3);
  const auto in = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  std::vector<PoolGeometry> all;
  for (const int channels :
       {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 100, 300}) {
    for (int i = 0; i < 6; ++i) {
      PoolGeometry g;
      g.batch = in(1, 2);
      g.channels = channels;
      g.in_height = in(5, 9);
      g.in_width = in(5, 9);
      g.kernel_height = in(1, 3);
      g.kernel_width = in(1, 3);
      g.stride_height = in(1, 2);
      g.stride_width = in(1, 3);
      g.dilation_height = in(1, 2);
      g.dilation_width = in(1, 2);
      g.pad_top = in(0, g.kernel_height);
      g.pad_left = in(0, g.kernel_width);
      g.pad_bottom = in(0, 1);
      g.pad_right = in(0, 1);
      g.out_height = outputs_of(g.in_height, g.pad_top + g.pad_bottom, g.kernel_height,
                                g.dilation_height, g.stride_height);
      g.out_width = outputs_of(g.in_width, g.pad_left + g.pad_right, g.kernel_width,
                               g.dilation_width, g.stride_width);
      all.push_back(g);
    }
  }
  return all;
}

std::size_t inputs(const PoolGeometry& g) {
  return static_cast<std::size_t>(g.batch * g.in_height * g.in_width * g.channels);
}
std::size_t outputs(const PoolGeometry& g) {
  return static_cast<std::size_t>(g.batch * g.out_height * g.out_width * g.channels);
}

TEST(Pool, MaximumIsTheLargestTapOrTheLowestCode) {
  unsigned seed = 1;
  for (const auto& g : geometries()) {
    const auto input = random_codes(inputs(g), ++seed);
    for (const int lowest : {0, 90}) {
      std::vector<std::uint8_t> output(outputs(g) + 1, 7);
      const std::int64_t rows = g.batch * g.out_height;
      const auto low = static_cast<std::uint8_t>(lowest);
      max_pool(g, low, input.data(), output.data(), rows / 2, rows);
      max_pool(g, low, input.data(), output.data(), 0, rows / 2);
      for_each_output(g, [&](std::size_t i, std::int64_t n, int y, int x, int c) {
        int want = lowest;
        for (const int code : taps_of(g, input, n, y, x, c).codes) want = std::max(want, code);
        ASSERT_EQ(output[i], want) << g.channels << " channels, element " << i;
      });
      EXPECT_EQ(output.back(), 7);
    }
  }
}

TEST(Pool, AverageIsTheRequantizedSum) {
  unsigned seed = 100;
  const CodeParams from{0.05F, 131, 0, 255};
  const CodeParams to{0.04F, 120, 3, 250};
  for (const auto& g : geometries()) {
    const auto input = random_codes(inputs(g), ++seed);
    for (const auto count : {PoolCount::inside, PoolCount::padded}) {
      std::vector<std::uint8_t> output(outputs(g));
      average_pool(g, count, from, to, input.data(), output.data(), 0, g.batch * g.out_height);
      for_each_output(g, [&](std::size_t i, std::int64_t n, int y, int x, int c) {
        const Taps taps = taps_of(g, input, n, y, x, c);
        std::int32_t sum = 0;
        for (const int code : taps.codes) sum += code - from.zero_point;
        const auto counted =
            count == PoolCount::inside ? static_cast<int>(taps.codes.size()) : taps.padded;
        const float multiplier =
            onnx_average_multiplier(from.scale, to.scale, std::max(counted, 1));
        ASSERT_EQ(output[i], requantize_onnx(sum, multiplier, to.zero_point, to.low, to.high))
            << g.channels << " channels, element " << i;
      });
    }
  }
}

#if defined(__x86_64__)

TEST(X86Pool, WindowsOfManyPixelsAddUpExactly) {
  const auto* kernels = x86_pool_kernels(Isa::amx);
  if (kernels == nullptr) GTEST_SKIP() << "this CPU has no AVX2";
  for (const std::int64_t channels : {1, 3, 16, 24, 32, 40, 96}) {
    // More pixels than 16 bits have room for.
    const PoolWindow shape{nullptr, 30, 20, 24 * channels, channels};
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(30 * 24 * channels), 255);
    codes[static_cast<std::size_t>(25 * channels)] = 4;
    PoolWindow window = shape;
    window.first = codes.data();
    std::vector<std::uint32_t> sums(static_cast<std::size_t>(channels), 10);
    kernels->add_pixels(window, channels, sums.data());
    for (std::int64_t c = 0; c < channels; ++c) {
      const unsigned want = 10U + 600U * 255U - (c == 0 ? 251U : 0U);
      EXPECT_EQ(sums[static_cast<std::size_t>(c)], want) << c << " of " << channels;
    }
  }
}

TEST(X86Pool, RunsOfOneChannel) {
  const auto* kernels = x86_pool_kernels(Isa::amx);
  if (kernels == nullptr) GTEST_SKIP() << "this CPU has no AVX2";
  const auto codes = random_codes(2000, 9);
  for (const std::int64_t columns : {1, 31, 32, 33, 100, 900}) {
    const PoolWindow window{codes.data(), 2, columns, 1000, 1};
    std::uint32_t sum = 0;
    int largest = 5;
    for (std::int64_t y = 0; y < 2; ++y) {
      for (std::int64_t x = 0; x < columns; ++x) {
        const int code = codes[static_cast<std::size_t>(1000 * y + x)];
        sum += static_cast<std::uint32_t>(code);
        largest = std::max(largest, code);
      }
    }
    std::uint32_t got = 0;
    kernels->add_pixels(window, 1, &got);
    EXPECT_EQ(got, sum) << columns;
    std::uint8_t maximum = 0;
    kernels->largest_pixels({window, 1, 0}, 5, 1, &maximum);
    EXPECT_EQ(maximum, largest) << columns;
  }
}

#endif

}  // namespace
}  // namespace octet::kernels

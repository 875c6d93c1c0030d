// Elementwise, pooling and copy kernels against loops in double written apart.

#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/copy.h"
#include "kernels/pool.h"

namespace octet::kernels {
namespace {

double half_even(double x) {
  const double below = std::floor(x);
  const double fraction = x - below;
  if (fraction < 0.5) return below;
  if (fraction > 0.5) return below + 1;
  return std::fmod(below, 2.0) == 0.0 ? below : below + 1;
}

std::uint8_t to_code(double scaled, const CodeParams& p) {
  const double code = half_even(scaled) + p.zero_point;
  return static_cast<std::uint8_t>(std::min<double>(std::max<double>(code, p.low), p.high));
}

/// f32 rounding of a double.
double f32(double x) { return static_cast<double>(static_cast<float>(x)); }

std::vector<std::uint8_t> random_codes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> codes(count);
  for (auto& code : codes) code = static_cast<std::uint8_t>(random());
  return codes;
}

TEST(Binary, AllPairsOfCodesEqualTheSpecification) {
  std::vector<std::uint8_t> a, b;
  for (int i = 0; i < 256; ++i) {
    for (int j = 0; j < 256; ++j) {
      a.push_back(static_cast<std::uint8_t>(i));
      b.push_back(static_cast<std::uint8_t>(j));
    }
  }
  for (const auto op : {BinaryOp::subtract, BinaryOp::multiply}) {
    for (const float scale : {0.05F, 0.031F, 0.25F}) {
      const BinaryParams params{op, {0.05F, 120, 0, 255}, {scale, 7, 0, 255}, {0.1F, 128, 3, 250}};
      BinaryGeometry g;
      g.extent = {1, 1, 256, 256};
      g.a_stride = {0, 0, 256, 1};
      g.b_stride = {0, 0, 256, 1};
      std::vector<std::uint8_t> out(a.size());
      binary(params, g, a.data(), b.data(), out.data(), 0, 256);
      for (std::size_t i = 0; i < out.size(); ++i) {
        // Products of f32 and sums of two f32 are exact in double: each f32() is one rounding.
        const double x = f32(static_cast<double>(0.05F) * (a[i] - 120));
        const double y = f32(static_cast<double>(scale) * (b[i] - 7));
        const double z = f32(op == BinaryOp::subtract ? x - y : x * y);
        const double quotient = f32(z / static_cast<double>(0.1F));
        ASSERT_EQ(int{out[i]}, int{to_code(quotient, params.output)})
            << "codes " << int{a[i]} << ", " << int{b[i]};
      }
    }
  }
}

/// f32 rounding of x * y + z, with x * y exact in double; long double holds the sum exactly for the
/// magnitudes of codes and ratios here.
double fused(double x, double y, double z) {
  return static_cast<double>(static_cast<float>(
      static_cast<long double>(x) * static_cast<long double>(y) + static_cast<long double>(z)));
}

TEST(Binary, AddEqualsTheRuleOnAllPairsOfCodes) {
  std::vector<std::uint8_t> a, b;
  for (int i = 0; i < 256; ++i) {
    for (int j = 0; j < 256; ++j) {
      a.push_back(static_cast<std::uint8_t>(i));
      b.push_back(static_cast<std::uint8_t>(j));
    }
  }
  for (const float scale : {0.05F, 0.031F, 0.25F, 0.2F}) {
    for (const int zero_point : {0, 3, 128}) {
      const auto z = static_cast<std::uint8_t>(zero_point);
      const BinaryParams params{
          BinaryOp::add, {0.1F, 120, 0, 255}, {scale, 7, 0, 255}, {0.2F, z, 3, 250}};
      BinaryGeometry g;
      g.extent = {1, 1, 256, 256};
      g.a_stride = {0, 0, 256, 1};
      g.b_stride = {0, 0, 256, 1};
      std::vector<std::uint8_t> out(a.size());
      binary(params, g, a.data(), b.data(), out.data(), 0, 256);
      const double ra = f32(static_cast<double>(0.1F) / static_cast<double>(0.2F));
      const double rb = f32(static_cast<double>(scale) / static_cast<double>(0.2F));
      const double offset = f32(zero_point - fused(ra, 120, f32(rb * 7)));
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double sum = fused(a[i], ra, fused(b[i], rb, offset));
        const double code = std::min(std::max(half_even(sum), 3.0), 250.0);
        ASSERT_EQ(int{out[i]}, static_cast<int>(code))
            << "codes " << int{a[i]} << ", " << int{b[i]};
      }
    }
  }
}

TEST(Binary, BroadcastsAlongZeroStrides) {
  const BinaryParams params{BinaryOp::multiply, {0.5F, 100}, {0.25F, 90}, {1.0F, 128}};
  const auto a = random_codes(2 * 3 * 4 * 5, 1);
  const auto b = random_codes(2 * 5, 2);
  BinaryGeometry g;
  g.extent = {2, 3, 4, 5};
  g.a_stride = {60, 20, 5, 1};
  g.b_stride = {5, 0, 0, 1};
  std::vector<std::uint8_t> out(a.size());
  binary(params, g, a.data(), b.data(), out.data(), 0, 10);
  binary(params, g, a.data(), b.data(), out.data(), 10, 24);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int x = a[i] - 100;
    const int y = b[i / 60 * 5 + i % 5] - 90;
    ASSERT_EQ(int{out[i]}, int{to_code(0.125 * x * y, params.output)}) << i;
  }
}

TEST(Binary, FactorsOfChannelsForAllPixels) {
  for (const auto op : {BinaryOp::multiply, BinaryOp::subtract, BinaryOp::add}) {
    for (const std::int64_t channels : {1, 3, 16, 40, 1000, 1500}) {
      const BinaryParams params{op, {0.5F, 100}, {0.25F, 90}, {1.0F, 128}};
      const std::int64_t pixels = 77;
      const auto a = random_codes(static_cast<std::size_t>(2 * pixels * channels), 1);
      const auto b = random_codes(static_cast<std::size_t>(2 * channels), 2);
      BinaryGeometry g;
      g.extent = {1, 2, pixels, channels};
      g.a_stride = {0, pixels * channels, channels, 1};
      g.b_stride = {0, channels, 0, 1};
      std::vector<std::uint8_t> out(a.size());
      binary(params, g, a.data(), b.data(), out.data(), 0, 50);
      binary(params, g, a.data(), b.data(), out.data(), 50, 2 * pixels);
      BinaryParams swapped = params;
      std::swap(swapped.a, swapped.b);
      std::swap(g.a_stride, g.b_stride);
      std::vector<std::uint8_t> other(a.size());
      binary(swapped, g, b.data(), a.data(), other.data(), 0, 2 * pixels);
      for (std::size_t i = 0; i < a.size(); ++i) {
        const auto row = i / static_cast<std::size_t>(pixels * channels);
        const auto at =
            row * static_cast<std::size_t>(channels) + i % static_cast<std::size_t>(channels);
        const double x = 0.5 * (a[i] - 100);
        const double y = 0.25 * (b[at] - 90);
        const double want = op == BinaryOp::multiply ? x * y : op == BinaryOp::add ? x + y : x - y;
        const double back = op == BinaryOp::subtract ? y - x : want;
        ASSERT_EQ(int{out[i]}, int{to_code(want, params.output)}) << i;
        ASSERT_EQ(int{other[i]}, int{to_code(back, params.output)}) << i;
      }
    }
  }
}

TEST(Quantize, RoundsTiesToEvenSaturatesAndSendsNanToTheLowest) {
  const CodeParams p{2.0F, 10, 0, 255};
  const std::vector<float> x = {0, 1, 3, 5, -1, -3, 1e30F, -1e30F, INFINITY, -INFINITY, NAN};
  std::vector<std::uint8_t> q(x.size());
  quantize_codes(p, x.data(), q.data(), static_cast<std::int64_t>(x.size()));
  EXPECT_EQ(q, (std::vector<std::uint8_t>{10, 10, 12, 12, 10, 8, 255, 0, 255, 0, 0}));
}

TEST(Quantize, DequantizeThenQuantizeIsTheIdentity) {
  std::vector<std::uint8_t> codes(256), back(256);
  std::vector<float> x(256);
  for (std::size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(i);
  for (const float scale : {1e-6F, 0.0173F, 0.3F, 1234.5F}) {
    const CodeParams p{scale, 77, 0, 255};
    dequantize_codes(p, codes.data(), x.data(), 256);
    quantize_codes(p, x.data(), back.data(), 256);
    EXPECT_EQ(codes, back);
  }
}

TEST(Lookup, MapsEveryCode) {
  LookupTable table{};
  for (std::size_t i = 0; i < 256; ++i) table[i] = static_cast<std::uint8_t>(255 - i);
  const auto in = random_codes(1000, 3);
  std::vector<std::uint8_t> out(1000);
  lookup(table, in.data(), out.data(), 1000);
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(out[i], 255 - in[i]);
}

PoolGeometry pool_geometry() {
  PoolGeometry g;
  g.batch = 2;
  g.in_height = 7;
  g.in_width = 6;
  g.channels = 300;  // more than one block of channels
  g.kernel_height = 3;
  g.kernel_width = 2;
  g.stride_height = 2;
  g.stride_width = 3;
  g.pad_top = 1;
  g.pad_left = 1;
  g.pad_bottom = 1;
  g.out_height = 4;
  g.out_width = 2;
  return g;
}

TEST(Pool, AverageAndMaximumEqualDoubleLoops) {
  for (const int dilation : {1, 2}) {
    for (const auto count : {PoolCount::inside, PoolCount::padded}) {
      PoolGeometry g = pool_geometry();
      g.dilation_height = dilation;
      const auto in = random_codes(2 * 7 * 6 * 300, 4);
      const CodeParams pin{0.02F, 30};
      const CodeParams pout{0.017F, 111, 0, 230};
      std::vector<std::uint8_t> average(2 * 4 * 2 * 300), maximum(average.size());
      average_pool(g, count, pin, pout, in.data(), average.data(), 0, 3);
      average_pool(g, count, pin, pout, in.data(), average.data(), 3, 8);
      max_pool(g, 0, in.data(), maximum.data(), 0, 8);
      std::size_t i = 0;
      for (int n = 0; n < 2; ++n)
        for (int oy = 0; oy < 4; ++oy)
          for (int ox = 0; ox < 2; ++ox)
            for (int c = 0; c < 300; ++c, ++i) {
              int sum = 0, largest = 0, divisor = 0;
              for (int k = 0; k < 6; ++k) {
                const int y = oy * 2 - 1 + k / 2 * dilation;
                const int x = ox * 3 - 1 + k % 2;
                if (y >= 7 + 1 || x >= 6) continue;
                const bool inside = y >= 0 && y < 7 && x >= 0 && x < 6;
                if (inside || count == PoolCount::padded) ++divisor;
                if (!inside) continue;
                const int code = in[static_cast<std::size_t>(((n * 7 + y) * 6 + x) * 300 + c)];
                sum += code - 30;
                largest = std::max(largest, code);
              }
              const double multiplier =
                  f32(static_cast<double>(0.02F) / f32(static_cast<double>(0.017F) * divisor));
              ASSERT_EQ(int{average[i]}, int{to_code(f32(sum * multiplier), pout)}) << i;
              ASSERT_EQ(int{maximum[i]}, largest) << i;
            }
    }
  }
}

TEST(CopyStrided, ReversesAndTransposes) {
  const std::vector<std::uint8_t> in = {1, 2, 3, 4, 5, 6};
  std::vector<std::uint8_t> out(6, 0);
  // [2,3] to [3,2], rows reversed.
  copy_strided({{3, 2}, {1, -3}, {2, 1}}, in.data() + 3, out.data());
  EXPECT_EQ(out, (std::vector<std::uint8_t>{4, 1, 5, 2, 6, 3}));
}

TEST(Elementwise, PlanesAreQuantizedToPixels) {
  const CodeParams params{0.03F, 120, 3, 250, Rule::onnx, false};
  for (const std::int64_t channels : {1, 2, 3, 16}) {
    for (const std::int64_t pixels : {1, 17, 512, 1300}) {
      const auto size = static_cast<std::size_t>(channels * pixels);
      std::vector<float> values(size);
      for (std::size_t i = 0; i < size; ++i) values[i] = 0.011F * static_cast<float>(i % 997) - 5;
      std::vector<std::uint8_t> planes(size);
      quantize_codes(params, values.data(), planes.data(), channels * pixels);
      std::vector<std::uint8_t> out(size);
      quantize_planes(params, values.data(), pixels, channels, pixels, out.data());
      for (std::int64_t i = 0; i < channels * pixels; ++i) {
        ASSERT_EQ(out[static_cast<std::size_t>(i)],
                  planes[static_cast<std::size_t>(i % channels * pixels + i / channels)])
            << channels << " channels, " << pixels << " pixels, at " << i;
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels

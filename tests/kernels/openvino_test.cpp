// The kernels of rule openvino against the scalar formulas, bit for bit.

#include "kernels/openvino.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/pool.h"

namespace octet::kernels {
namespace {

TEST(OpenvinoKernels, QuantizeEqualsTheFormula) {
  const auto infinity = std::numeric_limits<float>::infinity();
  for (const CodeParams& p : {CodeParams{0.1F, 0, 0, 255, Rule::openvino},
                              CodeParams{0.037F, 101, 10, 240, Rule::openvino},
                              CodeParams{1e-12F, 255, 0, 255, Rule::openvino}}) {
    const auto line = octet::openvino::quantize_line(p.scale, p.zero_point);
    std::vector<float> values = {infinity, -infinity, std::nanf(""), 0.0F, -0.0F, 3e38F};
    for (int q = -600; q <= 600; ++q) {
      values.push_back(static_cast<float>(q) / 2 * p.scale);
      values.push_back(std::nextafter(values.back(), infinity));
    }
    std::vector<std::uint8_t> codes(values.size());
    quantize_codes(p, values.data(), codes.data(), static_cast<std::int64_t>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(codes[i], octet::openvino::quantize(values[i], line, p.low, p.high)) << values[i];
    }
  }
}

TEST(OpenvinoKernels, AddEqualsTheFormulaForAllPairs) {
  std::mt19937 random(5);
  for (const bool moves_b : {false, true}) {
    for (const bool own_code : {false, true}) {
      const auto scale = [&] { return std::uniform_real_distribution<float>(.01F, .05F)(random); };
      const auto zero = [&] {
        return static_cast<std::uint8_t>(std::uniform_int_distribution<int>(0, 255)(random));
      };
      BinaryParams p;
      p.a = {scale(), zero(), 0, 255, Rule::openvino};
      p.b = {scale(), zero(), 0, 255, Rule::openvino};
      p.output = {scale(), zero(), 4, 250, Rule::openvino};
      p.moves_b = moves_b;
      p.own_code = own_code;
      const auto& moved = moves_b ? p.b : p.a;
      const auto& kept = moves_b ? p.a : p.b;
      const auto sum =
          octet::openvino::sum(kept.scale, kept.zero_point, moved.scale, moved.zero_point,
                               octet::openvino::limits(p.output.scale, p.output.zero_point));
      std::vector<std::uint8_t> codes(256);
      for (int i = 0; i < 256; ++i)
        codes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
      std::vector<std::uint8_t> out(256 * 256);
      BinaryGeometry g;  // b runs along the rows, a stays
      g.extent = {1, 1, 256, 256};
      g.a_stride = {0, 0, 1, 0};
      g.b_stride = {0, 0, 0, 1};
      binary(p, g, codes.data(), codes.data(), out.data(), 0, 256);
      for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
          const int from = moves_b ? b : a;
          const float real = own_code ? octet::openvino::moved_own_code(sum, from)
                                      : octet::openvino::moved_code(sum, from);
          ASSERT_EQ(out[static_cast<std::size_t>(a * 256 + b)],
                    octet::openvino::add(sum, real, moves_b ? a : b, 4, 250));
        }
      }
    }
  }
}

TEST(OpenvinoKernels, AddOfRealsEqualsTheFormula) {
  std::mt19937 random(6);
  openvino::SumParams p;
  p.sum = octet::openvino::sum(0.03F, 17, 1, 0, octet::openvino::limits(0.041F, 99));
  p.low = 3;
  std::vector<float> moved(1003);
  std::vector<std::uint8_t> kept(moved.size());
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i] = std::uniform_real_distribution<float>(-8, 8)(random);
    kept[i] = static_cast<std::uint8_t>(std::uniform_int_distribution<int>(0, 255)(random));
  }
  std::vector<std::uint8_t> out(moved.size());
  openvino::add_reals(p, moved.data(), 1, kept.data(), 1, out.data(),
                      static_cast<std::int64_t>(out.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i], octet::openvino::add(p.sum, octet::openvino::moved_real(p.sum, moved[i]),
                                           kept[i], 3, 255));
  }
}

/// Against sums made here; padding counts as the code of zero.
TEST(OpenvinoKernels, AveragePoolCountsThePaddingAsZero) {
  PoolGeometry g;
  g.in_height = g.in_width = 4;
  g.channels = 3;
  g.out_height = g.out_width = 4;
  g.kernel_height = g.kernel_width = 3;
  g.pad_top = g.pad_left = g.pad_bottom = g.pad_right = 1;
  const CodeParams in{0.02F, 37, 0, 255, Rule::openvino};
  const CodeParams out_params{0.013F, 60, 0, 255, Rule::openvino};
  std::vector<std::uint8_t> input(48);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(i * 5);
  const auto line = octet::openvino::average_line(
      in.scale, in.zero_point, octet::openvino::limits(out_params.scale, out_params.zero_point));
  for (const auto count : {PoolCount::inside, PoolCount::padded}) {
    std::vector<std::uint8_t> output(48);
    average_pool(g, count, in, out_params, input.data(), output.data(), 0, 4);
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 4; ++x) {
        for (int c = 0; c < 3; ++c) {
          std::int64_t sum = 0;
          std::int64_t pixels = 0;
          for (int dy = -1; dy <= 1; ++dy) {
            for (int dx = -1; dx <= 1; ++dx) {
              const bool inside = y + dy >= 0 && y + dy < 4 && x + dx >= 0 && x + dx < 4;
              if (inside) sum += input[static_cast<std::size_t>(((y + dy) * 4 + x + dx) * 3 + c)];
              if (!inside && count == PoolCount::padded) sum += 37;
              pixels += inside || count == PoolCount::padded;
            }
          }
          const float mean = static_cast<float>(sum) * (1.0F / static_cast<float>(pixels));
          EXPECT_EQ(output[static_cast<std::size_t>((y * 4 + x) * 3 + c)],
                    octet::openvino::quantize(mean, line, 0, 255));
        }
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels

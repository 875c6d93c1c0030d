// A ConvTranspose by phases computes every output once, whatever the rows of a call.

#include "engine/integer/transposed_phases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace octet::integer {
namespace {

SpatialGeometry spatial(std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  return {{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {pad, pad}, {}};
}

kernels::ConvGeometry image(std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  kernels::ConvGeometry g;
  g.batch = 2;
  g.in_height = 5;
  g.in_width = 4;
  g.in_channels = 3;
  g.out_channels = 6;
  g.out_height = static_cast<int>((g.in_height - 1) * stride + kernel - 2 * pad);
  g.out_width = static_cast<int>((g.in_width - 1) * stride + kernel - 2 * pad);
  return g;
}

TEST(TransposedPhases, CoverEveryOutputOnce) {
  for (const auto& [kernel, stride, pad] : {std::tuple{2, 2, 0}, {3, 2, 1}, {4, 2, 1}, {5, 3, 2}}) {
    const auto phases = transposed_phases(spatial(kernel, stride, pad), image(kernel, stride, pad));
    ASSERT_EQ(phases.all.size(), static_cast<std::size_t>(stride * stride));
    std::set<std::pair<int, int>> seen;
    std::int64_t taps = 0;
    for (const auto& phase : phases.all) {
      taps += phase.conv.kernel_height * phase.conv.kernel_width;
      for (int y = 0; y < phase.conv.out_height; ++y) {
        for (int x = 0; x < phase.conv.out_width; ++x) {
          EXPECT_TRUE(
              seen.insert({phase.first_row + y * stride, phase.first_column + x * stride}).second);
        }
      }
    }
    EXPECT_EQ(taps, kernel * kernel) << "each tap belongs to one phase";
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(phases.out_height * phases.out_width));
    EXPECT_EQ(seen.rbegin()->first, phases.out_height - 1);
  }
}

TEST(TransposedPhases, AreNotForWhatConvolutionsCannotDo) {
  EXPECT_TRUE(transposed_phases(spatial(3, 1, 1), image(3, 1, 1)).empty()) << "no strides";
  EXPECT_TRUE(transposed_phases(spatial(2, 3, 0), image(2, 3, 0)).empty()) << "no tap";
  EXPECT_TRUE(transposed_phases(spatial(2, 2, 1), image(2, 2, 1)).empty()) << "negative padding";
  auto dilated = spatial(3, 2, 1);
  dilated.dilations = {2, 1};
  EXPECT_TRUE(transposed_phases(dilated, image(3, 2, 1)).empty());
}

TEST(TransposedPhases, RowsInPartsAreTheWhole) {
  const auto phases = transposed_phases(spatial(4, 2, 1), image(4, 2, 1));
  kernels::ConvParams params;
  params.geometry = phases.all[0].conv;
  params.multiplier.assign(6, 0.01F);
  params.bias = {5, -9, 100, 0, 3, 7};
  for (int i = 0; i < 6 * 4 * 4 * 3; ++i) {
    params.weights.push_back(static_cast<std::int8_t>(i * 37 % 255 - 127));
  }
  const PhaseKernels kernels(params, phases, 4, 4, kernels::default_isa());
  std::vector<std::uint8_t> input(2 * 5 * 4 * 3 + 64);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(91 * i);
  const auto run = [&](std::vector<std::int64_t> cuts) {
    std::vector<std::uint8_t> output(
        static_cast<std::size_t>(2 * phases.out_height * phases.out_width * 6), 1);
    std::vector<std::byte> memory(kernels.scratch_bytes(phases) + 64, std::byte{0x5A});
    const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    kernels::ConvCall call;
    call.input = input.data();
    call.output = output.data();
    call.scratch = memory.data() + (misaligned == 0 ? 0 : 64 - misaligned);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      kernels.run_rows(phases, call, cuts[i], cuts[i + 1]);
    }
    return output;
  };
  const auto whole = run({0, phases.rows()});
  EXPECT_EQ(run({0, 1, 7, 13, 14, 25, phases.rows()}), whole);
  EXPECT_NE(std::count(whole.begin(), whole.end(), 1), static_cast<std::ptrdiff_t>(whole.size()));
}

}  // namespace
}  // namespace octet::integer

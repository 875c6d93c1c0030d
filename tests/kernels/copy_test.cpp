// Strided copies against an index computed for each element.

#include "kernels/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace octet::kernels {
namespace {

std::vector<std::int64_t> dense(const std::vector<std::int64_t>& extent,
                                const std::vector<std::size_t>& order) {
  std::vector<std::int64_t> strides(extent.size());
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= extent[order[i]];
  }
  return strides;
}

std::vector<std::uint8_t> naive(const StridedCopy& copy, const std::vector<std::uint8_t>& in,
                                std::size_t size) {
  std::vector<std::uint8_t> out(size, 0xA5);
  std::int64_t count = 1;
  for (const auto extent : copy.extent) count *= extent;
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t rest = i;
    for (std::size_t d = copy.extent.size(); d-- > 0;) {
      from += rest % copy.extent[d] * copy.in_stride[d];
      to += rest % copy.extent[d] * copy.out_stride[d];
      rest /= copy.extent[d];
    }
    out[static_cast<std::size_t>(to)] = in[static_cast<std::size_t>(from)];
  }
  return out;
}

TEST(CopyStrided, PermutationsOfAllKinds) {
  std::mt19937 random(2);
  for (int i = 0; i < 400; ++i) {
    const std::size_t rank = random() % 5;
    std::vector<std::int64_t> extent(rank);
    for (auto& e : extent) e = random() % 4 == 0 ? 1 : static_cast<std::int64_t>(random() % 37);
    std::vector<std::size_t> in_order(rank);
    std::iota(in_order.begin(), in_order.end(), std::size_t{0});
    auto out_order = in_order;
    std::shuffle(in_order.begin(), in_order.end(), random);
    std::shuffle(out_order.begin(), out_order.end(), random);
    const StridedCopy copy{extent, dense(extent, in_order), dense(extent, out_order)};
    std::int64_t size = 1;
    for (const auto e : extent) size *= e;
    std::vector<std::uint8_t> in(static_cast<std::size_t>(size));
    for (auto& x : in) x = static_cast<std::uint8_t>(random());
    const auto want = naive(copy, in, in.size());
    for (const auto& version : {copy, simplified(copy)}) {
      if (size == 0) continue;
      std::vector<std::uint8_t> out(in.size() + 1, 0xA5);
      copy_strided(version, in.data(), out.data());
      EXPECT_EQ(out.back(), 0xA5) << "wrote beyond the end";
      out.pop_back();
      ASSERT_EQ(out, want) << i;
    }
  }
}

TEST(CopyStrided, StridedSidesAndNegativeSteps) {
  // Every second row and third column of a transposed matrix, backwards along one axis.
  const StridedCopy copy{{20, 33}, {1, 40}, {70, 2}};
  const StridedCopy back{{20, 33}, {-1, 40}, {33, 1}};
  const StridedCopy tiles{{20, 33}, {1, 40}, {50, 1}};
  std::vector<std::uint8_t> in(40 * 33);
  std::iota(in.begin(), in.end(), std::uint8_t{1});
  for (const auto& c : {copy, tiles}) {
    std::vector<std::uint8_t> out(1500, 0xA5);
    copy_strided(simplified(c), in.data(), out.data());
    EXPECT_EQ(out, naive(c, in, out.size()));
  }
  std::vector<std::uint8_t> out(20 * 33);
  copy_strided(simplified(back), in.data() + 19, out.data());
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t j = 0; j < 33; ++j) {
      ASSERT_EQ(out[static_cast<std::size_t>(i * 33 + j)],
                in[static_cast<std::size_t>(19 - i + 40 * j)]);
    }
  }
}

TEST(CopyStrided, RunsOfEveryLength) {
  for (std::int64_t bytes = 0; bytes <= 130; ++bytes) {
    const StridedCopy copy{{5, bytes}, {bytes + 3, 1}, {bytes + 7, 1}};
    std::vector<std::uint8_t> in(static_cast<std::size_t>(5 * (bytes + 3)));
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(3 * i + 1);
    std::vector<std::uint8_t> out(static_cast<std::size_t>(5 * (bytes + 7)), 0xA5);
    copy_strided(copy, in.data(), out.data());
    EXPECT_EQ(out, naive(copy, in, out.size())) << bytes;
  }
}

TEST(CopyStrided, SimplifiesToTheFewestDimensions) {
  const auto whole = simplified({{2, 3, 1, 4}, {12, 4, 99, 1}, {12, 4, 7, 1}});
  EXPECT_EQ(whole.extent, (std::vector<std::int64_t>{24}));
  const auto image = simplified({{2, 5, 3, 4}, {60, 1, 20, 5}, {60, 12, 4, 1}});
  EXPECT_EQ(image.extent, (std::vector<std::int64_t>{2, 5, 12}));
  EXPECT_TRUE(simplified({{1, 1}, {3, 3}, {1, 1}}).extent.empty());
}

TEST(Copy, PlanesAreInterleaved) {
  std::mt19937 random(5);
  for (std::int64_t channels = 1; channels <= 5; ++channels) {
    for (std::int64_t pixels = 0; pixels <= 70; ++pixels) {
      const std::int64_t stride = pixels + 3;
      // Loads of whole vectors stay within the planes.
      std::vector<std::uint8_t> planes(static_cast<std::size_t>(channels * stride));
      for (auto& code : planes) code = static_cast<std::uint8_t>(random());
      std::vector<std::uint8_t> wanted(static_cast<std::size_t>(channels * pixels + 8), 0xA5);
      for (std::int64_t i = 0; i < channels * pixels; ++i) {
        wanted[static_cast<std::size_t>(i)] =
            planes[static_cast<std::size_t>(i % channels * stride + i / channels)];
      }
      std::vector<std::uint8_t> out(wanted.size(), 0xA5);
      interleave_planes(planes.data(), stride, channels, pixels, out.data());
      EXPECT_EQ(out, wanted) << channels << " channels, " << pixels << " pixels";
    }
  }
}

}  // namespace
}  // namespace octet::kernels

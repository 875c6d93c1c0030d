// Weights in two parts: both are safe for vpmaddubsw, and together they are the weights.

#include "kernels/x86/excess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#include "kernels/conv_problem.h"

namespace octet::kernels::testing {
namespace {

constexpr SplitShape shape{3, 11, 2};

/// Of [segment][step][vector][lane][depth].
std::size_t position(int segment, int vector, int lane, int input) {
  const int step = (segment * shape.steps + input / 4) * shape.vectors + vector;
  return count((step * 8 + lane) * 4 + input % 4);
}

/// 255 times both, and either alone, within 16 bits.
bool safe(int first, int second) {
  const auto fits = [](int sum) { return 255 * sum >= INT16_MIN && 255 * sum <= INT16_MAX; };
  return fits(first + second) && fits(first) && fits(second);
}

void add(const ExcessWindow& window, int vector, std::vector<int>& weights) {
  ASSERT_GE(window.segment, 0);
  ASSERT_LT(window.segment, shape.segments);
  for (int slot = 0; slot < 16; ++slot) {
    if (window.excess[slot] == 0) continue;
    ASSERT_LT(window.offsets[slot], 16);
    const int input = window.input + window.offsets[slot];
    ASSERT_LT(input, 4 * shape.steps);
    weights[position(window.segment, vector, slot / 2, input)] += window.excess[slot];
  }
}

/// Returns the number of windows.
std::size_t check(const std::vector<std::int8_t>& weights) {
  auto packed = weights;
  std::vector<int> sum(weights.size());
  std::size_t windows = 0;
  for (int v = 0; v < shape.vectors; ++v) {
    std::vector<ExcessWindow> found;
    split_weights(packed, shape, v, found);
    const auto place = [](const auto& w) { return std::tuple(w.segment, w.input); };
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end(),
                               [&](auto& a, auto& b) { return place(a) < place(b); }));
    for (const auto& window : found) add(window, v, sum);
    windows += found.size();
  }
  for (std::size_t i = 0; i < packed.size(); i += 2) {
    EXPECT_TRUE(safe(packed[i], packed[i + 1])) << int{packed[i]} << ", " << int{packed[i + 1]};
  }
  for (std::size_t i = 0; i < packed.size(); ++i) EXPECT_EQ(sum[i] + packed[i], weights[i]);
  return windows;
}

std::vector<std::int8_t> filled(const std::function<int()>& weight) {
  std::vector<std::int8_t> weights(count(shape.segments * shape.steps * shape.vectors * 32));
  for (auto& w : weights) w = static_cast<std::int8_t>(weight());
  return weights;
}

TEST(Excess, PartsAreSafeAndAddUpToTheWeights) {
  Random random(1);
  for (int i = 0; i < 50; ++i) {
    const int most = random.in(65, 127);
    EXPECT_GT(check(filled([&] { return random.in(-most, most); })), 0U);
    check(filled([&] { return random.of({-128, 127, 0, 1, -1, 64, 65, -64, -65}); }));
  }
}

TEST(Excess, EveryPairAtTheEndsOfTheRange) {
  // 22 pairs of a segment, two of a window for each lane.
  EXPECT_EQ(check(filled([] { return -128; })), 3U * 2 * 11);
  EXPECT_EQ(check(filled([] { return 127; })), 3U * 2 * 11);
}

TEST(Excess, NoneWherePairsStayBelow) {
  EXPECT_EQ(check(filled([] { return 64; })), 0U);
  EXPECT_EQ(check(filled([] { return -64; })), 0U);
  EXPECT_EQ(check(filled([sign = 1]() mutable { return 127 * (sign = -sign); })), 0U);
}

TEST(Excess, LanesShareAWindow) {
  auto weights = filled([] { return 0; });
  const auto set = [&](int lane, int input) {
    weights[position(1, 0, lane, input)] = weights[position(1, 0, lane, input + 1)] = 100;
  };
  set(3, 6);
  set(5, 20);
  set(5, 12);
  EXPECT_EQ(check(weights), 1U);
  set(5, 10);
  EXPECT_EQ(check(weights), 2U);
  set(0, 22);
  EXPECT_EQ(check(weights), 2U);
}

}  // namespace
}  // namespace octet::kernels::testing

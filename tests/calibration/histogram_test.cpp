#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "calibration/observer.h"

namespace octet {
namespace {

using Limits = std::numeric_limits<float>;

Histogram histogram_of(std::span<const float> values) {
  Histogram histogram;
  histogram.observe(values);
  return histogram;
}

/// Magnitudes over `decades` powers of ten, both signs, many exact zeros.
std::vector<float> wild_values(std::size_t count, unsigned seed, double decades) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> exponent(-decades, decades);
  std::uniform_int_distribution<int> kind(0, 3);
  std::vector<float> values(count);
  for (auto& x : values) {
    const int k = kind(random);
    x = k == 0 ? 0.0F : static_cast<float>((k == 1 ? -1 : 1) * std::pow(10.0, exponent(random)));
  }
  return values;
}

/// Bin index -> count, by exact arithmetic in double.
std::map<std::int64_t, std::uint64_t> counted(std::span<const float> values, int exponent) {
  std::map<std::int64_t, std::uint64_t> bins;
  for (const float x : values) {
    ++bins[static_cast<std::int64_t>(std::floor(std::ldexp(static_cast<double>(x), -exponent)))];
  }
  return bins;
}

void expect_counts(const Histogram& histogram, std::span<const float> values) {
  auto expected = counted(values, histogram.width_exponent());
  ASSERT_EQ(histogram.counts().size(), static_cast<std::size_t>(Histogram::bin_count));
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    const auto bin = histogram.first_bin() + static_cast<std::int64_t>(i);
    ASSERT_EQ(histogram.counts()[i], expected[bin]) << "bin " << bin;
    expected.erase(bin);
  }
  EXPECT_TRUE(expected.empty());
}

TEST(Histogram, CountsEqualExactArithmetic) {
  for (const double decades : {0.1, 3.0, 20.0, 37.0}) {
    for (const std::size_t count : {1UL, 7UL, 513UL, 20000UL, 150001UL}) {
      const auto values = wild_values(count, static_cast<unsigned>(count), decades);
      const auto histogram = histogram_of(values);
      expect_counts(histogram, values);
      EXPECT_EQ(histogram.total(), count);
      EXPECT_EQ(histogram.minimum(), *std::min_element(values.begin(), values.end()));
      EXPECT_EQ(histogram.maximum(), *std::max_element(values.begin(), values.end()));
    }
  }
}

TEST(Histogram, EqualValuesDoNotOverflowItsCounters) {
  std::vector<float> values(600'000, 3.5F);
  std::fill_n(values.begin(), 200'000, 0.0F);
  std::fill_n(values.end() - 5, 5, 9.0F);
  expect_counts(histogram_of(values), values);
}

TEST(Histogram, NonFiniteValuesInLaterBlocksAreLeftOut) {
  auto values = wild_values(50'000, 5, 2.0);
  const auto clean = histogram_of(values);
  values.insert(values.begin() + 30'000, {std::nanf(""), Limits::infinity(), -Limits::infinity()});
  auto histogram = histogram_of(values);
  EXPECT_EQ(histogram.non_finite(), 3U);
  EXPECT_EQ(histogram.counts(), clean.counts());
  EXPECT_EQ(histogram.minimum(), clean.minimum());
  EXPECT_EQ(histogram.maximum(), clean.maximum());
}

TEST(Histogram, DependsOnTheMultisetAlone) {
  std::mt19937 random(7);
  for (unsigned trial = 0; trial < 40; ++trial) {
    auto values = wild_values(3000 + trial, trial, trial % 2 == 0 ? 2.0 : 30.0);
    const auto whole = histogram_of(values);
    std::shuffle(values.begin(), values.end(), random);
    Histogram pieces;
    Histogram left;
    Histogram right;
    for (std::size_t at = 0; at < values.size();) {
      const auto count = std::min<std::size_t>(1 + random() % 900, values.size() - at);
      const auto piece = std::span(values).subspan(at, count);
      pieces.observe(piece);
      (random() % 2 == 0 ? left : right).observe(piece);
      at += count;
    }
    EXPECT_TRUE(pieces == whole) << trial;
    Histogram merged = left;
    merged.merge(right);
    EXPECT_TRUE(merged == whole) << trial;
    right.merge(left);
    EXPECT_TRUE(right == whole) << trial;
    Histogram empty;
    empty.merge(whole);
    EXPECT_TRUE(empty == whole) << trial;
  }
}

TEST(Histogram, KeepsItsCanonicalForm) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const auto histogram = histogram_of(wild_values(100, seed, 1 + seed % 30));
    const auto bins = [&](int exponent) {
      const double low = std::min(0.0, static_cast<double>(histogram.minimum()));
      const double high = std::max(0.0, static_cast<double>(histogram.maximum()));
      return std::floor(std::ldexp(high, -exponent)) - std::floor(std::ldexp(low, -exponent)) + 1;
    };
    EXPECT_LE(bins(histogram.width_exponent()), Histogram::bin_count);
    if (histogram.width_exponent() > Histogram::smallest_exponent) {
      EXPECT_GT(bins(histogram.width_exponent() - 1), Histogram::bin_count);
    }
  }
}

TEST(Histogram, ExtremeValues) {
  const std::vector<float> values = {Limits::max(),         -Limits::max(),       Limits::min(),
                                     -Limits::denorm_min(), Limits::denorm_min(), 0.0F};
  expect_counts(histogram_of(values), values);
  const std::vector<float> tiny = {Limits::denorm_min(), -Limits::denorm_min(), Limits::min()};
  expect_counts(histogram_of(tiny), tiny);
  const std::vector<float> zeros(10000, 0.0F);
  expect_counts(histogram_of(zeros), zeros);
}

TEST(Histogram, NegativeZeroIsZero) {
  EXPECT_TRUE(histogram_of(std::vector<float>{-0.0F}) == histogram_of(std::vector<float>{0.0F}));
  EXPECT_FALSE(std::signbit(histogram_of(std::vector<float>{-0.0F}).minimum()));
}

TEST(Histogram, NonFiniteValuesAreCountedApart) {
  const std::vector<float> values = {1.0F, Limits::quiet_NaN(), -2.0F, Limits::infinity(),
                                     -Limits::infinity()};
  const auto histogram = histogram_of(values);
  EXPECT_EQ(histogram.non_finite(), 3U);
  EXPECT_EQ(histogram.total(), 2U);
  EXPECT_EQ(histogram.minimum(), -2.0F);
  EXPECT_EQ(histogram.maximum(), 1.0F);
  const auto nothing = histogram_of(std::vector<float>{Limits::quiet_NaN()});
  EXPECT_EQ(nothing.total(), 0U);
  EXPECT_EQ(nothing.minimum(), Limits::infinity());
}

TEST(Histogram, RangeOnlyHasNoCounts) {
  const auto values = wild_values(5000, 3, 4);
  Histogram range;
  range.observe_range(values);
  const auto full = histogram_of(values);
  EXPECT_FALSE(range.has_counts());
  EXPECT_EQ(range.minimum(), full.minimum());
  EXPECT_EQ(range.maximum(), full.maximum());
  EXPECT_EQ(range.total(), full.total());
  Histogram one = range;
  one.merge(full);
  Histogram other = full;
  other.merge(range);
  EXPECT_TRUE(one == other);
  EXPECT_FALSE(one.has_counts());
}

}  // namespace
}  // namespace octet

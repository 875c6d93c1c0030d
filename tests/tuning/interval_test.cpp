#include "tuning/interval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace octet {
namespace {

TEST(Interval, OfAMeanIsTheNormalApproximation) {
  const std::vector<double> differences = {1, 2, 3, 4};
  const auto interval = mean_interval(differences, Adjustment::none);
  const double half = 1.959964 * std::sqrt(1.25 / 4);
  EXPECT_NEAR(interval.low, 2.5 - half, 1e-6);
  EXPECT_NEAR(interval.high, 2.5 + half, 1e-6);
}

/// Agresti and Min's interval, by their formula: cells b + 1/2, c + 1/2 of n + 2.
TEST(Interval, OfMatchedPairs) {
  std::vector<double> differences(100, 0.0);
  for (int i = 0; i < 9; ++i) differences[static_cast<std::size_t>(i)] = 1;
  for (int i = 9; i < 12; ++i) differences[static_cast<std::size_t>(i)] = -1;
  const double n = 102;
  const double b = 9.5 / n;
  const double c = 3.5 / n;
  const double half = 1.959964 * std::sqrt((b + c - (b - c) * (b - c)) / n);
  const auto interval = mean_interval(differences, Adjustment::matched_pairs);
  EXPECT_NEAR(interval.low, b - c - half, 1e-6);
  EXPECT_NEAR(interval.high, b - c + half, 1e-6);
}

TEST(Interval, DoesNotShrinkToAPoint) {
  const std::vector<double> alike(300, 0.0);
  for (const auto adjustment : {Adjustment::matched_pairs, Adjustment::proportion}) {
    const auto interval = mean_interval(alike, adjustment);
    EXPECT_GT(interval.high, 0.003);
    EXPECT_LT(interval.high, 0.03);
  }
}

/// Of 95 % intervals 95 % hold the truth: 200 samples, of which 4 % are lost and 2 % are won.
TEST(Interval, HoldsTheTruthAsOftenAsItSays) {
  std::mt19937 random(7);
  int held = 0;
  constexpr int draws = 2000;
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<double> differences;
    for (int i = 0; i < 200; ++i) {
      const auto at = random() % 100;
      differences.push_back(at < 4 ? 1 : at < 6 ? -1 : 0);
    }
    const auto interval = mean_interval(differences, Adjustment::matched_pairs);
    held += interval.low <= 0.02 && 0.02 <= interval.high ? 1 : 0;
  }
  EXPECT_GT(held, draws * 0.93);
  EXPECT_LT(held, draws * 0.985);
}

TEST(Interval, OfARatioKnowsItsParts) {
  const std::vector<double> tops = {1, 2, 3};
  const std::vector<double> bottoms = {10, 20, 30};
  const auto exact = ratio_interval(tops, bottoms);
  EXPECT_NEAR(exact.low, 0.1, 1e-12) << "each sample has the same ratio";
  EXPECT_NEAR(exact.high, 0.1, 1e-12);
  const auto loose = ratio_interval(std::vector<double>{1, 5, 0}, bottoms);
  EXPECT_LT(loose.low, 0.1);
  EXPECT_GT(loose.high, 0.1);
}

}  // namespace
}  // namespace octet

#include "tuning/verdict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace octet {
namespace {

PairedSample hits(double reference, double model) {
  PairedSample sample;
  sample.reference = reference;
  sample.model = model;
  sample.noise = 1;
  sample.signal = 50;
  sample.elements = 10;
  sample.kl = 0.5;
  return sample;
}

TEST(Verdict, CountsPointsBelowTheFloatModel) {
  const std::vector<PairedSample> samples = {hits(1, 1), hits(1, 0), hits(0, 1), hits(1, 0)};
  const auto verdict = judge(Metric::top1, samples);
  ASSERT_TRUE(verdict);
  EXPECT_DOUBLE_EQ(verdict->value, 0.5);
  EXPECT_DOUBLE_EQ(verdict->drop, 25);
  EXPECT_LT(verdict->interval->low, 25);
  EXPECT_GT(verdict->interval->high, 25);
  EXPECT_DOUBLE_EQ(verdict->error, 0.5);
  EXPECT_DOUBLE_EQ(reference_value(Metric::top1, samples), 0.75);
}

TEST(Verdict, MeasuresWithoutLabels) {
  const std::vector<PairedSample> samples = {hits(0, 1), hits(0, 0.5)};
  EXPECT_DOUBLE_EQ(judge(Metric::agreement, samples)->drop, 25);
  EXPECT_DOUBLE_EQ(judge(Metric::cosine, samples)->drop, 25);
  EXPECT_DOUBLE_EQ(judge(Metric::kl, samples)->drop, 0.5);
  EXPECT_DOUBLE_EQ(judge(Metric::mse, samples)->drop, 0.1);
  EXPECT_DOUBLE_EQ(judge(Metric::sqnr, samples)->drop, 2) << "per cent of the signal";
  EXPECT_DOUBLE_EQ(judge(Metric::sqnr, samples)->value, 10 * std::log10(50));
}

TEST(Verdict, OfAreasUnderTheCurve) {
  std::vector<PairedSample> samples;
  for (int i = 0; i < 20; ++i) {
    auto sample = hits(i, i == 9 ? 15 : i);
    sample.positive = i >= 10;
    samples.push_back(sample);
  }
  const auto verdict = judge(Metric::auc, samples);
  // The negative 9 passes 5 of 10 positives, and ties with one.
  EXPECT_DOUBLE_EQ(reference_value(Metric::auc, samples), 1);
  EXPECT_NEAR(verdict->drop, 5.5, 1e-9);
  EXPECT_LT(verdict->interval->low, 5.5);
  EXPECT_GT(verdict->interval->high, 5.5);
}

TEST(Verdict, SharesBelowAsPairsAreCounted) {
  std::vector<double> own;
  std::vector<double> others;
  for (int i = 0; i < 60; ++i) own.push_back(i * 37 % 11);  // with many ties
  for (int i = 0; i < 45; ++i) others.push_back(i * 23 % 13 - 1);
  const auto shares = shares_below(own, others);
  ASSERT_EQ(shares.size(), own.size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    double below = 0;
    for (const double other : others) below += other < own[i] ? 1 : other == own[i] ? 0.5 : 0;
    EXPECT_DOUBLE_EQ(shares[i], below / 45) << own[i];
  }
  EXPECT_EQ(shares_below(std::vector<double>{-5, 50}, others), (std::vector<double>{0, 1}));
}

/// DeLong's variance from its definition, pair by pair, of scores with ties.
TEST(Verdict, IntervalOfAreasFromPairs) {
  std::vector<PairedSample> samples;
  for (int i = 0; i < 40; ++i) {
    auto sample = hits(i * 7 % 10, i * 3 % 9);
    sample.positive = i % 3 == 0;
    samples.push_back(sample);
  }
  const auto psi = [](double x, double y) { return x > y ? 1.0 : x == y ? 0.5 : 0.0; };
  double squares = 0;
  for (const bool positive : {true, false}) {
    std::vector<double> differences;
    for (const auto& own : samples) {
      if (own.positive != positive) continue;
      double difference = 0;
      double count = 0;
      for (const auto& other : samples) {
        if (other.positive == positive) continue;
        difference += positive ? psi(own.reference, other.reference) - psi(own.model, other.model)
                               : psi(other.reference, own.reference) - psi(other.model, own.model);
        count += 1;
      }
      differences.push_back(difference / count);
    }
    double mean = 0;
    for (const double d : differences) mean += d / static_cast<double>(differences.size());
    double variance = 0;
    for (const double d : differences) {
      variance += (d - mean) * (d - mean) / static_cast<double>(differences.size());
    }
    squares += variance / static_cast<double>(differences.size());
  }
  const auto verdict = judge(Metric::auc, samples);
  ASSERT_TRUE(verdict);
  EXPECT_NEAR(verdict->interval->high - verdict->drop, 100 * 1.959964 * std::sqrt(squares), 1e-4);
}

TEST(Verdict, RefusesNumbersThatAreNone) {
  auto sample = hits(1, 1);
  sample.noise = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(judge(Metric::mse, std::vector{sample}));
  sample.kl.reset();
  EXPECT_FALSE(judge(Metric::kl, std::vector{sample}));
  EXPECT_FALSE(judge(Metric::top1, {}));
}

}  // namespace
}  // namespace octet

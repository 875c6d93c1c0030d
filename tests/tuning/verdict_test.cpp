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

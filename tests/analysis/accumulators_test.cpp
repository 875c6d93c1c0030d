// Each metric against numbers worked out by hand.

#include "analysis/accumulators.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

using Floats = std::vector<float>;

TEST(AccuracySums, CountsAndLoss) {
  AccuracySums sums;
  sums.add(Floats{0.7F, 0.2F, 0.1F, 0, 0, 0}, 0);             // right: -ln 0.7
  sums.add(Floats{0.1F, 0.2F, 0.3F, 0.2F, 0.15F, 0.05F}, 5);  // sixth of six
  AccuracySums other;
  other.add(Floats{0.25F, 0.75F}, 0);  // second
  sums.merge(other);
  EXPECT_EQ(sums.samples(), 3);
  EXPECT_DOUBLE_EQ(sums.top1(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(sums.top5(), 2.0 / 3);
  EXPECT_NEAR(sums.loss(), -(std::log(0.7) + std::log(0.05) + std::log(0.25)) / 3, 1e-6);
}

TEST(ScoreLayout, ClassesByRank) {
  const auto check = [](const Shape& shape, std::int64_t outer, std::int64_t classes,
                        std::int64_t inner) {
    const auto layout = score_layout(shape);
    EXPECT_EQ(layout.outer, outer) << to_string(shape);
    EXPECT_EQ(layout.classes, classes) << to_string(shape);
    EXPECT_EQ(layout.inner, inner) << to_string(shape);
  };
  check({1, 10}, 1, 10, 1);
  check({1, 7, 5}, 7, 5, 1);        // tokens or anchors
  check({1, 21, 8, 9}, 1, 21, 72);  // a map
  check({1, 1000, 1, 1}, 1, 1000, 1);
  check({1, 1, 1, 1000}, 1, 1000, 1);
  check({1, 1, 8, 9}, 8, 9, 1);  // one channel cannot be the classes
  check({1}, 1, 1, 1);
  check({1, 1}, 1, 1, 1);
}

TEST(AgreementSums, OfAMap) {
  // Two classes at three positions, class by class.
  const Floats first = {0.9F, 0.2F, 0.5F, 0.1F, 0.8F, 0.5F};
  const Floats second = {0.6F, 0.7F, 0.5F, 0.4F, 0.3F, 0.5F};
  AgreementSums sums;
  sums.add(first, second, score_layout({1, 2, 1, 3, 1}));
  EXPECT_EQ(sums.positions(), 3);
  EXPECT_DOUBLE_EQ(sums.agreement(), 2.0 / 3);
  const double a = 0.9 * std::log(0.9 / 0.6) + 0.1 * std::log(0.1 / 0.4);
  const double b = 0.2 * std::log(0.2 / 0.7) + 0.8 * std::log(0.8 / 0.3);
  EXPECT_NEAR(sums.kl(), (a + b) / 3, 1e-6);
}

TEST(AgreementSums, OfClassesHasNoDivergence) {
  AgreementSums sums;
  sums.add_classes(Floats{1, 2, 3, 4}, Floats{1, 2, 0, 4});
  EXPECT_DOUBLE_EQ(sums.agreement(), 0.75);
  EXPECT_TRUE(std::isnan(sums.kl()));
}

TEST(ErrorSums, ByHand) {
  ErrorSums sums;
  sums.add(SampleError::between(Floats{3, 4}, Floats{3, 3}));  // cosine 21 / (5 * sqrt 18)
  ErrorSums other;
  other.add(SampleError::between(Floats{0, 5}, Floats{0, 2}));  // cosine 1
  sums.merge(other);
  EXPECT_EQ(sums.samples(), 2);
  EXPECT_NEAR(sums.sqnr_db(), 10 * std::log10(50.0 / 10.0), 1e-12);
  EXPECT_DOUBLE_EQ(sums.mse(), 10.0 / 4);
  EXPECT_NEAR(sums.cosine(), (21 / (5 * std::sqrt(18.0)) + 1) / 2, 1e-12);
}

TEST(ErrorSums, Edges) {
  ErrorSums exact;
  exact.add(SampleError::between(Floats{1, 2}, Floats{1, 2}));
  EXPECT_EQ(exact.sqnr_db(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(exact.mse(), 0);
  EXPECT_DOUBLE_EQ(exact.cosine(), 1);
  ErrorSums silent;
  silent.add(SampleError::between(Floats{0, 0}, Floats{0, 0}));
  EXPECT_DOUBLE_EQ(silent.cosine(), 1);
  silent.add(SampleError::between(Floats{0, 0}, Floats{1, 0}));
  EXPECT_DOUBLE_EQ(silent.cosine(), 0.5);
  EXPECT_EQ(silent.sqnr_db(), -std::numeric_limits<double>::infinity());
  ErrorSums broken;
  broken.add(SampleError::between(Floats{1}, Floats{std::nanf("")}));
  EXPECT_TRUE(std::isnan(broken.mse()));
}

TEST(RocScores, AreaWithTies) {
  // Pairs (positive, negative): 3>1, 3>2, 2>1, 2=2 -> 3.5 of 4.
  RocScores first;
  first.add(3, true);
  first.add(1, false);
  RocScores second;
  second.add(2, true);
  second.add(2, false);
  first.merge(second);
  EXPECT_EQ(first.positives(), 2U);
  EXPECT_EQ(first.negatives(), 2U);
  EXPECT_DOUBLE_EQ(first.area(), 3.5 / 4);
}

TEST(RocScores, OfABadAndANoScore) {
  RocScores reversed;
  reversed.add(-1, true);
  reversed.add(1, false);
  EXPECT_EQ(reversed.area(), 0);
  EXPECT_FALSE(reversed.has_nan());
  reversed.add(std::nanf(""), true);
  EXPECT_TRUE(reversed.has_nan());
}

}  // namespace
}  // namespace octet

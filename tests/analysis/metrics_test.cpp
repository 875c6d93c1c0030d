#include "analysis/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

TEST(Metrics, ArgMaxTakesTheFirstAmongEqualsAndIgnoresNan) {
  const std::vector<float> scores = {1, 3, 3, std::nanf("")};
  EXPECT_EQ(arg_max(scores), 1U);
  EXPECT_TRUE(in_top_k(scores, 1, 1));
  EXPECT_FALSE(in_top_k(scores, 2, 1));
  EXPECT_TRUE(in_top_k(scores, 2, 2));
  EXPECT_FALSE(in_top_k(scores, 3, 4));
  EXPECT_FALSE(in_top_k(scores, 9, 5));
}

TEST(Metrics, ProbabilitiesPassAndLogitsAreSoftmaxed) {
  const std::vector<float> probabilities = {0.25F, 0.75F};
  EXPECT_NEAR(class_probabilities(probabilities)[1], 0.75, 1e-12);
  const std::vector<float> logits = {0.0F, std::log(3.0F) + 0.0F, -1000.0F};
  const auto p = class_probabilities(logits);
  EXPECT_NEAR(p[1], 0.75, 1e-6);
  EXPECT_EQ(p[2], 1e-8);
}

TEST(Metrics, KlIsZeroForEqualAndPositiveOtherwise) {
  const std::vector<double> p = {0.5, 0.5};
  const std::vector<double> q = {0.9, 0.1};
  EXPECT_EQ(kl_divergence(p, p), 0.0);
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(0.5 / 0.1), 1e-12);
}

}  // namespace
}  // namespace octet

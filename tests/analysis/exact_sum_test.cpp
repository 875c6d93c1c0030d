#include "analysis/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace octet {
namespace {

double sum_of(const std::vector<double>& terms) {
  ExactSum sum;
  for (const double term : terms) sum.add(term);
  return sum.value();
}

TEST(ExactSum, LosesNothing) {
  EXPECT_EQ(sum_of({}), 0.0);
  EXPECT_EQ(sum_of({1.5, -0.25}), 1.25);
  EXPECT_EQ(sum_of({1e300, 1.0, -1e300}), 1.0);
  EXPECT_EQ(sum_of({0x1.0p1000, 0x1.0p-1000, -0x1.0p1000}), 0x1.0p-1000);
  const double smallest = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(sum_of({smallest, smallest, 3.0, -3.0}), 2 * smallest);
  EXPECT_EQ(sum_of({-smallest}), -smallest);
  const double largest = std::numeric_limits<double>::max();
  EXPECT_EQ(sum_of({largest, largest, -largest}), largest);
  EXPECT_EQ(sum_of({-largest, 1.0, largest}), 1.0);
}

TEST(ExactSum, NotFiniteMakesNan) {
  EXPECT_TRUE(std::isnan(sum_of({1.0, std::numeric_limits<double>::infinity()})));
  EXPECT_TRUE(std::isnan(sum_of({std::nan(""), 1.0})));
  ExactSum good;
  good.add(1);
  ExactSum bad;
  bad.add(std::nan(""));
  good.merge(bad);
  EXPECT_TRUE(std::isnan(good.value()));
}

TEST(ExactSum, SameBitsForAnyOrderAndSplit) {
  std::mt19937_64 generator(7);
  std::vector<double> terms;
  for (int i = 0; i < 5000; ++i) {
    const double fraction = static_cast<double>(generator() >> 11) * 0x1.0p-53 - 0.5;
    terms.push_back(std::ldexp(fraction, static_cast<int>(generator() % 200) - 100));
  }
  const double expected = sum_of(terms);
  long double plain = 0;
  for (const double term : terms) plain += static_cast<long double>(term);
  EXPECT_NEAR(expected, static_cast<double>(plain), std::abs(expected) * 1e-12);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(terms.begin(), terms.end(), generator);
    ExactSum parts[3];
    for (const double term : terms) parts[generator() % 3].add(term);
    parts[2].merge(parts[0]);
    parts[2].merge(parts[1]);
    EXPECT_EQ(parts[2].value(), expected);
  }
}

}  // namespace
}  // namespace octet

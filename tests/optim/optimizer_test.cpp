#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "optim/learning_rate.h"

namespace octet::optim {
namespace {

/// Two steps from 1 against gradients 0.5 and -1, by hand.
TEST(Optimizer, SgdWithNesterovMomentum) {
  OptimizerOptions options;
  options.momentum = 0.9F;
  Moments moments;
  std::vector<float> p = {1.0F};
  update(options, 1, 0.1F, 0, std::vector<float>{0.5F}, moments, p);
  EXPECT_FLOAT_EQ(p[0], 1 - 0.1F * (0.5F + 0.9F * 0.5F));
  const float before = p[0];
  update(options, 2, 0.1F, 0, std::vector<float>{-1.0F}, moments, p);
  const float velocity = 0.9F * 0.5F - 1.0F;
  EXPECT_FLOAT_EQ(p[0], before - 0.1F * (-1.0F + 0.9F * velocity));
}

TEST(Optimizer, DecayGoesThroughTheGradientOfSgdAndBesideThatOfAdamw) {
  std::vector<float> p = {2.0F};
  Moments moments;
  OptimizerOptions plain;
  plain.nesterov = false;
  update(plain, 1, 0.1F, 0.5F, std::vector<float>{0.0F}, moments, p);
  EXPECT_FLOAT_EQ(p[0], 2 - 0.1F * 0.5F * 2);

  std::vector<float> q = {2.0F};
  Moments other;
  OptimizerOptions adamw;
  adamw.kind = OptimizerKind::adamw;
  update(adamw, 1, 0.1F, 0.5F, std::vector<float>{0.0F}, other, q);
  EXPECT_FLOAT_EQ(q[0], 2 - 0.1F * 0.5F * 2);
  EXPECT_FLOAT_EQ(other.first[0], 0);
}

/// The first step of Adam has the size of the rate, whatever the gradient's.
TEST(Optimizer, AdamsFirstStepIsTheRate) {
  OptimizerOptions adam;
  adam.kind = OptimizerKind::adam;
  for (const float gradient : {1e-3F, 1.0F, -50.0F}) {
    Moments moments;
    std::vector<float> p = {0.0F};
    update(adam, 1, 0.01F, 0, std::vector<float>{gradient}, moments, p);
    EXPECT_NEAR(p[0], gradient > 0 ? -0.01 : 0.01, 1e-6);
  }
}

TEST(Optimizer, FindsTheMinimumOfABowl) {
  for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw}) {
    OptimizerOptions options;
    options.kind = kind;
    Moments moments;
    std::vector<float> p = {3.0F, -2.0F};
    for (int step = 1; step <= 800; ++step) {
      const std::vector<float> gradient = {2 * (p[0] - 1), 20 * (p[1] + 0.5F)};
      update(options, step, 0.01F, 0, gradient, moments, p);
    }
    EXPECT_NEAR(p[0], 1.0F, 0.02F) << name(kind);
    EXPECT_NEAR(p[1], -0.5F, 0.02F) << name(kind);
  }
}

TEST(Schedule, RisesAndFallsAsNamed) {
  const Schedule cosine{ScheduleKind::cosine, 1.0, 100, 10};
  EXPECT_LT(cosine.at(0), cosine.at(9));
  EXPECT_DOUBLE_EQ(cosine.at(10), 1.0);
  EXPECT_NEAR(cosine.at(55), 0.5, 1e-12);
  EXPECT_NEAR(cosine.at(100), 0, 1e-12);
  const Schedule steps{ScheduleKind::step, 1.0, 100, 0};
  EXPECT_DOUBLE_EQ(steps.at(49), 1.0);
  EXPECT_DOUBLE_EQ(steps.at(50), 0.1);
  EXPECT_DOUBLE_EQ(steps.at(75), 0.01);
  const Schedule cycle{ScheduleKind::onecycle, 1.0, 100, 0};
  EXPECT_NEAR(cycle.at(0), 1.0 / 25, 1e-12);
  EXPECT_DOUBLE_EQ(cycle.at(30), 1.0);
  EXPECT_NEAR(cycle.at(100), 1e-4, 1e-12);
}

TEST(Names, ReadBack) {
  for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw}) {
    EXPECT_EQ(optimizer_from_name(name(kind)), kind);
  }
  EXPECT_FALSE(optimizer_from_name("lion"));
  for (const auto kind :
       {ScheduleKind::constant, ScheduleKind::step, ScheduleKind::cosine, ScheduleKind::onecycle}) {
    EXPECT_EQ(schedule_from_name(name(kind)), kind);
  }
}

}  // namespace
}  // namespace octet::optim

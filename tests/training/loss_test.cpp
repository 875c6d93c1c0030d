#include "training/loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "training/augment.h"

namespace octet {
namespace {

const Tensor scores = Tensor::from<float>({1, 2, -1, 0.5F, 0.5F, 3}, {2, 3});

/// The gradient against central differences of the loss itself.
void expect_gradient(const LossOptions& options, const ClassTargets& targets,
                     const Tensor* teacher) {
  const auto at = class_loss(options, scores, targets, teacher, 0.5F);
  for (std::int64_t i = 0; i < scores.size(); ++i) {
    constexpr float step = 1e-2F;
    Tensor up = scores, down = scores;
    up.mutable_data<float>()[i] += step;
    down.mutable_data<float>()[i] -= step;
    const double slope = (class_loss(options, up, targets, teacher, 0.5F).sum -
                          class_loss(options, down, targets, teacher, 0.5F).sum) /
                         (2 * static_cast<double>(step));
    EXPECT_NEAR(at.gradient.data<float>()[i], 0.5 * slope, 2e-4) << i;
  }
}

TEST(ClassLoss, IsCrossEntropy) {
  const auto loss = class_loss({}, scores, {{1, 2}, {}, {}}, nullptr, 1);
  const double first = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(-1.0)) - 2;
  const double second = std::log(2 * std::exp(0.5) + std::exp(3.0)) - 3;
  EXPECT_NEAR(loss.sum, first + second, 1e-9);
  EXPECT_EQ(count_correct(scores, std::vector<std::int32_t>{1, 2}), 2);
  EXPECT_EQ(count_correct(scores, std::vector<std::int32_t>{0, 2}), 1);
}

TEST(ClassLoss, GradientsOfAllForms) {
  const Tensor teacher = Tensor::from<float>({0, 1, 1, 2, -1, 0}, {2, 3});
  LossOptions options;
  expect_gradient(options, {{0, 2}, {}, {}}, nullptr);
  options.label_smoothing = 0.1F;
  expect_gradient(options, {{0, 2}, {}, {}}, nullptr);
  expect_gradient(options, {{0, 2}, {1, 1}, {0.7F, 0.4F}}, nullptr);
  options.distillation = 0.6F;
  options.temperature = 3;
  expect_gradient(options, {{0, 2}, {}, {}}, &teacher);
  expect_gradient(options, {}, &teacher);
}

TEST(ClassLoss, OfATeacherThatAgreesIsZero) {
  LossOptions options;
  options.temperature = 2;
  const auto loss = class_loss(options, scores, {}, &scores, 1);
  EXPECT_NEAR(loss.sum, 0, 1e-12);
  for (const float g : loss.gradient.values<float>()) EXPECT_NEAR(g, 0, 1e-7);
}

TEST(SquaredLoss, IsTheMeanOverTheElements) {
  const Tensor target = Tensor::from<float>({0, 2, -1, 0.5F, 1.5F, 3}, {2, 3});
  const auto loss = squared_loss(scores, target, 1);
  EXPECT_NEAR(loss.sum, (1.0 + 1.0) / 3, 1e-9);
  EXPECT_NEAR(loss.gradient.data<float>()[0], 2.0 / 3, 1e-6);
  EXPECT_NEAR(loss.gradient.data<float>()[4], -2.0 / 3, 1e-6);
}

TEST(Augment, MovesAndMirrorsWithinThePadding) {
  Tensor image(DType::f32, {1, 2, 3, 4});
  for (std::int64_t i = 0; i < image.size(); ++i) {
    image.mutable_data<float>()[i] = static_cast<float>(i + 1);
  }
  bool moved = false;
  for (std::int64_t item = 0; item < 20; ++item) {
    Tensor changed = image;
    Random random(3, 0, item);
    augment({1, true, 0, 0}, ImageLayout::nchw, random, changed);
    Tensor again = image;
    Random same(3, 0, item);
    augment({1, true, 0, 0}, ImageLayout::nchw, same, again);
    EXPECT_TRUE(identical(changed, again));
    moved = moved || !identical(changed, image);
    for (const float x : changed.values<float>()) {
      EXPECT_TRUE(x == 0 || (x >= 1 && x <= 24 && x == std::floor(x)));
    }
  }
  EXPECT_TRUE(moved);
}

TEST(Augment, CutoutSetsASquareToZeroInBothLayouts) {
  for (const auto layout : {ImageLayout::nchw, ImageLayout::nhwc}) {
    Tensor image(DType::f32, layout == ImageLayout::nchw ? Shape{1, 3, 8, 8} : Shape{1, 8, 8, 3});
    std::fill_n(image.mutable_data<float>(), image.size(), 1.0F);
    Random random(1, 2, 3);
    augment({0, false, 4, 0}, layout, random, image);
    const auto values = image.values<float>();
    const auto zeros = std::count(values.begin(), values.end(), 0.0F);
    EXPECT_GT(zeros, 0);
    EXPECT_LE(zeros, 4 * 4 * 3);
    EXPECT_EQ(zeros % 3, 0);
  }
}

TEST(Augment, BetaIsSymmetric) {
  double sum = 0;
  for (std::int64_t i = 0; i < 4000; ++i) {
    Random random(5, 0, i);
    const double x = draw_beta(0.4, random);
    EXPECT_GE(x, 0);
    EXPECT_LE(x, 1);
    sum += x;
  }
  EXPECT_NEAR(sum / 4000, 0.5, 0.02);
}

TEST(Shuffled, IsAPermutationThatDependsOnSeedAndEpoch) {
  auto order = shuffled(100, 1, 0);
  EXPECT_NE(order, shuffled(100, 1, 1));
  EXPECT_NE(order, shuffled(100, 2, 0));
  EXPECT_EQ(order, shuffled(100, 1, 0));
  std::sort(order.begin(), order.end());
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace octet

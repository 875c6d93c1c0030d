#include "tuning/mixed_precision.h"

#include <gtest/gtest.h>

#include "tuning/pareto.h"

namespace octet {
namespace {

LayerEffect layer(const std::string& name, double gain, std::int64_t weights, std::int64_t macs) {
  LayerEffect effect;
  effect.node = name;
  effect.float_gain = gain;
  effect.weights = weights;
  effect.macs = macs;
  return effect;
}

std::string names(const Layers& layers) {
  std::string text;
  for (const auto& each : layers) text += each.node;
  return text;
}

TEST(MixedPrecision, OrdersByGainPerCost) {
  auto a = layer("a", 4, 800, 100);
  auto b = layer("b", 2, 100, 100);
  auto c = layer("c", -1, 1, 1);
  a.float_ms = 2;
  b.float_ms = 40;
  EXPECT_EQ(names(by_float_gain({a, b, c}, {})), "ba");
  EXPECT_EQ(names(by_float_gain({a, b, c}, {0, 1000, std::nullopt})), "ba") << "by bytes";
  EXPECT_EQ(names(by_float_gain({a, b, c}, {0, std::nullopt, 1.0})), "ab") << "by time";
}

TEST(MixedPrecision, LimitsTheShareInFloat) {
  const Layers all = {layer("a", 4, 1, 60), layer("b", 3, 1, 30), layer("c", 2, 1, 10)};
  EXPECT_EQ(names(up_to_share(all, all, 0.5)), "bc");
  EXPECT_EQ(names(up_to_share(all, all, 1)), "abc");
}

TEST(MixedPrecision, SavesBytesWhereLeastIsLost) {
  auto a = layer("a", 0, 1000, 1);
  auto b = layer("b", 0, 100, 1);
  auto c = layer("c", 0, 10000, 1);
  a.narrow_loss = 1;
  b.narrow_loss = 0.01;
  c.may_narrow = false;
  const auto ordered = by_narrow_loss({a, b, c});
  EXPECT_EQ(names(ordered), "ba");
  EXPECT_EQ(layers_to_save(ordered, 50), 1U);
  EXPECT_EQ(layers_to_save(ordered, 51), 2U);
  EXPECT_EQ(layers_to_save(ordered, 0), 0U);
  EXPECT_FALSE(layers_to_save(ordered, 551));
}

TEST(Pareto, KeepsWhatNothingBeats) {
  const std::vector<ParetoPoint> points = {{3, 1}, {1, 5}, {2, 5}, {2, 2}, {4, 1}, {1, 5}};
  EXPECT_EQ(pareto_front(points), (std::vector<std::size_t>{1, 3, 0}));
  EXPECT_TRUE(pareto_front({}).empty());
}

}  // namespace
}  // namespace octet

#include "calibration/channel_means.h"

#include <gtest/gtest.h>

#include "graph/graph_builder.h"

namespace octet {
namespace {

TapView view_of(const Shape& shape, std::span<const float> values, bool channels_last = false) {
  TapView view;
  view.shape = shape;
  view.values = values;
  view.channels_last = channels_last;
  return view;
}

TEST(ChannelMeans, MeansOfBothMemoryOrdersAgree) {
  const std::vector<float> plain = {1, 2, 3, 4, -1, -2, -3, -6};  // [1,2,2,2]
  const std::vector<float> last = {1, -1, 2, -2, 3, -3, 4, -6};
  ChannelMeans a;
  ChannelMeans b;
  a.observe(view_of({1, 2, 2, 2}, plain));
  b.observe(view_of({1, 2, 2, 2}, last, true));
  ASSERT_TRUE(a.valid());
  EXPECT_EQ(a.mean(0), 2.5);
  EXPECT_EQ(a.mean(1), -3.0);
  EXPECT_TRUE(a == b);
}

TEST(ChannelMeans, DoNotDependOnOrderOrSplit) {
  const Shape shape = {1, 5, 9, 7};
  std::vector<Tensor> samples;
  for (int i = 0; i < 6; ++i) samples.push_back(testing::GraphBuilder::pseudo_random(shape, i));
  ChannelMeans forward;
  ChannelMeans backward;
  ChannelMeans first_half;
  ChannelMeans second_half;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    forward.observe(view_of(shape, samples[i].values<float>(), true));
    backward.observe(view_of(shape, samples[5 - i].values<float>(), true));
    auto& half = i < 3 ? first_half : second_half;
    half.observe(view_of(shape, samples[i].values<float>(), true));
  }
  second_half.merge(first_half);
  EXPECT_TRUE(forward == backward);
  EXPECT_TRUE(forward == second_half);
}

TEST(ChannelMeans, MergeWithNothingChangesNothing) {
  ChannelMeans seen;
  seen.observe(view_of({1, 2}, std::vector<float>{0.5F, -2.0F}));
  const auto before = seen;
  seen.merge({});
  EXPECT_TRUE(seen == before);
  ChannelMeans empty;
  EXPECT_FALSE(empty.valid());
  empty.merge(before);
  EXPECT_TRUE(empty == before);
}

TEST(ChannelMeans, HugeMeansAreNotTrusted) {
  ChannelMeans seen;
  seen.observe(view_of({1, 1}, std::vector<float>{1e9F}));
  EXPECT_FALSE(seen.valid());
}

}  // namespace
}  // namespace octet

#include "graph/spatial.h"

#include <gtest/gtest.h>

#include "graph/graph_builder.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::Ints;

Node pool(Attributes attributes) {
  Node node;
  node.op = "MaxPool";
  node.attributes = std::move(attributes);
  return node;
}

/// Windows that fit, found by trying positions one after the other.
std::int64_t count_windows(std::int64_t input, std::int64_t kernel, std::int64_t stride,
                           std::int64_t dilation, std::int64_t begin, std::int64_t end,
                           bool ceil_mode) {
  const auto last_tap = (kernel - 1) * dilation;
  std::int64_t count = 0;
  for (std::int64_t at = -begin;; at += stride) {
    const bool fits = at + last_tap < input + end;
    const bool partly = at + last_tap - stride < input + end - 1 && at < input;
    if (!fits && !(ceil_mode && partly)) return count;
    // The first window alone may start in the end padding.
    if (ceil_mode && at >= input && count > 0) return count;
    ++count;
  }
}

TEST(Spatial, ExplicitPadsAgreeWithCountedWindows) {
  int cases = 0;
  for (std::int64_t input = 1; input <= 9; ++input)
    for (std::int64_t kernel = 1; kernel <= 4; ++kernel)
      for (std::int64_t stride = 1; stride <= 3; ++stride)
        for (std::int64_t dilation = 1; dilation <= 2; ++dilation)
          for (std::int64_t begin = 0; begin <= 2; ++begin)
            for (std::int64_t end = 0; end <= 2; ++end)
              for (std::int64_t ceil = 0; ceil <= 1; ++ceil) {
                if (input + begin + end < (kernel - 1) * dilation + 1) continue;
                // Pooling, the only user of ceil_mode, refuses windows that see padding only.
                if (ceil != 0 && std::max(begin, end) > (kernel - 1) * dilation) continue;
                const auto node = pool({{"strides", Ints{stride}},
                                        {"dilations", Ints{dilation}},
                                        {"pads", Ints{begin, end}},
                                        {"ceil_mode", ceil}});
                const auto geometry = resolve_spatial(node, {input}, {kernel});
                ASSERT_TRUE(geometry) << geometry.error().message;
                EXPECT_EQ(geometry->output[0],
                          count_windows(input, kernel, stride, dilation, begin, end, ceil != 0))
                    << "input " << input << " kernel " << kernel << " stride " << stride
                    << " dilation " << dilation << " pads " << begin << "," << end << " ceil "
                    << ceil;
                ++cases;
              }
  EXPECT_GT(cases, 2000);
}

TEST(Spatial, SamePadsCoverTheInputAndDifferByOne) {
  for (const bool upper : {true, false}) {
    for (std::int64_t input = 1; input <= 12; ++input) {
      for (std::int64_t kernel = 1; kernel <= 5; ++kernel) {
        for (std::int64_t stride = 1; stride <= 3; ++stride) {
          const auto node = pool({{"strides", Ints{stride}},
                                  {"auto_pad", std::string(upper ? "SAME_UPPER" : "SAME_LOWER")}});
          const auto geometry = resolve_spatial(node, {input}, {kernel});
          ASSERT_TRUE(geometry);
          const auto output = geometry->output[0];
          const auto begin = geometry->pads_begin[0];
          const auto end = geometry->pads_end[0];
          EXPECT_EQ(output, (input + stride - 1) / stride);
          // The padding is the least that gives every window all of its elements.
          const auto needed = (output - 1) * stride + kernel;
          EXPECT_EQ(begin + end, std::max<std::int64_t>(needed - input, 0));
          EXPECT_TRUE(upper ? end == begin || end == begin + 1 : begin == end || begin == end + 1);
        }
      }
    }
  }
}

TEST(Spatial, DynamicExtentsStayDynamic) {
  const auto node = pool({{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 1}}});
  const auto geometry = resolve_spatial(node, {dynamic_dim, dynamic_dim}, {3, 3});
  ASSERT_TRUE(geometry);
  EXPECT_EQ(geometry->output, (Shape{dynamic_dim, dynamic_dim}));
  EXPECT_EQ(geometry->pads_begin, (Ints{0, 1}));
}

TEST(Spatial, HostileAttributesAreErrors) {
  const std::vector<Attributes> hostile{
      {{"strides", Ints{0, 1}}},
      {{"strides", Ints{-1, 1}}},
      {{"strides", Ints{1}}},
      {{"strides", Ints{INT64_MAX, 1}}},
      {{"dilations", Ints{0, 0}}},
      {{"dilations", Ints{INT64_MAX, INT64_MAX}}},
      {{"pads", Ints{1, 1, 1}}},
      {{"pads", Ints{-1, 0, 0, 0}}},
      {{"pads", Ints{INT64_MAX, 0, INT64_MAX, 0}}},
      {{"auto_pad", std::string("SAME")}},
      {{"dilations", Ints{8, 8}}},
  };
  for (const auto& attributes : hostile) {
    EXPECT_FALSE(resolve_spatial(pool(attributes), {8, 8}, {3, 3}));
  }
  EXPECT_FALSE(resolve_spatial(pool({}), {8, 8}, {3}));
  EXPECT_FALSE(resolve_spatial(pool({}), {8, 8}, {0, 3}));
  EXPECT_FALSE(resolve_spatial(pool({}), {8, 8}, {-3, 3}));
  EXPECT_FALSE(resolve_spatial(pool({}), {8, 8}, {INT64_MIN, INT64_MAX}));
  EXPECT_FALSE(resolve_spatial(pool({}), {0, 8}, {1, 1}));
  EXPECT_FALSE(resolve_spatial(pool({}), {-7, 8}, {1, 1}));
}

TEST(Spatial, ConvAndPoolCheckWholeShapes) {
  Node conv;
  conv.op = "Conv";
  EXPECT_FALSE(resolve_conv(conv, {1, 3, 8}, {4, 3, 3, 3}));
  EXPECT_FALSE(resolve_conv(conv, {1, 3}, {4, 3}));
  conv.attributes["kernel_shape"] = Ints{5, 5};
  EXPECT_FALSE(resolve_conv(conv, {1, 3, 8, 8}, {4, 3, 3, 3}));
  EXPECT_FALSE(resolve_pool(pool({}), {1, 3, 8, 8}));
  EXPECT_FALSE(
      resolve_pool(pool({{"kernel_shape", Ints{2, 2}}, {"pads", Ints{2, 0, 0, 0}}}), {1, 3, 8, 8}));
  EXPECT_TRUE(
      resolve_pool(pool({{"kernel_shape", Ints{2, 2}}, {"pads", Ints{1, 0, 0, 0}}}), {1, 3, 8, 8}));
}

}  // namespace
}  // namespace octet

// Geometry of ConvTranspose and Resize: against positions enumerated one by one, and by hand.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "graph/graph_builder.h"
#include "graph/resize.h"
#include "graph/spatial.h"

namespace octet {
namespace {

using testing::Attributes;
using ::testing::ElementsAre;
using testing::Ints;

Node make_node(Attributes attributes) {
  Node node;
  node.op = "ConvTranspose";
  node.attributes = std::move(attributes);
  return node;
}

Result<SpatialGeometry> transposed(std::int64_t input, std::int64_t kernel, Attributes attributes) {
  return resolve_conv_transpose(make_node(std::move(attributes)), {1, 2, input}, {2, 3, kernel});
}

TEST(ConvTransposeGeometry, OutputHoldsEveryTapThatThePadsLeave) {
  for (std::int64_t input = 1; input <= 4; ++input)
    for (std::int64_t kernel = 1; kernel <= 3; ++kernel)
      for (std::int64_t stride = 1; stride <= 3; ++stride)
        for (std::int64_t dilation = 1; dilation <= 2; ++dilation)
          for (std::int64_t extra = 0; extra < 2; ++extra) {
            std::int64_t last = 0;
            for (std::int64_t x = 0; x < input; ++x)
              for (std::int64_t k = 0; k < kernel; ++k)
                last = std::max(last, x * stride + k * dilation);
            const Attributes attributes{{"strides", Ints{stride}},
                                        {"dilations", Ints{dilation}},
                                        {"output_padding", Ints{extra}}};
            const auto geometry = transposed(input, kernel, attributes);
            ASSERT_TRUE(geometry);
            EXPECT_EQ(geometry->output[0], last + 1 + extra);
            auto padded = attributes;
            padded.emplace("pads", Ints{1, 0});
            const auto cut = transposed(input, kernel, padded);
            EXPECT_EQ(cut.has_value(), last + extra >= 1);
            if (cut) {
              EXPECT_EQ(cut->output[0], last + extra);
            }
          }
}

TEST(ConvTransposeGeometry, DemandedOutputs) {
  const auto odd = transposed(4, 4, {{"strides", Ints{2}}, {"output_shape", Ints{7}}});
  ASSERT_TRUE(odd);  // full 10, so three elements go: two of them at the beginning
  EXPECT_EQ(odd->output[0], 7);
  EXPECT_EQ(odd->pads_begin[0], 2);
  EXPECT_EQ(odd->pads_end[0], 1);
  const auto upper = transposed(
      4, 4,
      {{"strides", Ints{2}}, {"output_shape", Ints{7}}, {"auto_pad", std::string("SAME_UPPER")}});
  EXPECT_EQ(upper->pads_begin[0], 1);
  EXPECT_EQ(upper->pads_end[0], 2);
  const auto larger = transposed(4, 1, {{"strides", Ints{2}}, {"output_shape", Ints{9}}});
  EXPECT_EQ(larger->output[0], 9);
  EXPECT_EQ(larger->pads_begin[0], 0);
  const auto same =
      transposed(5, 3, {{"strides", Ints{2}}, {"auto_pad", std::string("SAME_LOWER")}});
  EXPECT_EQ(same->output[0], 10);
  EXPECT_EQ(same->pads_begin[0], 1);
  EXPECT_EQ(same->pads_end[0], 0);
  const auto dynamic = transposed(dynamic_dim, 3, {{"strides", Ints{2}}});
  EXPECT_EQ(dynamic->output[0], dynamic_dim);
}

TEST(ConvTransposeGeometry, BadAttributes) {
  EXPECT_FALSE(transposed(4, 3, {{"output_padding", Ints{-1}}}));
  EXPECT_FALSE(transposed(4, 3, {{"output_shape", Ints{0}}}));
  EXPECT_FALSE(transposed(4, 3, {{"output_shape", Ints{4, 4}}}));
  EXPECT_FALSE(transposed(4, 3, {{"kernel_shape", Ints{2}}}));
  EXPECT_FALSE(transposed(1, 1, {{"pads", Ints{1, 1}}}));
  EXPECT_FALSE(transposed(4, 3, {{"group", std::int64_t{-1}}}));
  EXPECT_FALSE(transposed(std::int64_t{1} << 39, 3, {{"strides", Ints{1 << 30}}}));
}

Result<ResizeGeometry> resized(const Shape& input, const std::vector<float>& scales,
                               const Ints& sizes, Attributes attributes = {}) {
  return resolve_resize(make_node(std::move(attributes)), input, scales, sizes);
}

TEST(ResizeGeometry, ScalesRoundDown) {
  const auto geometry = resized({2, 10, 5}, {1.0F, 0.7F, 2.5F}, {});
  ASSERT_TRUE(geometry);
  // 10 * 0.7 is 7 in float32 though the float nearest to 0.7 is below it.
  EXPECT_THAT(geometry->output, ElementsAre(2, 7, 12));
  EXPECT_THAT(geometry->scales, ElementsAre(1.0F, 0.7F, 2.5F));
  EXPECT_THAT(resized({dynamic_dim, 4}, {1.0F, 2.0F}, {})->output, ElementsAre(dynamic_dim, 8));
}

TEST(ResizeGeometry, SizesAndPolicies) {
  const auto stretch = resized({2, 3, 4, 6}, {}, {8, 3}, {{"axes", Ints{-2, 3}}});
  ASSERT_TRUE(stretch);
  EXPECT_THAT(stretch->output, ElementsAre(2, 3, 8, 3));
  EXPECT_THAT(stretch->scales, ElementsAre(1.0F, 1.0F, 2.0F, 0.5F));
  Attributes policy{{"axes", Ints{2, 3}}, {"keep_aspect_ratio_policy", std::string("not_larger")}};
  const auto smaller = resized({2, 3, 4, 6}, {}, {10, 9}, policy);
  EXPECT_THAT(smaller->output, ElementsAre(2, 3, 6, 9));
  EXPECT_THAT(smaller->scales, ElementsAre(1.0F, 1.0F, 1.5F, 1.5F));
  policy["keep_aspect_ratio_policy"] = std::string("not_smaller");
  EXPECT_THAT(resized({2, 3, 4, 6}, {}, {10, 9}, policy)->output, ElementsAre(2, 3, 10, 15));
}

TEST(ResizeGeometry, BadRequests) {
  EXPECT_FALSE(resized({2, 3}, {}, {}));
  EXPECT_FALSE(resized({2, 3}, {1, 1}, {2, 3}));
  EXPECT_FALSE(resized({2, 3}, {1}, {}));
  EXPECT_FALSE(resized({2, 3}, {1, 0}, {}));
  EXPECT_FALSE(resized({2, 3}, {1, std::nanf("")}, {}));
  EXPECT_FALSE(resized({2, 3}, {1, 1e38F}, {}));
  EXPECT_FALSE(resized({2, 3}, {}, {2, -1}));
  EXPECT_FALSE(resized({2, 3}, {}, {2, 3}, {{"axes", Ints{1, -1}}}));
  EXPECT_FALSE(resized({0, 3}, {}, {2, 3}));
}

}  // namespace
}  // namespace octet

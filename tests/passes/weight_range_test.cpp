// Ranges of weights: the largest magnitude, or what loses least.

#include "passes/weight_range.h"

#include <gtest/gtest.h>

#include "arithmetic/params.h"
#include "arithmetic/quantize.h"
#include "graph/graph_builder.h"

namespace octet {
namespace {

using testing::GraphBuilder;

QuantScheme scheme_of(int bits, Granularity granularity) {
  QuantScheme scheme;
  scheme.bits = bits;
  scheme.symmetry = Symmetry::symmetric;
  scheme.granularity = granularity;
  scheme.axis = 0;
  scheme.range = CodeRange::narrow;
  return scheme;
}

/// Values up to 0.5 and one outlier in each of the 4 rows.
Tensor with_outliers() {
  auto weight = GraphBuilder::pseudo_random({4, 50}, 3);
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    float& value = weight.mutable_data<float>()[i];
    value = i % 50 == 7 ? 0.8F + 0.01F * static_cast<float>(i / 50) : 0.5F * value;
  }
  return weight;
}

double squared_error(const Tensor& weight, const std::vector<float>& ranges,
                     const QuantScheme& scheme) {
  QuantParams params;
  params.axis = ranges.size() > 1 ? 0 : -1;
  for (const float range : ranges) {
    const auto one =
        params_from_range(-static_cast<double>(range), static_cast<double>(range), scheme);
    params.scale.push_back(one.scale[0]);
    params.zero_point.push_back(0);
  }
  const auto image = fake_quantize(weight, params, scheme);
  EXPECT_TRUE(image) << image.error().message;
  double sum = 0;
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    const auto difference = static_cast<double>(weight.data<float>()[i] - image->data<float>()[i]);
    sum += difference * difference;
  }
  return sum;
}

TEST(WeightRange, MinMaxIsTheLargestMagnitudeOfEachSlice) {
  const auto scheme = scheme_of(8, Granularity::per_channel);
  const auto weight = Tensor::from<float>({1, -3, 0, 0, 2, 1, -4, 5}, {2, 2, 2});
  EXPECT_EQ(weight_ranges(weight, 0, scheme, WeightObserver::minmax), (std::vector<float>{3, 5}));
  EXPECT_EQ(weight_ranges(weight, 1, scheme, WeightObserver::minmax), (std::vector<float>{3, 5}));
  EXPECT_EQ(weight_ranges(weight, 2, scheme, WeightObserver::minmax), (std::vector<float>{4, 5}));
  EXPECT_EQ(weight_ranges(weight, -1, scheme, WeightObserver::minmax), (std::vector<float>{5}));
}

TEST(WeightRange, MseLosesLess) {
  const auto weight = with_outliers();
  for (const int axis : {0, -1}) {
    const auto scheme = scheme_of(3, axis < 0 ? Granularity::per_tensor : Granularity::per_channel);
    const auto whole = weight_ranges(weight, axis, scheme, WeightObserver::minmax);
    const auto found = weight_ranges(weight, axis, scheme, WeightObserver::mse);
    EXPECT_LT(squared_error(weight, found, scheme), 0.95 * squared_error(weight, whole, scheme));
    for (std::size_t c = 0; c < found.size(); ++c) EXPECT_LE(found[c], whole[c]);
  }
}

TEST(WeightRange, ZerosHaveNone) {
  const auto scheme = scheme_of(8, Granularity::per_channel);
  const auto zeros = Tensor::zeros(DType::f32, {2, 3});
  EXPECT_EQ(weight_ranges(zeros, 0, scheme, WeightObserver::mse), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace octet

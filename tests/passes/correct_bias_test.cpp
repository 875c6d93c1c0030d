// The corrected bias keeps each output channel's mean where it was before the weights were rounded.

#include "arithmetic/quantize.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

constexpr int extent = 5;
const std::vector<float> channel_mean = {0.75F, -0.5F, 0.25F, 1.0F};

/// Min-max statistics with the channel means of a value that is constant in each channel.
StatisticsSource constant_channels(const Shape& shape) {
  return [shape](const Graph& graph, const std::vector<ValueId>& values) -> Result<Statistics> {
    auto statistics = testing::statistics_of({})(graph, values);
    if (!statistics) return statistics;
    Tensor sample(DType::f32, shape);
    float* x = sample.mutable_data<float>();
    const auto inner = sample.size() / shape[1];
    for (std::int64_t i = 0; i < sample.size(); ++i) {
      x[i] = channel_mean[static_cast<std::size_t>(i / inner)];
    }
    TapView view;
    view.shape = shape;
    view.values = sample.values<float>();
    statistics->values.at("x").means.observe(view);
    return statistics;
  };
}

/// Mean over output pixels of a 3x3 convolution, padded by 1, of inputs constant in each channel.
std::vector<double> output_means(const Tensor& weight, const Tensor& bias, int groups) {
  const auto outputs = weight.dim(0);
  const auto inputs = weight.dim(1);
  std::vector<double> means;
  for (std::int64_t o = 0; o < outputs; ++o) {
    double sum = 0;
    for (int y = 0; y < extent; ++y) {
      for (int x = 0; x < extent; ++x) {
        sum += static_cast<double>(bias.data<float>()[o]);
        for (std::int64_t i = 0; i < inputs * 9; ++i) {
          const auto row = y - 1 + i % 9 / 3;
          const auto column = x - 1 + i % 3;
          if (row < 0 || row >= extent || column < 0 || column >= extent) continue;
          const auto channel = o / (outputs / groups) * inputs + i / 9;
          sum += static_cast<double>(weight.data<float>()[o * inputs * 9 + i]) *
                 static_cast<double>(channel_mean[static_cast<std::size_t>(channel)]);
        }
      }
    }
    means.push_back(sum / (extent * extent));
  }
  return means;
}

Graph conv_graph(int groups) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, extent, extent});
  const auto w = b.weights("w", {8, 4 / groups, 3, 3});
  b.output(b.node("Conv", {x, w, b.weights("b", {8})}, "y",
                  {{"pads", Ints{1, 1, 1, 1}}, {"group", std::int64_t{groups}}}));
  return b.graph;
}

QuantizedGraph quantized(const Graph& graph, const QuantizeOptions& options) {
  QuantizeReport report;
  auto model = quantize_static(graph, options, constant_channels({1, 4, extent, extent}), report);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : QuantizedGraph{};
}

double worst_shift(const Graph& graph, const QuantizedGraph& model, int groups) {
  const auto& before = graph;
  const auto original = output_means(*before.constant(before.find_value("w")),
                                     *before.constant(before.find_value("b")), groups);
  const auto& node = testing::maker_of(model.graph, "y");
  const auto weight = dequantize(model.plan.payloads.at(node.inputs[1]),
                                 model.plan.values.at(node.inputs[1]).params);
  const auto after = output_means(*weight, *model.graph.constant(node.inputs[2]), groups);
  double worst = 0;
  for (std::size_t o = 0; o < after.size(); ++o) {
    worst = std::max(worst, std::abs(after[o] - original[o]));
  }
  return worst;
}

class CorrectBias : public ::testing::TestWithParam<int> {};

TEST_P(CorrectBias, KeepsTheMeansOfEveryOutputChannel) {
  QuantizeOptions options;
  options.weight_bits = 4;  // coarse, so that there is something to correct
  const auto graph = conv_graph(GetParam());
  EXPECT_LT(worst_shift(graph, quantized(graph, options), GetParam()), 2e-6);
  options.skip = {"correct_bias"};
  EXPECT_GT(worst_shift(graph, quantized(graph, options), GetParam()), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Groups, CorrectBias, ::testing::Values(1, 2, 4));

TEST(CorrectBias, AddsABiasWhereThereIsNone) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, extent, extent});
  b.output(b.node("Conv", {x, b.weights("w", {8, 4, 1, 1})}, "y"));
  QuantizeOptions options;
  options.weight_bits = 4;
  const auto model = quantized(b.graph, options);
  EXPECT_NE(testing::maker_of(model.graph, "y").input(2), ValueId::none);
}

}  // namespace
}  // namespace octet

// ConvTranspose in integers: scales of its weights, and its bias after correction. With kernel and
// strides of 2 each output pixel is reached by one tap, so that the means are exact.

#include "arithmetic/quantize.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

const std::vector<float> channel_mean = {0.75F, -0.5F, 0.25F, 1.0F};

Graph upsampling_graph(int groups) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 3, 3});
  const auto w = b.weights("w", {4, 6 / groups, 2, 2});
  b.output(b.node("ConvTranspose", {x, w, b.weights("b", {6})}, "y",
                  {{"strides", Ints{2, 2}}, {"group", std::int64_t{groups}}}));
  return b.graph;
}

StatisticsSource constant_channels() {
  return [](const Graph& graph, const std::vector<ValueId>& values) -> Result<Statistics> {
    auto statistics = testing::statistics_of({})(graph, values);
    if (!statistics) return statistics;
    std::vector<float> sample;
    for (const float mean : channel_mean) sample.insert(sample.end(), 9, mean);
    TapView view;
    const Shape shape = {1, 4, 3, 3};
    view.shape = shape;
    view.values = sample;
    statistics->values.at("x").means.observe(view);
    return statistics;
  };
}

QuantizedGraph quantized(const Graph& graph, const QuantizeOptions& options) {
  QuantizeReport report;
  auto model = quantize_static(graph, options, constant_channels(), report);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : QuantizedGraph{};
}

std::vector<double> output_means(const Tensor& weight, const Tensor& bias, int groups) {
  std::vector<double> means;
  const int outputs = 6 / groups;
  const int inputs = 4 / groups;
  for (int o = 0; o < 6; ++o) {
    double sum = static_cast<double>(bias.data<float>()[o]);
    for (int i = o / outputs * inputs; i < (o / outputs + 1) * inputs; ++i) {
      for (int tap = 0; tap < 4; ++tap) {
        sum += static_cast<double>(weight.data<float>()[(i * outputs + o % outputs) * 4 + tap]) *
               static_cast<double>(channel_mean[static_cast<std::size_t>(i)]) / 4;
      }
    }
    means.push_back(sum);
  }
  return means;
}

double worst_shift(const Graph& graph, const QuantizedGraph& model, int groups) {
  const auto original = output_means(*graph.constant(graph.find_value("w")),
                                     *graph.constant(graph.find_value("b")), groups);
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

class TransposedConv : public ::testing::TestWithParam<int> {};

TEST_P(TransposedConv, CorrectionKeepsTheMeansOfEveryOutputChannel) {
  QuantizeOptions options;
  options.weight_bits = 4;
  const auto graph = upsampling_graph(GetParam());
  EXPECT_LT(worst_shift(graph, quantized(graph, options), GetParam()), 2e-6);
  options.skip = {"correct_bias"};
  EXPECT_GT(worst_shift(graph, quantized(graph, options), GetParam()), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Groups, TransposedConv, ::testing::Values(1, 2));

TEST(TransposedConv, ScalesRunAlongTheOutputChannelsUnlessThereAreGroups) {
  const auto plain = testing::quantize(upsampling_graph(1));
  EXPECT_TRUE(plain.report.float_nodes.empty());
  EXPECT_EQ(plain.find("w")->params.axis, 1);
  EXPECT_EQ(plain.find("w")->params.count(), 6U);
  const auto grouped = testing::quantize(upsampling_graph(2));
  EXPECT_TRUE(grouped.report.float_nodes.empty());
  EXPECT_FALSE(grouped.find("w")->params.per_channel());
}

TEST(TransposedConv, EveryGroupsBiasFitsInt32) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 3, 3});
  const auto w = b.weights("w", {4, 3, 2, 2});
  // The large bias is that of a channel of the second group.
  const auto bias =
      b.constant("b", Tensor::from<float>(std::vector<float>{0, 0, 0, 0, 3e6F, 0}, Shape{6}));
  b.output(b.node("ConvTranspose", {x, w, bias}, "y",
                  {{"strides", Ints{2, 2}}, {"group", std::int64_t{2}}}));
  const auto result = testing::quantize(b.graph, {{"y", {-4e6F, 4e6F}}});
  EXPECT_TRUE(result.noted("bias would overflow"));
}

}  // namespace
}  // namespace octet

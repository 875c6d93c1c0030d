// After quantization no input can drive an accumulator out of int32, and the model still computes
// what the float model does.

#include <cmath>

#include "engine/integer/integer_program.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::quantize;
using testing::Quantized;

constexpr double int32_limit = 2147483647.0;

/// Largest |accumulator| over the output channels of a [K,N] weight, computed apart: every input
/// code at the end of its range that is farther from the zero point.
double worst_accumulator(const Quantized& q, const Node& node) {
  const auto& input = *q.model.plan.find(node.inputs[0]);
  const int zero_point = input.params.zero_point[0];
  const double reach = std::max(127 - zero_point, zero_point + 128);
  const Tensor& codes = q.model.plan.payloads.at(node.inputs[1]);
  const auto bias = q.model.plan.payloads.find(node.input(2));
  double worst = 0;
  for (std::int64_t n = 0; n < codes.dim(1); ++n) {
    double sum = 0;
    for (std::int64_t k = 0; k < codes.dim(0); ++k) {
      sum += reach * std::abs(int{codes.data<std::int8_t>()[k * codes.dim(1) + n]});
    }
    if (bias != q.model.plan.payloads.end()) {
      sum += std::abs(static_cast<double>(bias->second.data<std::int32_t>()[n]));
    }
    worst = std::max(worst, sum);
  }
  return worst;
}

/// y = x W + b with all of column n of W equal to columns[n].
GraphBuilder wide_gemm(std::int64_t depth, const std::vector<float>& columns,
                       std::vector<float> bias) {
  GraphBuilder b;
  const auto outputs = static_cast<std::int64_t>(columns.size());
  Tensor weight(DType::f32, {depth, outputs});
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    weight.mutable_data<float>()[i] = columns[static_cast<std::size_t>(i % outputs)];
  }
  std::vector<ValueId> inputs = {b.input("x", {1, depth}), b.constant("w", weight)};
  if (!bias.empty()) {
    inputs.push_back(b.constant("b", Tensor::from<float>(std::move(bias), {outputs})));
  }
  b.output(b.node("Gemm", inputs, "y"));
  return b;
}

std::vector<float> run_on_ones(const Quantized& q, std::int64_t depth) {
  const auto program = compile_integer(q.model);
  EXPECT_TRUE(program) << program.error().message;
  auto session = (*program)->session();
  const std::vector<Tensor> input = {
      Tensor::from<float>(std::vector<float>(static_cast<std::size_t>(depth), 1.0F), {1, depth})};
  const auto outputs = (*session)->run(input);
  EXPECT_TRUE(outputs);
  const auto values = (*outputs)[0].values<float>();
  return {values.begin(), values.end()};
}

TEST(AccumulatorRoom, AHundredThousandOnesAddUp) {
  const std::int64_t depth = 140000;
  const auto b = wide_gemm(depth, {1.0F}, {});
  const auto q = quantize(b.graph, {{"x", {0.0F, 1.0F}}, {"y", {0.0F, 140000.0F}}});
  EXPECT_TRUE(q.noted("node y_node: weight scale raised for 1 output channel, whose sums"));
  EXPECT_EQ(q.report.notes.size(), 1U);
  EXPECT_LE(worst_accumulator(q, testing::maker_of(q.model.graph, "y")), int32_limit);
  // Half a step of the output: the weights are multiples of their scale.
  EXPECT_NEAR(run_on_ones(q, depth)[0], 140000.0F, 140000.0F / 255 / 2 + 1);
}

TEST(AccumulatorRoom, OnlyTheChannelsAtFaultLoseResolution) {
  const std::int64_t depth = 140000;
  auto b = wide_gemm(depth, {1.0F, -1.0F, 0.0F}, {100.0F, -30000.0F, 5.0F});
  Tensor& weight = *b.graph.value(b.graph.find_value("w")).constant;
  weight.mutable_data<float>()[2] = 0.5F;  // one weight of channel 2
  const auto q = quantize(b.graph, {{"x", {0.0F, 1.0F}}, {"y", {-170000.0F, 170000.0F}}});
  EXPECT_TRUE(q.noted("weight scale raised for 2 output channels, whose sums"));
  EXPECT_LE(worst_accumulator(q, testing::maker_of(q.model.graph, "y")), int32_limit);
  EXPECT_FLOAT_EQ(q.find("w")->params.scale[2], 0.5F / 127);
  EXPECT_GT(q.find("w")->params.scale[0], 2.0F / 127);
  // Not by more than is needed: 58 codes to a side fit.
  EXPECT_LT(q.find("w")->params.scale[0], 1.0F / 50);
  const auto y = run_on_ones(q, depth);
  const float step = 340000.0F / 255;
  EXPECT_NEAR(y[0], 140100.0F, step);
  EXPECT_NEAR(y[1], -170000.0F, step);
  EXPECT_NEAR(y[2], 5.5F, step);
}

TEST(AccumulatorRoom, PerTensorWeightsShareTheRaisedScale) {
  QuantizeOptions options;
  options.weight_granularity = Granularity::per_tensor;
  const std::int64_t depth = 140000;
  const auto b = wide_gemm(depth, {1.0F, 0.25F}, {7.0F, 7.0F});
  const auto q = quantize(b.graph, {{"x", {0.0F, 1.0F}}, {"y", {0.0F, 150000.0F}}}, options);
  EXPECT_TRUE(q.noted("weight scale raised for 1 output channel, whose sums"));
  EXPECT_EQ(q.find("w")->params.count(), 1U);
  EXPECT_LE(worst_accumulator(q, testing::maker_of(q.model.graph, "y")), int32_limit);
  const auto y = run_on_ones(q, depth);
  EXPECT_NEAR(y[0], 140007.0F, 1000.0F);
  // 0.25 need not be a multiple of the scale: half a step of the weight for each product.
  EXPECT_NEAR(y[1], 35007.0F, 1000.0 + depth * q.find("w")->params.scale[0] / 2);
}

TEST(AccumulatorRoom, MixedSignsAndALargeBias) {
  GraphBuilder b;
  const std::int64_t depth = 100000;
  // Codes of magnitude 64 on average: the products reach 1.6e9, the bias the rest.
  b.output(b.node("Gemm",
                  {b.input("x", {1, depth}), b.weights("w", {depth, 2}),
                   b.constant("b", Tensor::from<float>({30000.0F, -1.0F}, {2}))},
                  "y"));
  const auto q = quantize(b.graph, {{"x", {0.0F, 1.0F}}});
  EXPECT_TRUE(q.noted("weight scale raised for 1 output channel, whose sums"));
  EXPECT_LE(worst_accumulator(q, testing::maker_of(q.model.graph, "y")), int32_limit);
}

TEST(AccumulatorRoom, OrdinaryLayersAreLeftAlone) {
  GraphBuilder b;
  b.output(b.node(
      "Gemm", {b.input("x", {1, 60000}), b.weights("w", {60000, 2}), b.weights("b", {2})}, "y"));
  const auto q = quantize(b.graph);
  EXPECT_TRUE(q.report.notes.empty());
  EXPECT_LE(worst_accumulator(q, testing::maker_of(q.model.graph, "y")), int32_limit);
}

TEST(AccumulatorRoom, SumsThatAreTooDeepStayInFloat) {
  GraphBuilder b;
  const std::int64_t depth = (1 << 20) + 1;
  const auto f = b.node("Gemm", {b.input("x", {1, depth}), b.weights("w", {depth, 1})}, "f");
  b.output(b.node("Gemm", {f, b.weights("v", {1, 3})}, "y"));
  EXPECT_NE(quantize(b.graph).reason("f_node").find("1048577 products"), std::string::npos);
}

}  // namespace
}  // namespace octet

// Models and data that cannot be quantized sensibly are refused or noted, by name.

#include <cmath>

#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::error_of;
using testing::GraphBuilder;
using testing::quantize;
using testing::Ranges;

Tensor row(const std::vector<float>& values) {
  return Tensor::from<float>(values, {static_cast<std::int64_t>(values.size())});
}

/// x -> [Conv ->] BatchNormalization -> Conv; all statistics but the variance are ordinary.
Graph normalized(bool after_conv, const std::vector<float>& variance, float epsilon,
                 float gamma = 1.0F) {
  GraphBuilder b;
  auto x = b.input("x", {1, 2, 4, 4});
  if (after_conv) x = b.node("Conv", {x, b.weights("w", {2, 2, 1, 1})}, "c");
  const auto n =
      b.node("BatchNormalization",
             {x, b.constant("gamma", row({gamma, gamma})), b.constant("beta", row({0.5F, 0.25F})),
              b.constant("mean", row({0.1F, 0.2F})), b.constant("variance", row(variance))},
             "n", {{"epsilon", epsilon}});
  b.output(b.node("Conv", {n, b.weights("v", {2, 2, 1, 1})}, "y"));
  return b.graph;
}

TEST(BatchNormGuard, RefusesVariancesWithoutARoot) {
  for (const bool after_conv : {true, false}) {
    EXPECT_EQ(error_of(normalized(after_conv, {1.0F, 0.5F}, 1e-5F)), "");
    EXPECT_EQ(error_of(normalized(after_conv, {1.0F, 0.0F}, 1e-5F)), "");
    for (const float bad : {-1.0F, -1e-7F}) {
      const auto error = error_of(normalized(after_conv, {1.0F, bad}, 1e-5F));
      EXPECT_NE(error.find("n_node (BatchNormalization): channel 1 has variance -"),
                std::string::npos)
          << error;
    }
    EXPECT_NE(error_of(normalized(after_conv, {0.0F, 1.0F}, 0.0F)).find("channel 0 has variance 0"),
              std::string::npos);
    EXPECT_NE(error_of(normalized(after_conv, {1e-30F, 1.0F}, 0.0F, 1e30F)).find("f32 cannot hold"),
              std::string::npos);
  }
}

TEST(BatchNormGuard, IsBadInput) {
  QuantizeReport report;
  const auto model = quantize_static(normalized(true, {-1.0F, 1.0F}, 1e-5F), {},
                                     testing::statistics_of({}), report);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, ErrorKind::bad_input);
}

Graph chain(int convolutions) {
  GraphBuilder b;
  auto x = b.input("x", {1, 2, 4, 4});
  for (int i = 0; i < convolutions; ++i) {
    x = b.node("Conv", {x, b.weights("w" + std::to_string(i), {2, 2, 1, 1}, i + 1)},
               "v" + std::to_string(i));
  }
  b.output(x);
  return b.graph;
}

TEST(ConstantValues, AreNotedByName) {
  const auto q = quantize(chain(3), {{"x", {0.0F, 0.0F}}, {"v1", {2.5F, 2.5F}}});
  EXPECT_TRUE(q.noted("value x is 0 in all samples; check data and recipe"));
  EXPECT_TRUE(q.noted("value v1 is the constant 2.5 in all samples"));
  EXPECT_EQ(q.report.notes.size(), 2U);
}

TEST(ConstantValues, ManyBecomeACount) {
  Ranges ranges;
  for (int i = 0; i < 9; ++i) ranges["v" + std::to_string(i)] = {0.0F, 0.0F};
  const auto q = quantize(chain(10), ranges);
  EXPECT_EQ(q.report.notes.size(), 6U);
  EXPECT_TRUE(q.noted("4 more values are constant in all samples"));
}

TEST(ConstantValues, OneNumberIsNotAPattern) {
  GraphBuilder b;
  const auto y = b.node("Gemm", {b.input("x", {1, 4}), b.weights("w", {4, 1})}, "y");
  b.output(b.node("Gemm", {y, b.weights("v", {1, 3})}, "z"));
  const auto source = [](const Graph& graph, const std::vector<ValueId>& values) {
    auto statistics = testing::statistics_of({})(graph, values);
    auto& seen = statistics->values.at("y").histogram;
    seen = Histogram();
    seen.observe_range(std::vector<float>{3.0F});
    return statistics;
  };
  QuantizeReport report;
  ASSERT_TRUE(quantize_static(b.graph, {}, source, report));
  EXPECT_TRUE(report.notes.empty());
}

TEST(Notes, AFullySupportedModelHasNone) { EXPECT_TRUE(quantize(chain(4)).report.notes.empty()); }

using QuantizedOperator = std::pair<std::string, std::string>;  // domain, operator

class QuantizedAlready : public ::testing::TestWithParam<QuantizedOperator> {};

TEST_P(QuantizedAlready, IsRefusedByName) {
  auto graph = chain(2);
  graph.node(static_cast<NodeId>(1)).op = GetParam().second;
  graph.node(static_cast<NodeId>(1)).domain = GetParam().first;
  const auto expected = "is quantized already (node v1_node is a " + GetParam().second + ")";
  QuantizeReport report;
  const auto model = quantize_static(graph, {}, testing::statistics_of({}), report);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, ErrorKind::bad_input);
  EXPECT_NE(model.error().message.find(expected), std::string::npos) << model.error().message;
  EXPECT_FALSE(values_to_observe(graph, {}));
}

INSTANTIATE_TEST_SUITE_P(Operators, QuantizedAlready,
                         ::testing::Values(QuantizedOperator{"", "QLinearConv"},
                                           QuantizedOperator{"", "QLinearMatMul"},
                                           QuantizedOperator{"com.microsoft", "QLinearAdd"},
                                           QuantizedOperator{"com.microsoft", "QGemm"},
                                           QuantizedOperator{"", "ConvInteger"},
                                           QuantizedOperator{"", "MatMulInteger"},
                                           QuantizedOperator{"", "DynamicQuantizeLinear"},
                                           QuantizedOperator{"", "QuantizeLinear"},
                                           QuantizedOperator{"com.microsoft", "DequantizeLinear"}),
                         [](const auto& test) { return test.param.second; });

TEST(QuantizedAlready, OtherDomainsMayUseTheNames) {
  auto graph = chain(2);
  graph.node(static_cast<NodeId>(1)).op = "QLinearConv";
  graph.node(static_cast<NodeId>(1)).domain = "my.domain";
  EXPECT_EQ(error_of(graph).find("quantized already"), std::string::npos);
}

}  // namespace
}  // namespace octet

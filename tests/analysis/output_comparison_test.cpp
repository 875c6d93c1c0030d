#include "analysis/output_comparison.h"

#include <gtest/gtest.h>

#include <cmath>

namespace octet {
namespace {

Graph graph_with_outputs(const std::vector<std::pair<std::string, Shape>>& outputs) {
  Graph graph;
  Value input;
  input.name = "x";
  input.dtype = DType::f32;
  input.shape = Shape{dynamic_dim, 4};
  input.dim_names = {"N", ""};
  graph.inputs.push_back(graph.add_value(input));
  for (const auto& [name, shape] : outputs) {
    Value value;
    value.name = name;
    value.dtype = DType::f32;
    value.shape = shape;
    graph.outputs.push_back(graph.add_value(value));
  }
  return graph;
}

TEST(PairOutputs, ByNameThenByPosition) {
  const auto a = graph_with_outputs({{"scores", {}}, {"boxes", {}}, {"mask", {}}});
  const auto b = graph_with_outputs({{"boxes", {}}, {"other", {}}, {"mask2", {}}});
  const auto pairs = pair_outputs(a, b);
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].name, "boxes");
  EXPECT_EQ(pairs[0].first, 1U);
  EXPECT_EQ(pairs[0].second, 0U);
  EXPECT_EQ(pairs[1].name, "mask");
  EXPECT_EQ(pairs[1].second, 2U);
}

TEST(OutputsFollowBatch, ByShapeAndName) {
  EXPECT_TRUE(outputs_follow_batch(graph_with_outputs({{"y", {dynamic_dim, 3}}})));
  EXPECT_FALSE(outputs_follow_batch(graph_with_outputs({{"y", {1, 3}}})));
  EXPECT_FALSE(outputs_follow_batch(graph_with_outputs({{"y", {}}})));
  auto graph = graph_with_outputs({{"y", {dynamic_dim, 3}}});
  graph.value(graph.outputs[0]).dim_names = {"detections", ""};
  EXPECT_FALSE(outputs_follow_batch(graph));
}

TEST(OutputComparison, SamplesOutputsAndTotal) {
  const auto graph =
      graph_with_outputs({{"scores", {dynamic_dim, 2}}, {"anchors", {dynamic_dim, 1}}});
  OutputComparison comparison(pair_outputs(graph, graph));
  // Two samples; the second output has two rows for each.
  const std::vector<Tensor> a = {Tensor::from<float>({1, 0, 0, 1}, {2, 2}),
                                 Tensor::from<float>({1, 2, 3, 4}, {4, 1})};
  const std::vector<Tensor> b = {Tensor::from<float>({1, 0, 1, 0}, {2, 2}),
                                 Tensor::from<float>({1, 2, 3, 3}, {4, 1})};
  comparison.add(a, b, 2);
  ASSERT_NE(comparison.agreement(), nullptr);
  EXPECT_DOUBLE_EQ(comparison.agreement()->agreement(), 0.5);
  EXPECT_DOUBLE_EQ(comparison.outputs()[0].errors.mse(), 0.5);
  EXPECT_DOUBLE_EQ(comparison.outputs()[1].errors.mse(), 0.25);
  EXPECT_EQ(comparison.total().samples(), 2);
  EXPECT_DOUBLE_EQ(comparison.total().mse(), 3.0 / 8);
  EXPECT_NEAR(comparison.total().sqnr_db(), 10 * std::log10(32.0 / 3), 1e-12);
  // First sample: equal. Second: product 9 + 12 = 21 of |(0,1,3,4)| |(1,0,3,3)|.
  EXPECT_NEAR(comparison.total().cosine(), (1 + 21 / std::sqrt(26.0 * 19.0)) / 2, 1e-12);
}

TEST(OutputComparison, ShapesThatDifferAreLeftOutAndNamed) {
  const auto graph = graph_with_outputs({{"y", {dynamic_dim, 2}}, {"found", {dynamic_dim, 3}}});
  OutputComparison comparison(pair_outputs(graph, graph));
  const std::vector<Tensor> a = {Tensor::from<float>({1, 2}, {1, 2}),
                                 Tensor::from<float>({1, 2, 3}, {1, 3})};
  const std::vector<Tensor> b = {Tensor::from<float>({1, 1}, {1, 2}),
                                 Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3})};
  comparison.add(a, b, 1);
  EXPECT_TRUE(comparison.outputs()[0].comparable);
  EXPECT_FALSE(comparison.outputs()[1].comparable);
  EXPECT_DOUBLE_EQ(comparison.total().mse(), 0.5);
  EXPECT_NE(comparison.obstacle().find("found"), std::string::npos);
}

TEST(OutputComparison, IntegerClassesAgreeAndOneScoreDoesNot) {
  const auto graph = graph_with_outputs({{"y", {dynamic_dim, 2}}});
  OutputComparison classes(pair_outputs(graph, graph));
  classes.add(std::vector<Tensor>{Tensor::from<std::int64_t>({3, 4}, {2, 1})},
              std::vector<Tensor>{Tensor::from<std::int64_t>({3, 5}, {2, 1})}, 2);
  ASSERT_NE(classes.agreement(), nullptr);
  EXPECT_DOUBLE_EQ(classes.agreement()->agreement(), 0.5);
  OutputComparison single(pair_outputs(graph, graph));
  single.add(std::vector<Tensor>{Tensor::from<float>({0.1F, 0.9F}, {2, 1})},
             std::vector<Tensor>{Tensor::from<float>({0.2F, 0.8F}, {2, 1})}, 2);
  EXPECT_EQ(single.agreement(), nullptr);
  EXPECT_TRUE(single.any_comparable());
}

TEST(OutputComparison, ScalarsAndEmptyTensors) {
  const auto graph = graph_with_outputs({{"s", {}}, {"e", {0, 2}}});
  OutputComparison comparison(pair_outputs(graph, graph));
  const std::vector<Tensor> outputs = {Tensor::from<float>({2}, {}), Tensor(DType::f32, {0, 2})};
  comparison.add(outputs, outputs, 3);
  EXPECT_EQ(comparison.total().mse(), 0);
  EXPECT_EQ(comparison.total().samples(), 1);
}

}  // namespace
}  // namespace octet

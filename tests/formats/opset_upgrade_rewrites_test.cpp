// Operators whose upgrade is more than a moved attribute. That the results stay those of ONNX
// Runtime on the old form was checked apart; here the forms are fixed.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "formats/onnx_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// x [2,6,4,4] -> op -> y; `fill` adds attributes and initializers.
template <class Fill>
Result<Graph> read(std::int64_t opset, const std::string& op, Fill fill) {
  auto model = empty_model(opset);
  add_input(model, "x", {2, 6, 4, 4});
  fill(model, add_node(model, op, {"x"}, {"y"}, "n"));
  model.mutable_graph()->add_output()->set_name("y");
  auto graph = parse_proto(model);
  if (graph) {
    EXPECT_EQ(graph->opsets.at(""), 21);
    EXPECT_TRUE(verify(*graph));
    const auto status = infer_shapes(*graph);
    EXPECT_TRUE(status) << status.error().message;
  }
  return graph;
}

const Node& first_node(const Graph& graph) { return graph.node(static_cast<NodeId>(0)); }

Shape output_shape(const Graph& graph) { return *graph.value(graph.outputs[0]).shape; }

std::vector<float> floats(const Graph& graph, ValueId id) {
  const auto values = graph.constant(id)->values<float>();
  return {values.begin(), values.end()};
}

void give_floats(wire::ModelProto& model, wire::NodeProto& node, const std::string& name,
                 const std::vector<float>& values) {
  add_floats(model, name, {static_cast<std::int64_t>(values.size())}, values);
  node.add_input(name);
}

TEST(OpsetRewrites, UpsampleBecomesResize) {
  const auto by_input = read(9, "Upsample", [](auto& model, auto& node) {
    give_floats(model, node, "scales", {1, 1, 2, 3});
  });
  const auto by_attribute = read(7, "Upsample", [](auto&, auto& node) {
    auto& scales = add_attribute(node, "scales", wire::AttributeProto::FLOATS);
    for (const float scale : {1.0F, 1.0F, 2.0F, 3.0F}) scales.add_floats(scale);
  });
  for (const auto* graph : {&by_input, &by_attribute}) {
    ASSERT_TRUE(*graph) << graph->error().message;
    const auto& node = first_node(**graph);
    EXPECT_EQ(node.op, "Resize");
    EXPECT_EQ(node.input(1), ValueId::none);
    EXPECT_THAT(floats(**graph, node.input(2)), ElementsAre(1, 1, 2, 3));
    EXPECT_EQ(node.string_attribute("coordinate_transformation_mode", ""), "asymmetric");
    EXPECT_EQ(node.string_attribute("nearest_mode", ""), "floor");
    EXPECT_EQ(output_shape(**graph), (Shape{2, 6, 8, 12}));
  }
}

TEST(OpsetRewrites, ResizeOfOpset10RoundsByTheScale) {
  const auto smaller = read(10, "Resize", [](auto& model, auto& node) {
    give_floats(model, node, "scales", {1, 1, 0.5F, 1});
  });
  ASSERT_TRUE(smaller);
  EXPECT_EQ(first_node(*smaller).string_attribute("nearest_mode", ""), "ceil");
  const auto mixed = read(10, "Resize", [](auto& model, auto& node) {
    give_floats(model, node, "scales", {1, 1, 0.5F, 2});
  });
  ASSERT_TRUE(mixed);
  EXPECT_EQ(output_shape(*mixed), (Shape{2, 6, 2, 8}));
  const auto& growing = first_node(*mixed);
  const auto& shrinking = mixed->node(mixed->producers()[index(growing.input(0))]);
  EXPECT_EQ(growing.string_attribute("nearest_mode", ""), "floor");
  EXPECT_EQ(shrinking.string_attribute("nearest_mode", ""), "ceil");
  EXPECT_THAT(floats(*mixed, growing.input(2)), ElementsAre(1, 1, 1, 2));
  EXPECT_THAT(floats(*mixed, shrinking.input(2)), ElementsAre(1, 1, 0.5F, 1));
}

TEST(OpsetRewrites, ResizeOfOpset11LosesEmptyInputs) {
  const auto fill = [](auto& model, auto& node) {
    give_floats(model, node, "roi", {});
    give_floats(model, node, "scales", {});
    add_raw<std::int64_t>(model, "sizes", {4}, wire::TensorProto::INT64, {2, 6, 3, 5});
    node.add_input("sizes");
    auto& mode =
        add_attribute(node, "coordinate_transformation_mode", wire::AttributeProto::STRING);
    mode.set_s("tf_half_pixel_for_nn");
  };
  const auto refused = read(11, "Resize", fill);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("node n (Resize)"));
  const auto graph = read(11, "Resize", [&](auto& model, auto& node) {
    fill(model, node);
    add_attribute(node, "nearest_mode", wire::AttributeProto::STRING).set_s("floor");
  });
  ASSERT_TRUE(graph) << graph.error().message;
  const auto& node = first_node(*graph);
  EXPECT_EQ(node.input(1), ValueId::none);
  EXPECT_EQ(node.input(2), ValueId::none);
  EXPECT_EQ(node.string_attribute("coordinate_transformation_mode", ""), "half_pixel");
  EXPECT_EQ(node.string_attribute("nearest_mode", ""), "round_prefer_ceil");
  EXPECT_EQ(output_shape(*graph), (Shape{2, 6, 3, 5}));
}

TEST(OpsetRewrites, GroupNormalizationGetsAScaleForEachChannel) {
  const auto graph = read(18, "GroupNormalization", [](auto& model, auto& node) {
    give_floats(model, node, "scale", {1, 2, 3});
    give_floats(model, node, "bias", {0, 0, 0});
    set_int(node, "num_groups", 3);
  });
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->value(first_node(*graph).input(1)).shape, Shape{6});
  EXPECT_EQ(output_shape(*graph), (Shape{2, 6, 4, 4}));
}

TEST(OpsetRewrites, TopKAndScatter) {
  const auto top = read(9, "TopK", [](auto&, auto& node) {
    node.add_output("indices");
    set_int(node, "k", 2);
  });
  ASSERT_TRUE(top) << top.error().message;
  EXPECT_EQ(output_shape(*top), (Shape{2, 6, 4, 2}));
  EXPECT_TRUE(first_node(*top).attributes.empty());
  const auto scatter = read(10, "Scatter", [](auto& model, auto& node) {
    add_raw<std::int64_t>(model, "i", {1, 1, 1, 1}, wire::TensorProto::INT64, {1});
    add_floats(model, "u", {1, 1, 1, 1}, {5});
    node.add_input("i");
    node.add_input("u");
  });
  ASSERT_TRUE(scatter) << scatter.error().message;
  EXPECT_EQ(first_node(*scatter).op, "ScatterElements");
}

TEST(OpsetRewrites, RetiredOperatorsOfLaterOpsetsStayUnknown) {
  auto model = empty_model(13);
  add_input(model, "x", {1, 1, 2, 2});
  auto& node = add_node(model, "Upsample", {"x"}, {"y"}, "n");
  give_floats(model, node, "scales", {1, 1, 2, 2});
  model.mutable_graph()->add_output()->set_name("y");
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->opsets.at(""), 13);
  EXPECT_EQ(first_node(*graph).op, "Upsample");
}

TEST(OpsetRewrites, BatchNormalizationByElementIsRefused) {
  const auto graph = read(8, "BatchNormalization", [](auto& model, auto& node) {
    for (const auto* name : {"a", "b", "c", "d"}) {
      give_floats(model, node, name, {1, 1, 1, 1, 1, 1});
    }
    set_int(node, "spatial", 0);
  });
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message, HasSubstr("spatial"));
}

}  // namespace
}  // namespace octet::testing

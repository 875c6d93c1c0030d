// Old opsets become 21: attributes that became inputs, and changed meanings.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "formats/onnx_builder.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// x -> op -> y with the attributes that `fill` sets, read from an old opset.
template <class Fill>
Graph upgraded(std::int64_t opset, const std::string& op, Fill fill) {
  auto model = empty_model(opset);
  add_input(model, "x", {2, 3, 4, 4});
  fill(add_node(model, op, {"x"}, {"y"}, "n"));
  model.mutable_graph()->add_output()->set_name("y");
  auto graph = parse_proto(model);
  EXPECT_TRUE(graph.has_value()) << graph.error().message;
  EXPECT_EQ(graph->opsets.at(""), 21);
  return std::move(*graph);
}

const Node& only_node(const Graph& graph) { return graph.node(static_cast<NodeId>(0)); }

std::vector<std::int64_t> integers(const Graph& graph, std::size_t input) {
  const auto* tensor = graph.constant(only_node(graph).input(input));
  EXPECT_NE(tensor, nullptr);
  return tensor == nullptr ? std::vector<std::int64_t>() : to_int64(*tensor).value();
}

TEST(OpsetUpgrade, Clip) {
  const auto graph = upgraded(9, "Clip", [](auto& node) { set_float(node, "max", 6.0F); });
  const auto& node = only_node(graph);
  EXPECT_TRUE(node.attributes.empty());
  ASSERT_EQ(node.inputs.size(), 3U);
  EXPECT_EQ(node.inputs[1], ValueId::none);
  EXPECT_EQ(graph.constant(node.inputs[2])->values<float>()[0], 6.0F);
  EXPECT_EQ(graph.constant(node.inputs[2])->rank(), 0);
}

TEST(OpsetUpgrade, Pad) {
  const auto graph = upgraded(10, "Pad", [](auto& node) {
    set_ints(node, "pads", {0, 0, 1, 1, 0, 0, 2, 2});
    set_float(node, "value", -1.5F);
  });
  EXPECT_THAT(integers(graph, 1), ElementsAre(0, 0, 1, 1, 0, 0, 2, 2));
  EXPECT_EQ(graph.constant(only_node(graph).input(2))->values<float>()[0], -1.5F);
}

TEST(OpsetUpgrade, Slice) {
  const auto graph = upgraded(9, "Slice", [](auto& node) {
    set_ints(node, "starts", {1});
    set_ints(node, "ends", {3});
  });
  EXPECT_THAT(integers(graph, 1), ElementsAre(1));
  EXPECT_THAT(integers(graph, 2), ElementsAre(3));
  EXPECT_EQ(only_node(graph).inputs.size(), 3U);
}

TEST(OpsetUpgrade, AxesOfSqueezeUnsqueezeAndReduceMean) {
  const auto axes = [](auto& node) { set_ints(node, "axes", {2, 3}); };
  EXPECT_THAT(integers(upgraded(12, "Unsqueeze", axes), 1), ElementsAre(2, 3));
  EXPECT_THAT(integers(upgraded(11, "Squeeze", axes), 1), ElementsAre(2, 3));
  EXPECT_THAT(integers(upgraded(17, "ReduceMean", axes), 1), ElementsAre(2, 3));
}

TEST(OpsetUpgrade, ReduceMeanOverEverythingHasNoAxes) {
  const auto graph = upgraded(13, "ReduceMean", [](auto& node) { set_int(node, "keepdims", 0); });
  EXPECT_EQ(only_node(graph).inputs.size(), 1U);
}

TEST(OpsetUpgrade, NewerOpsetsAreLeftAlone) {
  auto model = relu_model(22);
  EXPECT_EQ(parse_proto(model)->opsets.at(""), 22);
}

TEST(OpsetUpgrade, UnknownOpKeepsTheOpset) {
  auto model = empty_model(9);
  add_input(model, "x", {1, 4});
  set_float(add_node(model, "Clip", {"x"}, {"h"}, "clip"), "max", 6.0F);
  add_node(model, "Mystery", {"h"}, {"y"}, "m");
  add_output(model, "y", {1, 4});
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  EXPECT_EQ(graph->opsets.at(""), 9);
  EXPECT_EQ(only_node(*graph).float_attribute("max", 0), 6.0F);
}

TEST(OpsetUpgrade, SoftmaxOnTheLastAxis) {
  const auto graph = upgraded(11, "Softmax", [](auto& node) { set_int(node, "axis", 3); });
  EXPECT_EQ(graph.node_slots(), 1U);
  EXPECT_EQ(only_node(graph).int_attribute("axis", 0), -1);
}

TEST(OpsetUpgrade, SoftmaxThatFlattened) {
  const auto graph = upgraded(11, "Softmax", [](auto&) {});
  ASSERT_EQ(graph.node_slots(), 4U);
  const auto order = graph.topological_order().value();
  std::vector<std::string> ops;
  for (const auto id : order) ops.push_back(graph.node(id).op);
  EXPECT_THAT(ops, ElementsAre("Shape", "Flatten", "Softmax", "Reshape"));
  EXPECT_EQ(graph.node(order[1]).int_attribute("axis", 0), 1);
  EXPECT_EQ(graph.value(graph.node(order[3]).output()).name, "y");
}

TEST(OpsetUpgrade, BatchNormalizationInTrainingIsRefused) {
  auto model = empty_model(9);
  add_input(model, "x", {1, 2, 4, 4});
  for (const std::string name : {"s", "b", "m", "v"}) add_floats(model, name, {2}, {1, 1});
  auto& node = add_node(model, "BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"}, "bn");
  add_output(model, "y", {1, 2, 4, 4});
  EXPECT_EQ(parse_error(model), "");
  for (const std::string name : {"m2", "v2", "m3", "v3"}) node.add_output(name);
  EXPECT_THAT(parse_error(model), HasSubstr("node bn (BatchNormalization) is in training mode"));
}

TEST(OpsetUpgrade, WrongAttributeTypeIsNamed) {
  auto model = empty_model(9);
  add_input(model, "x", {1, 4});
  add_attribute(add_node(model, "Clip", {"x"}, {"y"}, "c"), "max", wire::AttributeProto::STRING)
      .set_s("six");
  add_output(model, "y", {1, 4});
  EXPECT_EQ(parse_error(model), "attribute max of node c (Clip) has the wrong type");
}

}  // namespace
}  // namespace octet::testing

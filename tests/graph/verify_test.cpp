#include "graph/verify.h"

#include <gtest/gtest.h>

#include <limits>

#include "graph/dump.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;

/// conv -> relu, the smallest model with a weight.
GraphBuilder small_model() {
  GraphBuilder b;
  b.graph.name = "small";
  b.graph.opsets[""] = 21;
  const auto x = b.input("x", {-1, 2, 5, 5}, {"N", "", "", ""});
  const auto w = b.weights("w", {3, 2, 3, 3});
  const auto y = b.node("Conv", {x, w}, "y", {{"group", std::int64_t{1}}});
  b.output(b.node("Relu", {y}, "z"));
  return b;
}

void expect_error(const Status& status, std::string_view part) {
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
}

TEST(Verify, AcceptsASoundGraph) {
  auto b = small_model();
  const auto status = verify(b.graph);
  EXPECT_TRUE(status) << status.error().message;
}

TEST(Verify, RefusesIdsOutOfRange) {
  auto b = small_model();
  b.graph.node(NodeId{0}).inputs[0] = ValueId{99};
  expect_error(verify(b.graph), "y_node (Conv)");
  auto c = small_model();
  c.graph.outputs.push_back(ValueId{-7});
  EXPECT_FALSE(verify(c.graph));
}

TEST(Verify, RefusesTwoMakersOfOneValue) {
  auto b = small_model();
  Node second;
  second.op = "Relu";
  second.name = "second";
  second.inputs = {b.graph.inputs[0]};
  second.outputs = {b.graph.find_value("z")};
  b.graph.add_node(second);
  expect_error(verify(b.graph), "second (Relu) makes z");
  auto c = small_model();
  c.graph.inputs.push_back(c.graph.find_value("w"));
  expect_error(verify(c.graph), "graph input w");
}

TEST(Verify, RefusesValuesThatNothingMakes) {
  auto b = small_model();
  b.graph.value(b.graph.find_value("w")).constant.reset();
  expect_error(verify(b.graph), "reads w");
  auto c = small_model();
  c.graph.remove_node(NodeId{1});
  expect_error(verify(c.graph), "graph output z");
}

TEST(Verify, RefusesCycles) {
  GraphBuilder b;
  const auto x = b.input("x", {2});
  const auto first = b.node("Add", {x, x}, "first");
  const auto second = b.node("Relu", {first}, "second");
  b.graph.node(NodeId{0}).inputs[1] = second;
  b.output(second);
  expect_error(verify(b.graph), "cycle");
}

TEST(Verify, RefusesWrongArity) {
  auto b = small_model();
  b.graph.node(NodeId{1}).inputs.push_back(b.graph.inputs[0]);
  expect_error(verify(b.graph), "z_node (Relu) has 2 inputs");
  auto c = small_model();
  c.graph.node(NodeId{0}).inputs[1] = ValueId::none;
  expect_error(verify(c.graph), "y_node (Conv) lacks inputs 1");
}

TEST(Verify, RefusesWrongAttributeTypes) {
  auto b = small_model();
  b.graph.node(NodeId{0}).attributes["strides"] = std::int64_t{2};
  expect_error(verify(b.graph), "attribute strides is an integer where a list of integers");
  auto c = small_model();
  c.graph.node(NodeId{1}).op = "MaxPool";
  expect_error(verify(c.graph), "attribute kernel_shape is missing");
}

TEST(Verify, RefusesConstantsThatContradictTheirShape) {
  auto b = small_model();
  b.graph.value(b.graph.find_value("w")).shape = Shape{3, 2, 3, 4};
  expect_error(verify(b.graph), "constant w");
}

TEST(Verify, FindsWeightsThatAreNotFinite) {
  auto b = small_model();
  EXPECT_TRUE(check_finite_constants(b.graph));
  auto* weights = b.graph.value(b.graph.find_value("w")).constant->mutable_data<float>();
  weights[3] = std::numeric_limits<float>::quiet_NaN();
  weights[9] = std::numeric_limits<float>::infinity();
  expect_error(check_finite_constants(b.graph), "weight w [3,2,3,3] holds 2 of 54");
  GraphBuilder c;
  const auto x = c.input("x", {2});
  const auto bound = c.scalar("bound", std::numeric_limits<float>::infinity());
  c.output(c.node("Clip", {x, ValueId::none, bound}, "y"));
  EXPECT_TRUE(check_finite_constants(c.graph));
}

QuantizedGraph quantized_model() {
  QuantizedGraph model{small_model().graph, {}};
  EXPECT_TRUE(infer_shapes(model.graph));
  Quantization activation;
  activation.params = {{0.5F}, {3}, -1};
  activation.storage = DType::u8;
  model.plan.values[model.graph.inputs[0]] = activation;
  Quantization weight;
  weight.scheme.symmetry = Symmetry::symmetric;
  weight.scheme.granularity = Granularity::per_channel;
  weight.params = {{0.1F, 0.2F, 0.3F}, {0, 0, 0}, 0};
  model.plan.values[model.graph.find_value("w")] = weight;
  return model;
}

TEST(Verify, ChecksThePlan) {
  EXPECT_TRUE(verify(quantized_model()));
  const auto w = [](const QuantizedGraph& model) { return model.graph.find_value("w"); };
  auto model = quantized_model();
  model.plan.values[w(model)].params.scale = {0.1F, 0.2F};
  model.plan.values[w(model)].params.zero_point = {0, 0};
  expect_error(verify(model), "quantization of w");
  model = quantized_model();
  model.plan.values[w(model)].params.scale[1] = 0;
  expect_error(verify(model), "scale 1");
  model = quantized_model();
  model.plan.values[w(model)].scheme.bits = 16;
  expect_error(verify(model), "cannot store");
  model = quantized_model();
  model.plan.values[w(model)].scheme.bits = 99;
  EXPECT_FALSE(verify(model));
  model = quantized_model();
  model.plan.values[ValueId{77}] = {};
  EXPECT_FALSE(verify(model));
  model = quantized_model();
  model.plan.overrides[Use{NodeId{0}, 5}] = model.plan.values[w(model)];
  EXPECT_FALSE(verify(model));
}

TEST(Verify, ChecksPayloads) {
  auto model = quantized_model();
  const auto w = model.graph.find_value("w");
  model.plan.payloads[w] = Tensor::zeros(DType::i8, {3, 2, 3, 3});
  EXPECT_TRUE(verify(model));
  model.plan.values[w].scheme.range = CodeRange::narrow;
  model.plan.payloads[w].mutable_data<std::int8_t>()[5] = -128;
  expect_error(verify(model), "code -128 is outside [-127, 127]");
  model.plan.payloads[w] = Tensor::zeros(DType::i8, {3, 2, 9});
  expect_error(verify(model), "codes of w");
  model.plan.payloads[w] = Tensor::zeros(DType::f32, {3, 2, 3, 3});
  EXPECT_FALSE(verify(model));
}

TEST(Dump, IsStableText) {
  auto model = quantized_model();
  EXPECT_EQ(dump(model),
            "graph small opset 21\n"
            "input x: f32 [N,2,5,5] q(s8 asymmetric per-tensor, scale 0.5, zero 3, u8, observed)\n"
            "Conv y_node(x, w: f32 [3,2,3,3] ... q(s8 symmetric per-channel(0), scale 0.1,0.2,0.3,"
            " zero 0,0,0, i8, observed)) {group=1} -> y: f32 [N,3,3,3]\n"
            "Relu z_node(y) -> z: f32 [N,3,3,3]\n"
            "output z\n");
}

TEST(Dump, ShowsSmallConstantsAndAbsentInputs) {
  GraphBuilder b;
  const auto x = b.input("x", {2});
  b.output(b.node("Clip", {x, ValueId::none, b.scalar("six", 6)}, "y"));
  EXPECT_EQ(dump({b.graph, {}}),
            "graph \n"
            "input x: f32 [2]\n"
            "Clip y_node(x, -, six: f32 [] [6]) -> y: undefined ?\n"
            "output y\n");
}

}  // namespace
}  // namespace octet

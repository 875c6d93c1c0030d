// The order of axes in which models take images.

#include "passes/input_layout.h"

#include "graph/verify.h"
#include "passes/quantize_fixture.h"
#include "passes/simplify_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;
using testing::maker_of;
using testing::Ops;
using testing::ops_of;

/// x [N,3,4,5] -> Add -> Conv -> y
GraphBuilder image_model() {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 3, 4, 5}, {"N", "", "", ""});
  const auto a = b.node("Add", {x, b.weights("shift", {3, 1, 1})}, "a");
  b.output(b.node("Conv", {a, b.weights("w", {2, 3, 3, 3})}, "y"));
  return b;
}

Tensor turned(const Tensor& image) {
  GraphBuilder b;
  const auto x = b.input("x", image.shape());
  b.output(b.node("Transpose", {x}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
  return testing::run(b.graph, {image})[0];
}

TEST(InputLayout, WhatReadsAnInputShowsTheOrder) {
  GraphBuilder b = image_model();
  const auto last = b.input("last", {1, 4, 4, 8});
  b.output(b.node("Transpose", {last}, "t", {{"perm", to_channels_first()}}));
  const auto open = b.input("open", {1, 4, 4, 1});
  b.output(b.node("Sigmoid", {open}, "s"));
  const auto mask = b.input("mask", {1, 2, 4, 4});
  b.output(b.node("Softmax", {mask}, "m"));
  const auto order = [&](std::string_view name) {
    return shown_axis_order(b.graph, b.graph.find_value(name));
  };
  EXPECT_EQ(order("x"), AxisOrder::channels_first);
  EXPECT_EQ(order("last"), AxisOrder::channels_last);
  EXPECT_EQ(order("open"), std::nullopt);
  EXPECT_EQ(image_axis_order(b.graph, open), AxisOrder::channels_last);
  EXPECT_EQ(image_axis_order(b.graph, mask), AxisOrder::channels_first);
}

TEST(InputLayout, ChannelsLastKeepsTheFunction) {
  auto b = image_model();
  ASSERT_TRUE(infer_shapes(b.graph));
  const auto image = GraphBuilder::pseudo_random({2, 3, 4, 5}, 9);
  const auto expected = testing::run(b.graph, {image});
  QuantizedGraph model{b.graph, {}};
  const auto images = set_input_layout(model, AxisOrder::channels_last);
  ASSERT_TRUE(images);
  EXPECT_EQ(*images, 1);
  EXPECT_EQ(model.graph.value(model.graph.inputs[0]).shape, (Shape{dynamic_dim, 4, 5, 3}));
  EXPECT_EQ(model.graph.value(model.graph.inputs[0]).name, "x");
  EXPECT_EQ(ops_of(model.graph), (Ops{"Transpose", "Add", "Conv"}));
  testing::expect_near(testing::run(model.graph, {turned(image)})[0], expected[0], 0);
}

TEST(InputLayout, ThereAndBackIsTheModel) {
  auto b = image_model();
  ASSERT_TRUE(infer_shapes(b.graph));
  QuantizedGraph model{b.graph, {}};
  ASSERT_TRUE(set_input_layout(model, AxisOrder::channels_last));
  ASSERT_TRUE(set_input_layout(model, AxisOrder::channels_first));
  EXPECT_EQ(dump(model), dump({b.graph, {}}));
  EXPECT_EQ(*set_input_layout(model, AxisOrder::channels_first), 1);
  EXPECT_EQ(dump(model), dump({b.graph, {}}));
}

TEST(InputLayout, QuantizedModelsKeepTheirNumbers) {
  QuantizeOptions options;
  options.target = "tflite";
  auto q = testing::quantize(image_model().graph, {{"x", {-3, 5}}}, options);
  ASSERT_NE(q.find("x"), nullptr);
  const auto before = q.find("x")->params;
  const auto adds = maker_of(q.model.graph, "a").inputs[0];
  ASSERT_EQ(adds, q.id("x"));
  ASSERT_TRUE(set_input_layout(q.model, AxisOrder::channels_last));
  EXPECT_TRUE(verify(q.model));
  EXPECT_EQ(q.find("x")->params, before);
  EXPECT_EQ(q.find("x_nchw")->params, before);
  ASSERT_TRUE(set_input_layout(q.model, AxisOrder::channels_first));
  EXPECT_TRUE(verify(q.model));
  EXPECT_EQ(q.find("x")->params, before);
  EXPECT_EQ(maker_of(q.model.graph, "a").inputs[0], q.id("x"));
}

/// A file may quantize behind the Transpose: the readers see the same codes without it.
TEST(InputLayout, QuantizationBehindTheTransposeMovesToItsReaders) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 5, 3});
  const auto t = b.node("Transpose", {x}, "t", {{"perm", to_channels_first()}});
  b.output(b.node("Conv", {t, b.weights("w", {2, 3, 3, 3})}, "y"));
  ASSERT_TRUE(infer_shapes(b.graph));
  QuantizedGraph model{b.graph, {}};
  const Quantization quantization{{}, {{0.5F}, {3}, -1}, Origin::imported, DType::i8};
  model.plan.values[t] = quantization;
  ASSERT_TRUE(set_input_layout(model, AxisOrder::channels_first));
  EXPECT_TRUE(verify(model));
  EXPECT_EQ(ops_of(model.graph), (Ops{"Conv"}));
  EXPECT_EQ(model.plan.find(x), nullptr);
  const auto producers = model.graph.producers();
  const auto conv = producers[index(model.graph.find_value("y"))];
  ASSERT_NE(model.plan.find(model.graph, {conv, 0}), nullptr);
  EXPECT_EQ(*model.plan.find(model.graph, {conv, 0}), quantization);
}

TEST(InputLayout, OtherInputsStay) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 5, 3});
  b.output(b.node("Sigmoid", {x}, "y"));
  QuantizedGraph model{b.graph, {}};
  EXPECT_EQ(*set_input_layout(model, AxisOrder::channels_first), 0);
  EXPECT_EQ(ops_of(model.graph), (Ops{"Sigmoid"}));
}

}  // namespace
}  // namespace octet

// The roofline of single layers, and the remarks beside measured ones, computed by hand.

#include <gtest/gtest.h>

#include "api/layer_payoff.h"
#include "api/layer_remarks.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr std::int64_t channels = 8;
constexpr std::int64_t filters = 32;
constexpr std::int64_t pixels = 16 * 16;

/// Two 1x1 convolutions of x, the first with a Relu, their sum with a Relu, its means, and scores
/// of these.
Graph network() {
  GraphBuilder b;
  const auto x = b.input("x", {1, channels, 16, 16});
  const auto w = b.weights("w", {filters, channels, 1, 1}, 1);
  const auto v = b.weights("v", {filters, channels, 1, 1}, 2);
  const Attributes kernel = {{"kernel_shape", Ints{1, 1}}};
  const auto a = b.node("Relu", {b.node("Conv", {x, w}, "a", kernel)}, "a_relu");
  const auto c = b.node("Conv", {x, v}, "c", kernel);
  const auto sum = b.node("Relu", {b.node("Add", {a, c}, "sum")}, "sum_relu");
  const auto mean = b.node("GlobalAveragePool", {sum}, "mean");
  const auto flat = b.node("Flatten", {mean}, "flat");
  const auto u = b.weights("u", {10, filters}, 3);
  b.output(b.node("Gemm", {flat, u}, "scores", {{"transB", std::int64_t{1}}}));
  EXPECT_TRUE(infer_shapes(b.graph));
  return std::move(b.graph);
}

void set(MachineModel& machine, CostKind kind, CostLine floats, CostLine integers) {
  machine.floats[static_cast<std::size_t>(kind)] = floats;
  machine.integers[static_cast<std::size_t>(kind)] = integers;
}

MachineModel machine() {
  MachineModel out;
  out.memory = {{1e4, 1e9}, {1e7, 1e6}};
  set(out, CostKind::pointwise, {0.01, 1e6}, {0.02, 4e6});
  set(out, CostKind::elementwise, {0.001, 1e6}, {0.2, 1e6});
  set(out, CostKind::pooling, {0.001, 1e5}, {0.002, 1e8});
  return out;
}

std::vector<LayerPayoff> layers() {
  const auto found = predict_layers(network(), QuantizeOptions{}, machine());
  EXPECT_TRUE(found) << found.error().message;
  return found ? *found : std::vector<LayerPayoff>{};
}

TEST(Payoff, ALayerBoundByArithmetic) {
  const auto found = layers();
  ASSERT_EQ(found.size(), 5U);
  const auto& conv = found[0];
  EXPECT_EQ(conv.nodes, (std::vector<std::string>{"a_node", "a_relu_node"}));
  EXPECT_EQ(conv.macs, channels * filters * pixels);
  // 65,536 multiply-accumulates; 2,048 values read, 8,192 made, 256 weights: in float 41,984 bytes
  // take 0.042 ms, less than the arithmetic does. The Relu is free.
  EXPECT_NEAR(conv.float_ms, 0.01 + 65'536 / 1e6, 1e-9);
  EXPECT_NEAR(conv.integer_ms, 0.02 + 65'536 / 4e6, 1e-9);
  EXPECT_TRUE(conv.pays());
}

TEST(Payoff, ALayerBoundByMemory) {
  const auto found = layers();
  ASSERT_EQ(found.size(), 5U);
  const auto& sum = found[2];
  EXPECT_EQ(sum.op, "Add");
  EXPECT_EQ(sum.nodes, (std::vector<std::string>{"sum_node", "sum_relu_node"}));
  // 16,384 values read and 8,192 made, then in float the Relu's 8,192 read and made once more.
  EXPECT_NEAR(sum.float_ms, 0.001 + 4 * 24'576 / 1e6 + 0.001 + 4 * 16'384 / 1e6, 1e-9);
  EXPECT_NEAR(sum.integer_ms, 0.2 + 24'576 / 1e6, 1e-9);
  EXPECT_FALSE(sum.pays());
}

TEST(Payoff, WhatACacheHoldsIsFaster) {
  const auto m = machine();
  const CostLine line{0.5, 1e6};
  EXPECT_DOUBLE_EQ(predicted_ms(m, line, 0, 1e4), 0.5 + 1e4 / 1e9);
  EXPECT_DOUBLE_EQ(predicted_ms(m, line, 0, 1.1e4), 0.5 + 1.1e4 / 1e6);
  EXPECT_DOUBLE_EQ(predicted_ms(m, line, 0, 1e9), 0.5 + 1e9 / 1e6) << "larger than all";
  EXPECT_DOUBLE_EQ(predicted_ms(m, line, 1e6, 1e4), 1.5);
}

TEST(Payoff, AMeanCountsWhatItReads) {
  const auto found = layers();
  ASSERT_EQ(found.size(), 5U);
  const auto& mean = found[3];
  EXPECT_NEAR(mean.float_ms, 0.001 + 8'192 / 1e5, 1e-9);
  // 8,192 bytes read and 32 made lie in the cache.
  EXPECT_NEAR(mean.integer_ms, 0.002 + 8'192 / 1e8, 1e-9);
  EXPECT_TRUE(mean.pays());
}

LayerTime measured(const char* name, const char* kernel, double ms, std::int64_t macs) {
  LayerTime layer;
  layer.name = name;
  layer.kernel = kernel;
  layer.ms = ms;
  layer.macs = macs;
  return layer;
}

TEST(LayerRemarks, NameWhatIsNotFaster) {
  const std::vector<LayerTime> floats = {
      measured("slower", "onednn", 0.5, 100), measured("faster", "onednn", 0.5, 100),
      measured("equal", "onednn", 0.5, 100), measured("moves", "copy", 0.5, 0)};
  std::vector<LayerTime> layers = {
      measured("slower", "conv_i8", 0.75, 100),   measured("faster", "conv_i8", 0.25, 100),
      measured("equal", "conv_i8", 0.5, 100),     measured("moves", "copy", 9, 0),
      measured("unknown", "conv_i8", 9, 100),     measured("in float", "float Conv", 9, 100),
      measured("sum in float", "float Add", 9, 0)};
  add_remarks(floats, layers);
  EXPECT_EQ(layers[0].remark, "int8 does not pay: f32 takes 0.5000 ms");
  EXPECT_EQ(layers[1].remark, "");
  EXPECT_EQ(layers[2].remark, "int8 does not pay: f32 takes 0.5000 ms");
  EXPECT_EQ(layers[3].remark, "") << "multiplies nothing";
  EXPECT_EQ(layers[4].remark, "") << "not measured in float";
  EXPECT_EQ(layers[5].remark, "runs in f32");
  EXPECT_EQ(layers[6].remark, "");
}

}  // namespace
}  // namespace octet::testing

// Ratios of scales that LiteRT's kernels take: what is raised, for whom, and what stays shared.

#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;
using testing::maker_of;
using testing::quantize;
using testing::Quantized;
using testing::Ranges;

QuantizeOptions tflite(int activation_bits = 8) {
  QuantizeOptions options;
  options.target = "tflite";
  options.activation_bits = activation_bits;
  return options;
}

float scale(const Quantized& q, std::string_view value) {
  const auto* found = q.find(value);
  EXPECT_NE(found, nullptr) << value;
  return found == nullptr ? 0 : found->params.scale[0];
}

float ratio(const Quantized& q, std::string_view input, std::string_view output) {
  return scale(q, input) / scale(q, output);
}

float layer_ratio(const Quantized& q, std::string_view x, std::string_view w, std::string_view y) {
  const auto& scales = q.find(w)->params.scale;
  return scale(q, x) * *std::max_element(scales.begin(), scales.end()) / scale(q, y);
}

/// x -> Conv c -> Relu r -> Conv y
GraphBuilder convolutions() {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3, 8, 8});
  const auto c = b.node("Conv", {x, b.weights("c_w", {4, 3, 3, 3})}, "c");
  const auto r = b.node("Relu", {c}, "r");
  b.output(b.node("Conv", {r, b.weights("y_w", {2, 4, 1, 1}, 2)}, "y"));
  return b;
}

TEST(WidenRanges, ScalesWithinTheLimitsStay) {
  const Ranges ranges{{"x", {-1, 1}}, {"r", {0, 2}}, {"y", {-3, 3}}};
  const auto q = quantize(convolutions().graph, ranges, tflite());
  EXPECT_FLOAT_EQ(scale(q, "r"), 2.0F / 255);
  EXPECT_FLOAT_EQ(scale(q, "y"), 6.0F / 255);
  EXPECT_TRUE(q.report.notes.empty());
}

TEST(WidenRanges, ALayerMultipliesByLessThanXnnpackTakes) {
  const auto q = quantize(convolutions().graph, {{"r", {0, 1e-9F}}}, tflite());
  EXPECT_LT(layer_ratio(q, "x", "c_w", "r"), 128);
  EXPECT_GT(layer_ratio(q, "x", "c_w", "r"), 32);
  EXPECT_EQ(q.find("r")->params.zero_point[0], -128);
  EXPECT_TRUE(q.noted("value r: scale raised from 3.92e-12 to"));
  EXPECT_TRUE(q.noted("which node c_node (Conv) needs in target tflite"));
}

/// A dead layer stays far from every limit.
TEST(WidenRanges, ValuesThatWereOnlyZeroHaveAUnit) {
  const auto q = quantize(convolutions().graph, {{"r", {0, 0}}}, tflite());
  EXPECT_FLOAT_EQ(scale(q, "r"), 1.0F / 255);
}

TEST(WidenRanges, OtherTargetsTakeAnyScale) {
  const auto q = quantize(convolutions().graph, {{"r", {0, 1e-9F}}});
  EXPECT_FLOAT_EQ(scale(q, "r"), 1e-9F / 255);
}

TEST(WidenRanges, LongSumsStayWithinInt32OutputSteps) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8192});
  b.output(b.node("Gemm", {x, b.weights("w", {8192, 2})}, "y"));
  const auto q = quantize(b.graph, {{"y", {-1e-3F, 1e-3F}}}, tflite());
  EXPECT_LT(layer_ratio(q, "x", "w", "y"), 8);
}

/// What a raised scale does to the next operator counts as well.
TEST(WidenRanges, GoesOnUntilNothingChanges) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto a = b.node("Relu", {x}, "a");
  const auto c = b.node("LeakyRelu", {a}, "c");
  b.output(b.node("Add", {c, x}, "y"));
  const auto q = quantize(
      b.graph, {{"x", {-1e6F, 1e6F}}, {"a", {0, 1e-3F}}, {"c", {0, 1e-9F}}, {"y", {-1, 1}}},
      tflite());
  EXPECT_LT(ratio(q, "x", "a"), 256);
  EXPECT_LT(ratio(q, "a", "c"), 256);
  EXPECT_LT(ratio(q, "x", "y"), 256);
}

TEST(WidenRanges, AnOperandThatOnlyASumReadsIsRaised) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto z = b.input("z", {1, 8});
  const auto small = b.node("LeakyRelu", {z}, "small");
  b.output(b.node("Add", {x, small}, "y"));
  const auto q = quantize(
      b.graph,
      {{"x", {-4000, 4000}}, {"z", {0, 1e-2F}}, {"small", {0, 1e-2F}}, {"y", {-4000, 4000}}},
      tflite());
  EXPECT_GE(ratio(q, "small", "y"), 0x1p-10F);
  EXPECT_LT(ratio(q, "small", "y"), 0x1p-8F);
  EXPECT_FLOAT_EQ(scale(q, "z"), 1e-2F / 255);
  EXPECT_FLOAT_EQ(scale(q, "y"), 8000.0F / 255);
}

/// Its other readers need its own scale.
TEST(WidenRanges, AnOperandThatOthersReadIsRequantized) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto small = b.input("small", {1, 8});
  b.output(b.node("Add", {x, small}, "y"));
  b.output(b.node("Mul", {small, small}, "square"));
  const auto q = quantize(
      b.graph, {{"x", {-4000, 4000}}, {"small", {0, 1e-2F}}, {"y", {-4000, 4000}}}, tflite());
  EXPECT_FLOAT_EQ(scale(q, "small"), 1e-2F / 255);
  const auto& sum = maker_of(q.model.graph, "y");
  const auto& name = q.model.graph.value(sum.input(1)).name;
  EXPECT_EQ(name, "small_for_y");
  EXPECT_TRUE(maker_of(q.model.graph, name).is("Identity"));
  EXPECT_GE(ratio(q, name, "y"), 0x1p-10F);
  EXPECT_TRUE(q.noted("value small: node y_node (Add) reads it requantized to scale 0.0"));
}

/// A Sigmoid's output has the scale that the kernel demands.
TEST(WidenRanges, AFixedOperandIsRequantized) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  b.output(b.node("Sub", {x, b.node("Sigmoid", {x}, "s")}, "y"));
  const auto q = quantize(b.graph, {{"x", {-4000, 4000}}, {"y", {-4000, 4000}}}, tflite());
  EXPECT_EQ(scale(q, "s"), 1.0F / 256);
  EXPECT_GE(ratio(q, "s_for_y", "y"), 0x1p-10F);
}

TEST(WidenRanges, AConstantOperandIsRaised) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  b.output(b.node("Add", {x, b.scalar("epsilon", 1e-5F)}, "y"));
  const auto q = quantize(b.graph, {{"x", {0, 1}}, {"y", {0, 1}}}, tflite());
  EXPECT_GE(ratio(q, "epsilon", "y"), 0x1p-10F);
  EXPECT_TRUE(q.noted("constant epsilon: scale raised from 3.92e-08 to"));
  EXPECT_TRUE(q.noted("which node y_node (Add) needs in target tflite"));
  const auto q16 = quantize(b.graph, {{"x", {0, 1}}, {"y", {0, 1}}}, tflite(16));
  EXPECT_FLOAT_EQ(scale(q16, "epsilon"), 1e-5F / 32767);
}

TEST(WidenRanges, SharedParamsStayShared) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto a = b.node("Conv", {x, b.weights("a_w", {4, 4, 1, 1})}, "a");
  const auto c = b.node("Conv", {x, b.weights("c_w", {4, 4, 1, 1}, 2)}, "c");
  const auto joined = b.node("Concat", {a, c}, "joined", {{"axis", std::int64_t{1}}});
  b.output(b.node("MaxPool", {joined}, "y", {{"kernel_shape", Ints{2, 2}}}));
  const auto q = quantize(b.graph, {{"a", {-1e-9F, 1e-9F}}, {"c", {0, 1e-9F}}}, tflite());
  EXPECT_LT(layer_ratio(q, "x", "a_w", "a"), 128);
  for (const auto* name : {"c", "joined", "y"}) {
    EXPECT_EQ(q.find(name)->params, q.find("a")->params) << name;
  }
}

TEST(WidenRanges, KernelsWithLimitsOfTheirOwn) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto z = b.input("z", {1, 8});
  b.output(b.node("HardSwish", {x}, "h"));
  b.output(b.node("Softmax", {z}, "s"));
  b.output(b.node("Clip", {x, b.scalar("low", 0), b.scalar("high", 6)}, "r"));
  const auto q = quantize(
      b.graph, {{"x", {0, 1e-3F}}, {"z", {0, 1e-9F}}, {"h", {0, 1e-9F}}, {"r", {0, 1e-9F}}},
      tflite());
  EXPECT_LT(ratio(q, "x", "h"), 128);
  EXPECT_GE(scale(q, "z"), 0x1p-24F);
  EXPECT_GE(scale(q, "r"), 0x1p-28F);
}

TEST(WidenRanges, WhatCannotSettleIsNoted) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto product = b.node("Mul", {x, b.input("large", {1, 8})}, "product");
  b.output(b.node("Concat", {x, product}, "y", {{"axis", std::int64_t{1}}}));
  const auto q = quantize(b.graph, {{"large", {0, 1e6F}}}, tflite());
  EXPECT_EQ(q.find("x")->params, q.find("product")->params);
  EXPECT_TRUE(q.noted("scales beyond what target tflite takes remain"));
}

/// softmax(x + mask), in floats: a code for the mask leaves none for x.
TEST(WidenRanges, MasksStayFloat) {
  for (const float masked : {-1e4F, -3.4e38F}) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 4, 8});
    const auto keep = b.input("keep", {1, 1, 8});
    const auto mask = b.node(
        "Mul", {b.node("Sub", {b.scalar("one", 1), keep}, "drop"), b.scalar("masked", masked)},
        "mask");
    const auto sum = b.node("Add", {b.node("LeakyRelu", {x}, "scores"), mask}, "sum");
    const auto shares =
        b.node("Softmax", {b.node("Reshape", {sum, b.ints("shape", {4, 8})}, "moved")}, "shares");
    b.output(b.node("LeakyRelu", {shares}, "y"));
    const auto q = quantize(b.graph, {{"mask", {masked, 0}}, {"sum", {masked, 1}}}, tflite());
    for (const auto* name : {"mask", "sum", "moved"}) EXPECT_EQ(q.find(name), nullptr) << name;
    EXPECT_EQ(q.reason("sum_node"), "its input mask is masked by constants of 10000 and more");
    EXPECT_EQ(q.reason("shares_node"), "its input moved is masked by constants of 10000 and more");
    for (const auto* name : {"scores", "shares", "y", "drop"})
      EXPECT_NE(q.find(name), nullptr) << name;
  }
}

/// A large factor alone makes no mask of what a convolution reads.
TEST(WidenRanges, LayersReadLargeValues) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3, 8, 8});
  const auto pixels = b.node("Mul", {x, b.scalar("steps", 65535)}, "pixels");
  b.output(b.node("Conv", {pixels, b.weights("w", {4, 3, 3, 3})}, "y"));
  const auto q = quantize(b.graph, {{"pixels", {0, 65535}}, {"y", {-60000, 60000}}}, tflite());
  EXPECT_TRUE(q.reason("y_node").empty());
  EXPECT_NE(q.find("pixels"), nullptr);
}

}  // namespace
}  // namespace octet

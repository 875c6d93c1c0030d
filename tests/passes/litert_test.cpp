// The rewrites for LiteRT: what they make of a graph, and that its function stays.

#include <cmath>

#include "passes/litert.h"
#include "passes/quantize_fixture.h"
#include "passes/simplify_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::maker_of;
using testing::Ops;
using testing::ops_of;
using testing::quantize;

QuantizeOptions tflite() {
  QuantizeOptions options;
  options.target = "tflite";
  return options;
}

/// Simplifies and fits, and compares what comes out with the graph as it was.
Graph checked_fit(GraphBuilder& b, std::int64_t batch = 3) {
  Graph before = b.graph;
  EXPECT_TRUE(infer_shapes(before));
  Graph after = b.graph;
  EXPECT_TRUE(simplify(after));
  const auto status = fit_target(after, tflite());
  EXPECT_TRUE(status) << status.error().message;
  std::vector<Tensor> inputs;
  for (const auto id : before.inputs) {
    auto shape = *before.value(id).shape;
    for (auto& dim : shape) dim = dim == dynamic_dim ? batch : dim;
    inputs.push_back(GraphBuilder::pseudo_random(shape, 7 + static_cast<int>(inputs.size())));
  }
  const auto expected = testing::run(before, inputs);
  const auto actual = testing::run(after, inputs);
  EXPECT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < std::min(expected.size(), actual.size()); ++i) {
    testing::expect_near(actual[i], expected[i], 2e-6);
  }
  // Fitting once is enough.
  Graph again = after;
  EXPECT_TRUE(fit_target(again, tflite()));
  EXPECT_EQ(dump({again, {}}), dump({after, {}}));
  return after;
}

TEST(FitLitert, SequenceProductBecomesRowsWithBiasAndActivation) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 5, 6}, {"N"});
  const auto m = b.node("MatMul", {x, b.weights("w", {6, 4})}, "m");
  const auto a = b.node("Add", {b.weights("bias", {4}, 2), m}, "a");
  b.output(b.node("Relu", {a}, "y"));
  const auto graph = checked_fit(b);
  EXPECT_EQ(ops_of(graph), (Ops{"Reshape", "Gemm", "Relu", "Reshape"}));
  const auto& gemm = maker_of(graph, "a");
  ASSERT_TRUE(gemm.is("Gemm"));
  EXPECT_EQ(gemm.int_attribute("transB", 0), 1);
  EXPECT_EQ(graph.constant(gemm.input(1))->shape(), (Shape{4, 6}));
  EXPECT_EQ(graph.constant(gemm.input(2))->shape(), (Shape{4}));
}

TEST(FitLitert, ProductsInARowShareTheirRows) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 5, 6});
  const auto m = b.node("MatMul", {x, b.weights("w", {6, 4})}, "m");
  b.output(b.node("MatMul", {m, b.weights("v", {4, 3}, 2)}, "y"));
  EXPECT_EQ(ops_of(checked_fit(b)), (Ops{"Reshape", "Gemm", "Gemm", "Reshape"}));
}

TEST(FitLitert, MatrixProductsNeedNoReshape) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 6}, {"N"});
  const auto m = b.node("MatMul", {x, b.weights("w", {6, 4})}, "m");
  b.output(b.node("Gemm", {m, b.weights("v", {4, 3}, 2), b.weights("c", {1, 3}, 3)}, "y",
                  {{"alpha", 0.5F}, {"beta", 2.0F}}));
  const auto graph = checked_fit(b);
  EXPECT_EQ(ops_of(graph), (Ops{"Gemm", "Gemm"}));
  EXPECT_EQ(graph.constant(maker_of(graph, "y").input(2))->shape(), (Shape{3}));
}

/// A weight that others read as it is stays for them.
TEST(FitLitert, SharedWeightsAreCopied) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 4, 4});
  const auto w = b.weights("w", {4, 4});
  b.output(b.node("Add", {b.node("MatMul", {x, w}, "m"), w}, "y"));
  const auto graph = checked_fit(b);
  EXPECT_EQ(graph.constant(graph.find_value("w"))->values<float>()[1],
            b.graph.constant(w)->values<float>()[1]);
}

/// Where batch and sequence are both open the rows' shape is computed, and the product runs on
/// codes.
TEST(FitLitert, ProductsOfOpenExtentsComputeTheirShape) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, dynamic_dim, 6}, {"N", "T"});
  b.output(b.node("MatMul", {x, b.weights("w", {6, 4})}, "y"));
  const auto graph = checked_fit(b);
  EXPECT_EQ(ops_of(graph), (Ops{"Shape", "Concat", "Reshape", "Gemm", "Reshape"}));
  const auto y = graph.find_value("y");
  EXPECT_EQ(graph.value(y).shape, (Shape{dynamic_dim, dynamic_dim, 4}));
  EXPECT_EQ(graph.value(y).dim_names, (std::vector<std::string>{"N", "T", ""}));
  const auto q = quantize(b.graph, {{"x", {-4, 4}}, {"y", {-2, 2}}}, tflite());
  EXPECT_NE(q.find("y"), nullptr);
}

TEST(FitLitert, ProductsByMoreThanAMatrixStay) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 5, 6});
  b.output(b.node("MatMul", {x, b.weights("w", {2, 6, 4})}, "y"));
  EXPECT_EQ(ops_of(checked_fit(b)), (Ops{"MatMul"}));
  EXPECT_EQ(testing::error_of(b.graph, tflite()),
            "pass place: no node can run in integers on target tflite; node y_node (MatMul): "
            "FULLY_CONNECTED needs a matrix of weights and an input of known rank");
}

TEST(FitLitert, GatesAreMadeOfWhatLitertHas) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 8});
  b.output(b.node("Swish", {x}, "s"));
  b.output(b.node("HardSigmoid", {x}, "h", {{"alpha", 1.0F / 6}}));
  b.output(b.node("Div", {x, b.weights("d", {8})}, "q"));
  const auto graph = checked_fit(b);
  EXPECT_EQ(ops_of(graph), (Ops{"Mul", "Sigmoid", "Mul", "Add", "Clip", "Mul"}));
  // HardSigmoid of slope 1 / 6 limits by a RELU6.
  EXPECT_TRUE(is_litert_activation(graph, maker_of(graph, "h_limited")));
  EXPECT_EQ(graph.constant(maker_of(graph, "h_shifted").input(1))->data<float>()[0], 3.0F);
}

TEST(FitLitert, SumsAreMeansTimesTheirCount) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 5});
  b.output(b.node("ReduceSum", {x, b.ints("axes", {2, 3})}, "y"));
  EXPECT_EQ(ops_of(checked_fit(b)), (Ops{"ReduceMean", "Mul"}));
  GraphBuilder open;
  const auto z = open.input("z", {1, 2, dynamic_dim, 5});
  open.output(open.node("ReduceSum", {z, open.ints("axes", {2, 3})}, "y"));
  EXPECT_EQ(ops_of(checked_fit(open)), Ops{"ReduceSum"});
}

TEST(FitLitert, AverageOfAnImageMayHaveParamsOfItsOwn) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 3, 4, 5});
  b.output(b.node("AveragePool", {x}, "whole", {{"kernel_shape", Ints{4, 5}}}));
  b.output(b.node("AveragePool", {x}, "part", {{"kernel_shape", Ints{4, 4}}}));
  EXPECT_EQ(ops_of(checked_fit(b)), (Ops{"GlobalAveragePool", "AveragePool"}));
  const auto q = quantize(b.graph, {{"x", {-4, 4}}, {"whole", {0, 1}}}, tflite());
  EXPECT_EQ(q.find("part")->params, q.find("x")->params);
  EXPECT_EQ(q.find("whole")->params.scale[0], 1.0F / 255);
}

TEST(FitLitert, SoftmaxRunsOverTheLastAxis) {
  for (const auto* op : {"Softmax", "LogSoftmax"}) {
    GraphBuilder b;
    const auto x = b.input("x", {2, 3, 4, 5});
    b.output(b.node(op, {x}, "y", {{"axis", std::int64_t{1}}}));
    const auto graph = checked_fit(b);
    EXPECT_EQ(ops_of(graph), (Ops{"Transpose", op, "Transpose"}));
    EXPECT_EQ(maker_of(graph, "y").ints_attribute("perm"), (Ints{0, 3, 1, 2}));
  }
}

TEST(FitLitert, FixedOutputsAreSeparatedOnce) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 8});
  const auto s = b.node("Split", {b.node("Sigmoid", {x}, "g")}, "s0",
                        {{"axis", std::int64_t{1}}, {"num_outputs", std::int64_t{1}}});
  b.output(b.node("Max", {s, x}, "y"));
  EXPECT_EQ(ops_of(checked_fit(b)), (Ops{"Sigmoid", "Split", "Identity", "Max"}));
}

/// x -> Conv c -> Clip r, alone or joined with a value of a wider range.
testing::Quantized limited(float low, float high, bool joined) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto c = b.node("Conv", {x, b.weights("w", {4, 4, 1, 1})}, "c");
  const auto r = b.node("Clip", {c, b.scalar("low", low), b.scalar("high", high)}, "r");
  if (joined) {
    b.output(b.node("Concat", {r, x}, "y", {{"axis", std::int64_t{1}}}));
  } else {
    b.output(b.node("MaxPool", {r}, "y", {{"kernel_shape", Ints{2, 2}}}));
  }
  return quantize(b.graph, {{"x", {-8, 8}}, {"c", {-9, 9}}, {"r", {low, high}}}, tflite());
}

TEST(FitLitert, LimitsOfTheCodesNeedNoNode) {
  EXPECT_EQ(limited(-2, 4, false).ops(), (Ops{"Conv", "MaxPool"}));
}

TEST(FitLitert, LimitsWithinTheCodesAreComparisons) {
  const auto q = limited(-2, 4, true);
  EXPECT_EQ(q.ops(), (Ops{"Conv", "Identity", "Max", "Min", "Concat"}));
  const auto& min = maker_of(q.model.graph, "r");
  ASSERT_TRUE(min.is("Min"));
  const auto& codes = q.model.plan.payloads.at(min.input(1));
  const auto& params = q.find("r")->params;
  EXPECT_EQ(codes.data<std::int8_t>()[0],
            static_cast<int>(std::nearbyint(4 / params.scale[0])) + params.zero_point[0]);
  EXPECT_EQ(q.model.plan.find(min.input(1))->params, params);
}

TEST(FitLitert, ActivationsThatLitertHasStay) {
  EXPECT_EQ(limited(0, 6, true).ops(), (Ops{"Conv", "Clip", "Concat"}));
  EXPECT_EQ(limited(-1, 1, true).ops(), (Ops{"Conv", "Clip", "Concat"}));
}

testing::Quantized quantize_dynamic(const Graph& graph, QuantizeOptions options = tflite()) {
  testing::Quantized out;
  options.method = Method::dynamic;
  auto model = quantize_without_data(graph, options, out.report);
  EXPECT_TRUE(model) << model.error().message;
  if (model) out.model = std::move(*model);
  return out;
}

TEST(FitLitert, DynamicTakesWeightsOf1024Elements) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 5, 32});
  const auto m = b.node("MatMul", {x, b.weights("w", {32, 32})}, "m");
  const auto a = b.node("Add", {m, b.weights("bias", {32}, 2)}, "a");
  b.output(b.node("MatMul", {a, b.weights("v", {32, 31}, 3)}, "y"));
  const auto q = quantize_dynamic(b.graph);
  ASSERT_NE(q.find("w"), nullptr);
  EXPECT_EQ(q.find("w")->params.axis, 0);
  EXPECT_EQ(q.find("w")->storage, DType::i8);
  EXPECT_EQ(q.find("v"), nullptr);
  EXPECT_EQ(q.find("bias"), nullptr);
  ASSERT_EQ(q.model.plan.overrides.size(), 1U);
  const auto& [use, quantization] = *q.model.plan.overrides.begin();
  EXPECT_TRUE(q.model.graph.node(use.node).is("Gemm"));
  EXPECT_NE(q.model.graph.node(use.node).input(2), ValueId::none);
  EXPECT_TRUE(is_dynamic(quantization));
  EXPECT_EQ(q.reason("y_node"), "its weights take less than 4096 bytes");
}

/// LiteRT reads beyond a single scale there.
TEST(FitLitert, DynamicDepthwiseIsPerChannelAlways) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 128, 8, 8});
  const auto d =
      b.node("Conv", {x, b.weights("d_w", {128, 1, 3, 3})}, "d", {{"group", std::int64_t{128}}});
  b.output(b.node("Conv", {d, b.weights("p_w", {16, 128, 1, 1}, 2)}, "y"));
  auto options = tflite();
  options.weight_granularity = Granularity::per_tensor;
  const auto q = quantize_dynamic(b.graph, options);
  EXPECT_EQ(q.find("d_w")->params.axis, 0);
  EXPECT_EQ(q.find("p_w")->params.axis, -1);
  EXPECT_TRUE(q.noted("no dynamic convolution with groups"));
  EXPECT_EQ(q.model.plan.overrides.size(), 2U);
}

}  // namespace
}  // namespace octet

// What target openvino quantizes otherwise than onnxruntime.

#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::quantize;

QuantizeOptions openvino() {
  QuantizeOptions options;
  options.target = "openvino";
  return options;
}

ValueId conv(GraphBuilder& b, ValueId x, const std::string& name, int seed) {
  return b.node("Conv",
                {x, b.weights(name + "_w", {4, 4, 1, 1}, seed), b.weights(name + "_b", {4})}, name);
}

/// x -> c1 -> Relu r1 -> c2 -> c3, Add of c3 and r1 -> Relu r2 -> GlobalAveragePool -> Gemm
GraphBuilder residual() {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 4, 8, 8}, {"N"});
  const auto r1 = b.node("Relu", {conv(b, x, "c1", 1)}, "r1");
  const auto c3 = conv(b, conv(b, r1, "c2", 2), "c3", 3);
  const auto r2 = b.node("Relu", {b.node("Add", {c3, r1}, "a")}, "r2");
  const auto f = b.node("Flatten", {b.node("GlobalAveragePool", {r2}, "g")}, "f");
  b.output(b.node("Gemm", {f, b.weights("w", {4, 5}, 4), b.weights("wb", {5}, 5)}, "y"));
  return b;
}

TEST(OpenvinoTarget, BiasesAndAddendsStayFloat) {
  const auto q = quantize(residual().graph, {}, openvino());
  EXPECT_EQ(q.model.plan.target, "openvino");
  EXPECT_EQ(q.model.plan.rule, Rule::openvino);
  for (const auto* value : {"c1_b", "c2_b", "c3_b", "wb"})
    EXPECT_EQ(q.find(value), nullptr) << value;
  for (const auto* value : {"x", "r1", "c2", "r2", "g", "f", "c1_w", "c3_w", "w"}) {
    EXPECT_NE(q.find(value), nullptr) << value;
  }
  // The sum is fused into c3; its own result needs no codes, and nor do the scores.
  for (const auto* value : {"c3", "a", "y"}) EXPECT_EQ(q.find(value), nullptr) << value;
  EXPECT_EQ(q.report.integer_mac_share, 1.0);
  EXPECT_TRUE(q.report.float_nodes.empty());
}

TEST(OpenvinoTarget, OtherTargetQuantizesThem) {
  const auto q = quantize(residual().graph);
  for (const auto* value : {"c1_b", "wb", "c3"}) EXPECT_NE(q.find(value), nullptr) << value;
}

TEST(OpenvinoTarget, OfTwoConvolutionsTheLastStaysFloat) {
  for (const bool swapped : {false, true}) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 4, 8, 8});
    const auto first = conv(b, x, "c1", 1);
    const auto last = conv(b, conv(b, x, "c2", 2), "c3", 3);
    const auto a =
        b.node("Add", swapped ? std::vector{last, first} : std::vector{first, last}, "a");
    b.output(conv(b, a, "y", 4));
    const auto q = quantize(b.graph, {}, openvino());
    EXPECT_NE(q.find("c1"), nullptr);
    EXPECT_EQ(q.find("c3"), nullptr);
    EXPECT_NE(q.find("a"), nullptr);
  }
}

TEST(OpenvinoTarget, ActivationBeforeTheSumIsComputedInFloat) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto r = b.node("Relu", {conv(b, x, "c1", 1)}, "r");
  const auto s = b.node("Relu", {conv(b, r, "c2", 2)}, "s");
  b.output(conv(b, b.node("Add", {r, s}, "a"), "y", 3));
  const auto q = quantize(b.graph, {}, openvino());
  EXPECT_NE(q.find("r"), nullptr);
  EXPECT_EQ(q.find("c2"), nullptr);
  EXPECT_EQ(q.find("s"), nullptr);
  EXPECT_EQ(q.reason("s_node"), "what it gives is added in float");
}

/// A value with another reader has codes anyway.
TEST(OpenvinoTarget, AddendThatOthersReadIsQuantized) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto c1 = conv(b, x, "c1", 1);
  const auto c2 = conv(b, c1, "c2", 2);
  const auto a = b.node("Add", {c1, c2}, "a");
  b.output(conv(b, b.node("Concat", {a, c2}, "j", {{"axis", std::int64_t{0}}}), "y", 3));
  const auto q = quantize(b.graph, {}, openvino());
  EXPECT_NE(q.find("c1"), nullptr);
  EXPECT_NE(q.find("c2"), nullptr);
}

TEST(OpenvinoTarget, ProductOfActivationsStaysFloat) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 6});
  const auto p = b.node("MatMul", {x, b.weights("w", {6, 6})}, "p");
  const auto k = b.node("MatMul", {x, b.weights("v", {6, 4}, 2)}, "k");
  b.output(b.node("MatMul", {k, p}, "y"));
  EXPECT_EQ(quantize(b.graph, {}, openvino()).reason("y_node"),
            "the target multiplies two activations in float");
  EXPECT_EQ(quantize(b.graph).reason("y_node"), "");
}

/// A float bias needs no room in the accumulator.
TEST(OpenvinoTarget, LargeBiasLeavesTheWeightsAlone) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto bias = b.constant("b", Tensor::from<float>({1e6F, 0, 0, 0}, {4}));
  b.output(b.node("Conv", {x, b.weights("w", {4, 4, 1, 1}), bias}, "y"));
  EXPECT_TRUE(quantize(b.graph).noted("bias would overflow"));
  EXPECT_FALSE(quantize(b.graph, {}, openvino()).noted("bias would overflow"));
}

}  // namespace
}  // namespace octet

#include "passes/layer_bits.h"

#include "passes/quantize_fixture.h"
#include "passes/state_bits.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;
using testing::quantize;

ValueId conv(GraphBuilder& b, ValueId x, const std::string& name) {
  return b.node("Conv", {x, b.weights(name + "_w", {4, 4, 3, 3}), b.weights(name + "_b", {4})},
                name, {{"pads", Ints{1, 1, 1, 1}}});
}

/// x -> c1 -> r1 -> c2 -> r2 -> c3 -> sum with r1 -> r3 -> c4 -> g
Graph residual_block() {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto r1 = b.node("Relu", {conv(b, x, "c1")}, "r1");
  const auto r2 = b.node("Relu", {conv(b, r1, "c2")}, "r2");
  const auto sum = b.node("Add", {conv(b, r2, "c3"), r1}, "sum");
  const auto r3 = b.node("Relu", {sum}, "r3");
  b.output(b.node("GlobalAveragePool", {conv(b, r3, "c4")}, "g"));
  return b.graph;
}

QuantizeOptions few_bits() {
  QuantizeOptions options;
  options.activation_bits = 4;
  options.edge_weight_bits = 8;
  return options;
}

int bits_of(const testing::Quantized& q, std::string_view value) {
  const auto* found = q.find(value);
  return found == nullptr ? 0 : found->scheme.bits;
}

TEST(ValueBits, ProductsReadFewBitsAndSumsEight) {
  const auto q = quantize(residual_block(), {{"r1", {0, 4}}, {"r2", {0, 4}}}, few_bits());
  EXPECT_EQ(bits_of(q, "x"), 8) << "the first layer reads it";
  EXPECT_EQ(bits_of(q, "r2"), 4);
  EXPECT_EQ(bits_of(q, "c3"), 8) << "only a sum reads it";
  EXPECT_EQ(bits_of(q, "r3"), 8) << "the last layer reads it";
  EXPECT_EQ(bits_of(q, "r1"), 8) << "a sum and a product read it";
  ASSERT_EQ(q.model.plan.overrides.size(), 1U);
  const auto& [use, narrow] = *q.model.plan.overrides.begin();
  EXPECT_EQ(q.model.graph.node(use.node).name, "c2_node");
  EXPECT_EQ(narrow.scheme.bits, 4);
  EXPECT_FLOAT_EQ(narrow.params.scale[0], 4.0F / 15);
}

TEST(LayerBits, WeightsOfTwoBitsHaveAllFourCodes) {
  QuantizeOptions options;
  options.weight_bits = 2;
  options.edge_weight_bits = 8;
  const auto q = quantize(residual_block(), {{"r1", {0, 4}}}, options);
  EXPECT_EQ(q.find("c2_w")->scheme.qmin(), -2);
  EXPECT_EQ(q.find("c2_w")->scheme.qmax(), 1);
  EXPECT_EQ(q.find("c1_w")->scheme.qmin(), -127) << "the first layer has 8 bits";
}

TEST(ValueBits, BiasesFollowWhatTheProductReads) {
  const auto q = quantize(residual_block(), {{"r1", {0, 4}}}, few_bits());
  EXPECT_FLOAT_EQ(q.find("c2_b")->params.scale[0], 4.0F / 15 * q.find("c2_w")->params.scale[0]);
}

TEST(ValueBits, AFileStatesTheNarrowUseByAClip) {
  auto q = quantize(residual_block(), {{"r1", {0, 4}}}, few_bits());
  state_bits(q.model);
  EXPECT_TRUE(q.model.plan.overrides.empty());
  const auto& graph = q.model.graph;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || node.name != "c2_node") continue;
    EXPECT_EQ(graph.value(node.input(0)).name, "r1_limited");
    const auto* read = q.model.plan.find(node.input(0));
    ASSERT_NE(read, nullptr);
    EXPECT_FLOAT_EQ(read->params.scale[0], 4.0F / 15);
  }
}

TEST(ValueBits, EightBitsNeedNoOverrides) {
  const auto q = quantize(residual_block(), {});
  EXPECT_TRUE(q.model.plan.overrides.empty());
}

TEST(LayerBits, NamedLayersHaveFourBitsTwoToAByte) {
  QuantizeOptions options;
  options.edge_weight_bits = 8;
  options.narrow = {"c[14]_node", "nothing"};
  const auto q = quantize(residual_block(), {}, options);
  for (const std::string layer : {"c1", "c2", "c3", "c4"}) {
    const bool named = layer == "c1" || layer == "c4";
    const auto* weights = q.find(layer + "_w");
    ASSERT_NE(weights, nullptr) << layer;
    EXPECT_EQ(weights->scheme.bits, named ? 4 : 8) << layer;
    EXPECT_EQ(weights->storage, named ? DType::i4 : DType::i8) << layer;
  }
  EXPECT_TRUE(q.noted("--int4 nothing matches no layer"));
  EXPECT_FALSE(q.noted("c[14]_node"));
}

}  // namespace
}  // namespace octet

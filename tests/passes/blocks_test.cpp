// Placement of the blocks that networks are made of, on target onnxruntime.

#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::quantize;
using testing::Quantized;

ValueId linear(GraphBuilder& b, ValueId x, const std::string& name, std::int64_t in,
               std::int64_t out) {
  const auto product = b.node("MatMul", {x, b.weights(name + "_w", {in, out})}, name + "_m");
  return b.node("Add", {b.weights(name + "_b", {out}), product}, name);
}

ValueId conv(GraphBuilder& b, ValueId x, const std::string& name, std::int64_t in,
             std::int64_t out) {
  return b.node("Conv", {x, b.weights(name + "_w", {out, in, 1, 1})}, name);
}

/// One head: softmax(q k' / 2 + mask) v, a residual and a normalization; then two linear layers
/// with Gelu.
Quantized attention(float masked) {
  GraphBuilder b;
  const auto ids = b.input("ids", {dynamic_dim, 5}, {"N"}, DType::i64);
  const auto table = b.weights("table", {100, 8});
  const auto e = b.node("Gather", {table, ids}, "e");
  const auto p = b.node("Add", {e, b.weights("position", {5, 8}, 4)}, "p");
  const auto n1 = b.node("LayerNormalization", {p, b.weights("g1", {8})}, "n1");
  const auto q = linear(b, n1, "q", 8, 8);
  const auto k = linear(b, n1, "k", 8, 8);
  const auto v = linear(b, n1, "v", 8, 8);
  const auto kt = b.node("Transpose", {k}, "kt", {{"perm", Ints{0, 2, 1}}});
  const auto scores = b.node("MatMul", {q, kt}, "scores");
  const auto scaled = b.node("Div", {scores, b.scalar("two", 2)}, "scaled");
  Tensor mask = Tensor::zeros(DType::f32, {1, 5, 5});
  mask.mutable_data<float>()[3] = masked;
  const auto added = b.node("Add", {scaled, b.constant("mask", mask)}, "added");
  const auto weights = b.node("Softmax", {added}, "weights");
  const auto context = b.node("MatMul", {weights, v}, "context");
  const auto o = linear(b, context, "o", 8, 8);
  const auto r = b.node("Add", {n1, o}, "r");
  const auto n2 = b.node("LayerNormalization", {r, b.weights("g2", {8})}, "n2");
  const auto f = b.node("Gelu", {linear(b, n2, "f", 8, 16)}, "fg");
  b.output(b.node("Add", {n2, linear(b, f, "y", 16, 8)}, "out"));
  return quantize(b.graph);
}

TEST(Blocks, Attention) {
  for (const float masked : {-1e9F, -std::numeric_limits<float>::infinity(), -10000.0F}) {
    const auto q = attention(masked);
    // Products, biases and what leads to them are integer, and so is the table.
    for (const auto* node : {"q_m_node", "k_node", "kt_node", "scores_node", "context_node",
                             "o_m_node", "f_m_node", "e_node"}) {
      EXPECT_EQ(q.reason(node), "") << node;
    }
    for (const auto* node : {"n1_node", "scaled_node", "added_node", "weights_node", "r_node",
                             "fg_node", "out_node", "p_node"}) {
      EXPECT_NE(q.reason(node), "") << node;
    }
    // What float nodes read as well is quantized for the products only.
    for (const auto* value : {"n1", "n2", "scores", "added", "mask", "q_m", "o", "f", "y", "r"}) {
      EXPECT_EQ(q.find(value), nullptr) << value;
    }
    for (const auto* value : {"q", "k", "kt", "v", "weights", "context", "fg", "table", "e"}) {
      EXPECT_NE(q.find(value), nullptr) << value;
    }
    EXPECT_EQ(q.model.plan.overrides.size(), 4U);  // n1 by q, k and v; n2 by f
    EXPECT_EQ(q.find("table")->params, q.find("e")->params);
    EXPECT_EQ(q.find("k")->params, q.find("kt")->params);
    // A bias is in units of its product.
    const auto& bias = *q.find("o_b");
    EXPECT_EQ(bias.storage, DType::i32);
    EXPECT_EQ(bias.params.scale[3],
              q.find("context")->params.scale[0] * q.find("o_w")->params.scale[3]);
  }
}

TEST(Blocks, GatesAndSqueezeExcitation) {
  for (const std::string gate : {"HardSwish", "Swish", "Mish"}) {
    GraphBuilder b;
    const auto x = b.input("x", {dynamic_dim, 4, 8, 8}, {"N"});
    const auto s = b.node(gate, {conv(b, x, "c1", 4, 8)}, "s");
    const auto g = b.node("GlobalAveragePool", {s}, "g");
    const auto h = b.node("HardSigmoid", {conv(b, g, "c2", 8, 8)}, "h");
    const auto m = b.node("Mul", {s, h}, "m");
    b.output(conv(b, m, "y", 8, 4));
    const auto q = quantize(b.graph);
    EXPECT_TRUE(q.report.float_nodes.empty()) << gate;
    for (const auto* value : {"c1", "s", "g", "c2", "h", "m", "y"}) {
      EXPECT_NE(q.find(value), nullptr) << value;
    }
  }
}

TEST(Blocks, SplitResizeAndMoversShareParams) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto c = conv(b, x, "c", 4, 8);
  Value second;
  second.name = "right";
  const auto right = b.graph.add_value(second);
  const auto left =
      b.node("Split", {c}, "left", {{"axis", std::int64_t{1}}, {"num_outputs", std::int64_t{2}}});
  b.graph.node(static_cast<NodeId>(b.graph.node_slots() - 1)).outputs.push_back(right);
  const auto scales = b.constant("scales", Tensor::from<float>({1, 1, 2, 2}, {4}));
  const auto up = b.node("Resize", {left, ValueId::none, scales}, "up");
  b.output(conv(b, up, "y", 4, 4));
  const auto wide =
      b.node("Resize", {right, ValueId::none, scales}, "wide", {{"mode", std::string("linear")}});
  b.output(conv(b, wide, "z", 4, 4));
  const auto q = quantize(b.graph);
  for (const auto* value : {"left", "right", "up"}) {
    ASSERT_NE(q.find(value), nullptr) << value;
    EXPECT_EQ(q.find(value)->params, q.find("c")->params) << value;
  }
  EXPECT_EQ(q.reason("wide_node"), "it interpolates");
  EXPECT_NE(q.find("wide"), nullptr);
}

TEST(Blocks, TransposedConvolutionSharesWithTheSkipConnection) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto c = conv(b, x, "c", 4, 8);
  const auto up =
      b.node("ConvTranspose", {c, b.weights("t_w", {8, 4, 2, 2})}, "up", {{"strides", Ints{2, 2}}});
  const auto j =
      b.node("Concat", {up, b.input("skip", {1, 4, 16, 16})}, "j", {{"axis", std::int64_t{1}}});
  b.output(conv(b, j, "y", 8, 4));
  const auto q = quantize(b.graph);
  EXPECT_EQ(q.reason("up_node"), "");
  EXPECT_EQ(q.reason("j_node"), "");
  ASSERT_NE(q.find("t_w"), nullptr);
  EXPECT_EQ(q.find("up")->params, q.find("j")->params);
}

TEST(Blocks, OneDimensionalConvolution) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 9});
  const auto c = b.node("Conv", {x, b.weights("w", {8, 4, 3})}, "c");
  b.output(b.node("Conv", {b.node("Relu", {c}, "r"), b.weights("v", {2, 8, 1})}, "y"));
  const auto q = quantize(b.graph);
  EXPECT_TRUE(q.report.float_nodes.empty());
  EXPECT_EQ(q.find("w")->params.count(), 8U);
}

TEST(Blocks, HugeFactorsStayFloat) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto m = b.node("Mul", {conv(b, x, "c", 4, 4), b.scalar("huge", 1e6F)}, "m");
  b.output(conv(b, b.node("Add", {m, x}, "a"), "y", 4, 4));
  b.output(b.graph.find_value("c"));
  const auto q = quantize(b.graph);
  EXPECT_EQ(q.reason("m_node"), "its constant huge holds 1000000");
}

}  // namespace
}  // namespace octet

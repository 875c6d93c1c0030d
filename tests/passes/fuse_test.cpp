// Operators that exporters take apart, found again: each form is built as the exporter writes it,
// and what the simplified graph computes is compared with what the original does.

#include "passes/simplify_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::checked_simplify;
using testing::GraphBuilder;
using testing::Ints;
using testing::ops_of;
using Ops = std::vector<std::string>;

/// A builder with one input and names made up on the way.
struct Net {
  GraphBuilder b;
  int count = 0;
  ValueId x;

  explicit Net(Shape shape = {dynamic_dim, 4, 6}) { x = b.input("x", std::move(shape), {"N"}); }
  std::string name() { return fmt::format("v{}", count++); }
  ValueId op(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return b.node(op, std::move(inputs), name(), std::move(attributes));
  }
  ValueId c(float value) { return b.scalar(name(), value); }
  ValueId mean(ValueId value, Ints axes) { return op("ReduceMean", {value, b.ints(name(), axes)}); }
  ValueId clip(ValueId value, float low, float high) {
    return op("Clip", {value, c(low), c(high)});
  }
  Ops simplified(ValueId output) {
    b.output(output);
    return ops_of(checked_simplify(b));
  }
};

TEST(Fuse, GeluOfErf) {
  {
    Net n;
    const auto gate = n.op("Add", {n.op("Erf", {n.op("Div", {n.x, n.c(1.41421356F)})}), n.c(1)});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.op("Mul", {n.x, gate}), n.c(0.5F)})), Ops{"Gelu"});
  }
  {
    Net n;
    const auto gate = n.op("Add", {n.c(1), n.op("Erf", {n.op("Mul", {n.c(0.70710678F), n.x})})});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.op("Mul", {n.c(0.5F), n.x}), gate})), Ops{"Gelu"});
  }
  {
    Net n;
    const auto gate = n.op("Add", {n.op("Erf", {n.op("Div", {n.x, n.c(1.41421356F)})}), n.c(1)});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.x, n.op("Div", {gate, n.c(2)})})), Ops{"Gelu"});
  }
}

TEST(Fuse, GeluOfTanh) {
  {
    Net n;
    const auto cubic = n.op("Mul", {n.op("Pow", {n.x, n.c(3)}), n.c(0.044715F)});
    const auto u = n.op("Mul", {n.op("Add", {n.x, cubic}), n.c(0.7978845608F)});
    const auto gate = n.op("Add", {n.op("Tanh", {u}), n.c(1)});
    n.b.output(n.op("Mul", {n.op("Mul", {n.c(0.5F), n.x}), gate}));
    const auto graph = checked_simplify(n.b);
    EXPECT_EQ(ops_of(graph), Ops{"Gelu"});
    const auto order = graph.topological_order();
    EXPECT_EQ(graph.node(order->front()).string_attribute("approximate", "none"), "tanh");
  }
  {
    Net n;
    const auto square = n.op("Mul", {n.x, n.x});
    const auto cubic = n.op("Mul", {n.c(0.044715F), n.op("Mul", {square, n.x})});
    const auto u = n.op("Mul", {n.c(0.7978845608F), n.op("Add", {cubic, n.x})});
    const auto gate = n.op("Add", {n.c(1), n.op("Tanh", {u})});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.x, n.op("Mul", {gate, n.c(0.5F)})})), Ops{"Gelu"});
  }
  {
    Net n;
    const auto term = n.op("Mul", {n.op("Mul", {n.x, n.x}), n.c(0.044715F)});
    const auto u =
        n.op("Mul", {n.op("Mul", {n.x, n.c(0.7978845608F)}), n.op("Add", {term, n.c(1)})});
    const auto gate = n.op("Add", {n.op("Tanh", {u}), n.c(1)});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.op("Mul", {n.x, gate}), n.c(0.5F)})), Ops{"Gelu"});
  }
}

TEST(Fuse, HardSwishAndHardSigmoid) {
  {
    Net n;
    const auto limited = n.clip(n.op("Add", {n.x, n.c(3)}), 0, 6);
    EXPECT_EQ(n.simplified(n.op("Div", {n.op("Mul", {n.x, limited}), n.c(6)})), Ops{"HardSwish"});
  }
  {
    Net n;
    const auto limited = n.clip(n.op("Add", {n.c(3), n.x}), 0, 6);
    EXPECT_EQ(n.simplified(n.op("Mul", {n.op("Div", {limited, n.c(6)}), n.x})), Ops{"HardSwish"});
  }
  {
    Net n;
    // Relu6 as Min and Max.
    const auto limited = n.op("Min", {n.op("Max", {n.op("Add", {n.x, n.c(3)}), n.c(0)}), n.c(6)});
    EXPECT_EQ(n.simplified(n.op("Mul", {n.x, n.op("Mul", {limited, n.c(1.0F / 6.0F)})})),
              Ops{"HardSwish"});
  }
  {
    Net n;
    const auto gate = n.op("HardSigmoid", {n.x}, {{"alpha", 1.0F / 6.0F}, {"beta", 0.5F}});
    EXPECT_EQ(n.simplified(n.op("Mul", {gate, n.x})), Ops{"HardSwish"});
  }
  {
    Net n;
    const auto limited = n.clip(n.op("Add", {n.x, n.c(3)}), 0, 6);
    EXPECT_EQ(n.simplified(n.op("Div", {limited, n.c(6)})), Ops{"HardSigmoid"});
  }
  {
    Net n;
    const auto line = n.op("Add", {n.op("Mul", {n.x, n.c(0.2F)}), n.c(0.5F)});
    EXPECT_EQ(n.simplified(n.clip(line, 0, 1)), Ops{"HardSigmoid"});
  }
}

TEST(Fuse, SwishAndMish) {
  Net n;
  EXPECT_EQ(n.simplified(n.op("Mul", {n.x, n.op("Sigmoid", {n.x})})), Ops{"Swish"});
  Net m;
  EXPECT_EQ(m.simplified(m.op("Mul", {m.op("Tanh", {m.op("Softplus", {m.x})}), m.x})), Ops{"Mish"});
}

TEST(Fuse, SumBecomesAdditions) {
  Net three;
  EXPECT_EQ(three.simplified(three.op("Sum", {three.x, three.op("Abs", {three.x}), three.x})),
            (Ops{"Abs", "Add", "Add"}));
  Net one;
  EXPECT_EQ(one.simplified(one.op("Relu", {one.op("Sum", {one.x})})), Ops{"Relu"});
}

TEST(Fuse, OtherProductsStay) {
  {
    Net n;  // The gate is an output as well.
    const auto gate = n.op("Sigmoid", {n.x});
    n.b.output(gate);
    EXPECT_EQ(n.simplified(n.op("Mul", {n.x, gate})), (Ops{"Sigmoid", "Mul"}));
  }
  {
    Net n;  // Another value than the gate's.
    const auto y = n.op("Tanh", {n.x});
    EXPECT_EQ(n.simplified(n.op("Mul", {y, n.op("Sigmoid", {n.x})})),
              (Ops{"Tanh", "Sigmoid", "Mul"}));
  }
  {
    Net n;  // 0.6 is no 0.5.
    const auto gate = n.op("Add", {n.op("Erf", {n.op("Div", {n.x, n.c(1.41421356F)})}), n.c(1)});
    const auto ops = n.simplified(n.op("Mul", {n.op("Mul", {n.x, gate}), n.c(0.6F)}));
    EXPECT_EQ(std::count(ops.begin(), ops.end(), "Gelu"), 0);
  }
  {
    Net n;  // Clip to 5.
    const auto limited = n.clip(n.op("Add", {n.x, n.c(3)}), 0, 5);
    const auto ops = n.simplified(n.op("Div", {n.op("Mul", {n.x, limited}), n.c(6)}));
    EXPECT_EQ(std::count(ops.begin(), ops.end(), "HardSwish"), 0);
  }
  {
    Net n;  // An old opset, kept because of an operator that octet does not know.
    n.b.graph.opsets[""] = 13;
    const auto gate = n.op("Add", {n.op("Erf", {n.op("Div", {n.x, n.c(1.41421356F)})}), n.c(1)});
    const auto ops = n.simplified(n.op("Mul", {n.op("Mul", {n.x, gate}), n.c(0.5F)}));
    EXPECT_EQ(std::count(ops.begin(), ops.end(), "Gelu"), 0);
  }
}

enum class Root : std::uint8_t { divide, reciprocal, power };

ValueId layer_norm(Net& n, const Ints& axes, bool square_by_mul, bool two_subs, Root root) {
  const auto mean = n.mean(n.x, axes);
  const auto d = n.op("Sub", {n.x, mean});
  const auto e = two_subs ? n.op("Sub", {mean, n.x}) : d;
  const auto square = square_by_mul ? n.op("Mul", {e, e}) : n.op("Pow", {e, n.c(2)});
  const auto variance = n.op("Add", {n.mean(square, axes), n.c(1e-3F)});
  if (root == Root::divide) return n.op("Div", {d, n.op("Sqrt", {variance})});
  if (root == Root::reciprocal) {
    return n.op("Mul", {d, n.op("Reciprocal", {n.op("Sqrt", {variance})})});
  }
  return n.op("Mul", {n.op("Pow", {variance, n.c(-0.5F)}), d});
}

TEST(Fuse, LayerNormalization) {
  for (const auto& axes : {Ints{-1}, Ints{2}, Ints{1, 2}, Ints{-2, -1}}) {
    for (const auto root : {Root::divide, Root::reciprocal, Root::power}) {
      for (const bool by_mul : {false, true}) {
        Net n;
        n.b.output(layer_norm(n, axes, by_mul, by_mul, root));
        const auto graph = checked_simplify(n.b, 3, 1e-5);
        ASSERT_EQ(ops_of(graph), Ops{"LayerNormalization"});
        const auto& node = graph.node(graph.topological_order()->front());
        EXPECT_EQ(node.int_attribute("axis", 9), -static_cast<std::int64_t>(axes.size()));
        EXPECT_EQ(node.float_attribute("epsilon", 0), 1e-3F);
      }
    }
  }
}

TEST(Fuse, LayerNormalizationTakesGammaAndBeta) {
  {
    Net n;
    auto y = layer_norm(n, {-1}, false, false, Root::divide);
    y = n.op("Mul", {y, n.b.weights("gamma", {6})});
    y = n.op("Add", {n.b.weights("beta", {1, 1, 6}, 3), y});
    EXPECT_EQ(n.simplified(y), Ops{"LayerNormalization"});
  }
  {
    Net n;  // Along another axis: no gamma of it.
    auto y = layer_norm(n, {-1}, false, false, Root::divide);
    y = n.op("Mul", {y, n.b.weights("gamma", {4, 1})});
    EXPECT_EQ(n.simplified(y), (Ops{"LayerNormalization", "Mul"}));
  }
  {
    Net n;  // Not the last axis.
    const auto ops = n.simplified(layer_norm(n, {1}, false, false, Root::divide));
    EXPECT_EQ(std::count(ops.begin(), ops.end(), "LayerNormalization"), 0);
  }
}

TEST(Fuse, LayerNormalizationOfKeras) {
  Net n;
  const auto mean = n.mean(n.x, {2});
  const auto d = n.op("Sub", {n.x, mean});
  const auto variance = n.op("Add", {n.mean(n.op("Mul", {d, d}), {2}), n.c(1e-3F)});
  const auto scale =
      n.op("Mul", {n.op("Reciprocal", {n.op("Sqrt", {variance})}), n.b.weights("gamma", {6})});
  const auto shift = n.op("Sub", {n.b.weights("beta", {6}, 3), n.op("Mul", {mean, scale})});
  EXPECT_EQ(n.simplified(n.op("Add", {n.op("Mul", {n.x, scale}), shift})),
            Ops{"LayerNormalization"});
}

TEST(Fuse, SoftmaxAndPowers) {
  {
    Net n;
    const auto axes = n.b.ints("axes", {1});
    const auto e = n.op("Exp", {n.op("Sub", {n.x, n.op("ReduceMax", {n.x, axes})})});
    EXPECT_EQ(n.simplified(n.op("Div", {e, n.op("ReduceSum", {e, axes})})), Ops{"Softmax"});
  }
  {
    Net n;
    EXPECT_EQ(n.simplified(n.op("Sqrt", {n.op("Pow", {n.x, n.c(2)})})), (Ops{"Mul", "Sqrt"}));
  }
  {
    Net n;
    const auto square = n.op("Mul", {n.x, n.x});
    EXPECT_EQ(n.simplified(n.op("Pow", {square, n.c(0.5F)})), (Ops{"Mul", "Sqrt"}));
  }
}

TEST(Fuse, MeanOfAnImageIsGlobalAveragePool) {
  for (const std::int64_t keep : {0, 1}) {
    Net n({dynamic_dim, 3, 4, 5});
    n.b.output(n.op("ReduceMean", {n.x, n.b.ints("axes", {-1, 2})}, {{"keepdims", keep}}));
    const auto ops = ops_of(checked_simplify(n.b));
    EXPECT_EQ(ops, keep != 0 ? Ops{"GlobalAveragePool"} : (Ops{"GlobalAveragePool", "Flatten"}));
  }
}

ValueId to_last(Net& n, ValueId v) { return n.op("Transpose", {v}, {{"perm", Ints{0, 2, 3, 1}}}); }
ValueId to_first(Net& n, ValueId v) { return n.op("Transpose", {v}, {{"perm", Ints{0, 3, 1, 2}}}); }
ValueId conv(Net& n, ValueId v, std::int64_t in, std::int64_t out) {
  const auto w = n.b.weights(n.name(), {out, in, 3, 3}, n.count);
  return to_last(n, n.op("Conv", {to_first(n, v), w}, {{"pads", Ints{1, 1, 1, 1}}}));
}

TEST(PushTransposes, ChannelsLastNetworkKeepsOnlyTheFirst) {
  Net n({dynamic_dim, 6, 5, 3});
  auto y = conv(n, n.x, 3, 4);
  y = n.op("Relu", {n.op("Add", {y, n.b.weights("bias", {4}, 5)})});
  const auto left = y;
  auto z = conv(n, y, 4, 4);
  z = n.op("Mul", {z, n.b.weights("plane", {6, 5, 1}, 7)});
  y = n.op("Add", {left, z});
  y = n.op("Concat", {y, left}, {{"axis", std::int64_t{3}}});
  y = n.op("Pad", {y, n.b.ints("pads", {0, 1, 0, 0, 0, 2, 1, 0})});
  // A gate on means, as squeeze-and-excitation has it.
  const auto mean = n.op("ReduceMean", {y, n.b.ints("axes", {1, 2})});
  y = n.op("Mul", {y, n.op("Sigmoid", {mean})});
  y = conv(n, y, 8, 5);
  y = n.op("ReduceMean", {y, n.b.ints("axes2", {1, 2})}, {{"keepdims", std::int64_t{0}}});
  n.b.output(y);
  const auto ops = ops_of(checked_simplify(n.b, 2, 1e-5));
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "Transpose"), 1) << dump({n.b.graph, {}});
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "GlobalAveragePool"), 2);
}

TEST(PushTransposes, SplitSoftmaxAndWhatStopsThem) {
  Net n({dynamic_dim, 4, 5, 6});
  const auto t = to_last(n, n.x);
  const auto s = n.op("Softmax", {t}, {{"axis", std::int64_t{-1}}});
  n.b.output(to_first(n, s));
  // Flattening in channels-last order needs the Transpose.
  n.b.output(n.op("Flatten", {n.op("Relu", {t})}));
  const auto ops = ops_of(checked_simplify(n.b, 2));
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "Transpose"), 1);
}

TEST(PushTransposes, MovingOnesIsAReshape) {
  Net n({dynamic_dim, 7, 1, 1});
  EXPECT_EQ(n.simplified(to_last(n, n.x)), Ops{"Reshape"});
}

}  // namespace
}  // namespace octet

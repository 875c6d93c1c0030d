#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::quantize;
using testing::Quantized;
using testing::Ranges;
using Ops = std::vector<std::string>;

const Attributes concat_channels = {{"axis", std::int64_t{1}}};

GraphBuilder conv_with(const std::string& activation, std::vector<float> bounds = {}) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto c = b.node("Conv", {x, b.weights("w", {3, 2, 1, 1}), b.weights("b", {3})}, "c");
  std::vector<ValueId> inputs = {c};
  for (const float bound : bounds) inputs.push_back(b.scalar("bound", bound));
  b.output(b.node(activation, inputs, "y"));
  return b;
}

TEST(AbsorbActivations, ReluDisappearsIntoSaturation) {
  const auto q = quantize(conv_with("Relu").graph, {{"y", {0.0F, 3.0F}}});
  EXPECT_EQ(q.ops(), (Ops{"Conv"}));
  EXPECT_EQ(testing::maker_of(q.model.graph, "y").op, "Conv");
  EXPECT_EQ(q.find("y")->params.zero_point[0], -128);
  EXPECT_EQ(q.find("c"), nullptr);
}

TEST(AbsorbActivations, ClipDisappearsOnlyWhereItsBoundsSaturate) {
  for (const float high : {6.0F, 4.0F}) {
    const auto q = quantize(conv_with("Clip", {0.0F, 6.0F}).graph, {{"y", {0.0F, high}}});
    EXPECT_EQ(q.ops(), (Ops{"Conv"})) << high;
  }
  // Range [-1, 7]: neither bound is the end of the codes.
  const auto q = quantize(conv_with("Clip", {0.0F, 6.0F}).graph, {{"y", {-1.0F, 7.0F}}});
  EXPECT_EQ(q.ops(), (Ops{"Conv", "Clip"}));
  ASSERT_NE(q.find("c"), nullptr);
  EXPECT_EQ(q.find("c")->params, q.find("y")->params);
  EXPECT_EQ(q.find("c")->origin, Origin::shared);
}

TEST(AbsorbActivations, CanBeSkipped) {
  QuantizeOptions options;
  options.skip = {"absorb_activations"};
  const auto q = quantize(conv_with("Relu").graph, {{"y", {0.0F, 3.0F}}}, options);
  EXPECT_EQ(q.ops(), (Ops{"Conv", "Relu"}));
  EXPECT_EQ(q.find("c")->params, q.find("y")->params);
}

TEST(AbsorbActivations, KeepsAReluWhoseInputIsReadElsewhere) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto c = b.node("Conv", {x, b.weights("w", {2, 2, 1, 1})}, "c");
  const auto y = b.node("Add", {c, b.node("Relu", {c}, "r")}, "y");
  b.output(b.node("Conv", {y, b.weights("v", {2, 2, 1, 1})}, "z"));
  const auto q = quantize(b.graph, {{"c", {-2.0F, 2.0F}}, {"r", {0.0F, 2.0F}}});
  EXPECT_EQ(q.ops(), (Ops{"Conv", "Relu", "Add", "Conv"}));
  EXPECT_FALSE(q.find("c")->params == q.find("r")->params);
}

TEST(ShareParams, ConcatJoinsTheRangesOfItsInputs) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto a = b.node("Conv", {x, b.weights("wa", {2, 2, 1, 1})}, "a");
  const auto d = b.node("Relu", {b.node("Conv", {x, b.weights("wd", {2, 2, 1, 1}, 5)}, "d0")}, "d");
  const auto k = b.constant("k", Tensor::from<float>(std::vector<float>(16, 9.0F), {1, 1, 4, 4}));
  const auto j = b.node("Concat", {a, d, k}, "j", concat_channels);
  const auto t = b.node("Transpose", {j}, "t", {{"perm", Ints{0, 1, 3, 2}}});
  const auto p = b.node("MaxPool", {t}, "p", {{"kernel_shape", Ints{2, 2}}});
  b.output(b.node("Conv", {p, b.weights("wp", {2, 5, 1, 1})}, "y"));
  const auto q = quantize(b.graph, {{"a", {-3.0F, 1.0F}}, {"d", {0.0F, 5.0F}}});
  const auto expected = params_from_range(-3.0, 9.0, q.find("a")->scheme);
  for (const auto* value : {"a", "d", "j", "t", "p", "k"}) {
    ASSERT_NE(q.find(value), nullptr) << value;
    EXPECT_EQ(q.find(value)->params, expected) << value;
    EXPECT_EQ(q.find(value)->origin, Origin::shared) << value;
  }
  // Zero is no longer the smallest code of d: its Relu must stay.
  EXPECT_EQ(testing::maker_of(q.model.graph, "d").op, "Relu");
  EXPECT_EQ(q.model.plan.payloads.at(q.id("k")).data<std::int8_t>()[0], 127);
}

TEST(QuantizeWeights, PerChannelMaxAbsInTheNarrowRange) {
  for (const int bits : {8, 7, 4}) {
    QuantizeOptions options;
    options.weight_bits = bits == 7 ? 8 : bits;
    options.reduce_range = bits == 7;
    const auto b = conv_with("Relu");
    const auto q = quantize(b.graph, {}, options);
    const auto& params = q.find("w")->params;
    ASSERT_EQ(params.count(), 3U);
    const int qmax = (1 << (bits - 1)) - 1;
    const auto w = b.graph.constant(b.graph.find_value("w"))->values<float>();
    const auto codes = q.model.plan.payloads.at(q.id("w")).values<std::int8_t>();
    for (std::size_t c = 0; c < 3; ++c) {
      const float largest = std::max(std::abs(w[2 * c]), std::abs(w[2 * c + 1]));
      EXPECT_FLOAT_EQ(params.scale[c], largest / static_cast<float>(qmax));
      EXPECT_EQ(std::max(std::abs(int{codes[2 * c]}), std::abs(int{codes[2 * c + 1]})), qmax);
    }
    // The float weight stays what it was.
    EXPECT_TRUE(
        identical(*q.model.graph.constant(q.id("w")), *b.graph.constant(b.graph.find_value("w"))));
  }
}

TEST(QuantizeWeights, PerTensorOnDemand) {
  QuantizeOptions options;
  options.weight_granularity = Granularity::per_tensor;
  const auto q = quantize(conv_with("Relu").graph, {}, options);
  EXPECT_EQ(q.find("w")->params.count(), 1U);
  EXPECT_EQ(q.find("w")->params.axis, -1);
  EXPECT_EQ(q.find("b")->params.count(), 1U);
}

TEST(DeriveBias, IsTheBiasInAccumulatorUnits) {
  const auto b = conv_with("Relu");
  const auto q = quantize(b.graph, {{"x", {-2.0F, 3.1F}}});
  const float input_scale = q.find("x")->params.scale[0];
  const auto& bias = *q.find("b");
  EXPECT_EQ(bias.origin, Origin::derived);
  EXPECT_EQ(bias.params.axis, 0);
  const auto values = b.graph.constant(b.graph.find_value("b"))->values<float>();
  const auto codes = q.model.plan.payloads.at(q.id("b")).values<std::int32_t>();
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(bias.params.scale[c], input_scale * q.find("w")->params.scale[c]);
    const double exact = static_cast<double>(values[c]) / static_cast<double>(bias.params.scale[c]);
    EXPECT_LE(std::abs(codes[c] - exact), 0.5);
  }
}

TEST(DeriveBias, RaisesTheScaleWhereInt32WouldOverflow) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 1, 2, 2});
  const auto w = b.constant("w", Tensor::from<float>({1.0F, 1e-12F, 0.0F}, {3, 1, 1, 1}));
  const auto k = b.constant("b", Tensor::from<float>({0.5F, 1000.0F, -7.0F}, {3}));
  b.output(b.node("Conv", {x, w, k}, "y"));
  const auto q = quantize(b.graph);
  EXPECT_TRUE(q.noted("y_node: weight scale raised for 1 output channel, whose bias"));
  EXPECT_TRUE(q.noted("y_node: 1 of 3 output channels have only zero weights"));
  const auto codes = q.model.plan.payloads.at(q.id("b")).values<std::int32_t>();
  const auto& params = q.find("b")->params;
  const float expected[] = {0.5F, 1000.0F, -7.0F};
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_LE(std::abs(std::int64_t{codes[c]}), std::int64_t{1} << 30);
    EXPECT_NEAR(static_cast<double>(params.scale[c]) * codes[c], expected[c], 0.005);
  }
  EXPECT_EQ(q.model.plan.payloads.at(q.id("w")).data<std::int8_t>()[1], 0);
  EXPECT_EQ(q.find("w")->params.scale[0], q.find("w")->params.scale[2]);
}

TEST(DeriveBias, ASharedBiasIsCopiedForEachUse) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto w = b.weights("w", {2, 2, 1, 1});
  const auto k = b.weights("b", {2});
  const auto c = b.node("Conv", {x, w, k}, "c");
  b.output(b.node("Conv", {c, w, k}, "y"));
  const auto q = quantize(b.graph, {{"x", {-1.0F, 1.0F}}, {"c", {-9.0F, 9.0F}}});
  const auto& graph = q.model.graph;
  const Node& first = testing::maker_of(graph, "c");
  const Node& second = testing::maker_of(graph, "y");
  EXPECT_EQ(first.input(1), second.input(1)) << "equal weights need no copy";
  ASSERT_NE(first.input(2), second.input(2));
  const auto& plan = q.model.plan;
  for (const auto* node : {&first, &second}) {
    EXPECT_EQ(
        plan.find(node->input(2))->params.scale[0],
        plan.find(node->input(0))->params.scale[0] * plan.find(node->input(1))->params.scale[0]);
  }
}

TEST(DeriveBias, RaisingASharedWeightLeavesTheOtherUseAlone) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 1, 2, 2});
  const auto w = b.constant("w", Tensor::from<float>({1e-9F}, {1, 1, 1, 1}));
  const auto k = b.constant("b", Tensor::from<float>({1000.0F}, {1}));
  const auto c = b.node("Conv", {x, w}, "c");
  b.output(b.node("Conv", {c, w, k}, "y"));
  const auto q = quantize(b.graph);
  const auto& graph = q.model.graph;
  const auto one = testing::maker_of(graph, "c").input(1);
  const auto other = testing::maker_of(graph, "y").input(1);
  ASSERT_NE(one, other);
  EXPECT_LT(q.model.plan.find(one)->params.scale[0], q.model.plan.find(other)->params.scale[0]);
}

TEST(QuantizeStatic, IntegerEngineFollowsTheFloatModel) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3, 8, 8});
  const auto c = b.node("Conv", {x, b.weights("w1", {8, 3, 3, 3}), b.weights("b1", {8})}, "c",
                        {{"pads", Ints{1, 1, 1, 1}}});
  const auto r = b.node("Relu", {c}, "r");
  const auto d =
      b.node("Conv", {r, b.weights("w2", {8, 8, 1, 1}, 7), b.weights("b2", {8}, 3)}, "d");
  const auto s = b.node("Relu", {b.node("Add", {d, r}, "s0")}, "s");
  const auto j = b.node("Concat", {s, r}, "j", concat_channels);
  const auto g = b.node("GlobalAveragePool", {j}, "g");
  const auto f = b.node("Flatten", {g}, "f");
  b.output(b.node("Gemm", {f, b.weights("w3", {16, 4}, 9), b.weights("b3", {4}, 8)}, "y"));

  const auto input = GraphBuilder::pseudo_random({1, 3, 8, 8}, 21);
  Statistics statistics;
  statistics.observer = ObserverKind::minmax;
  const auto source = [&](const Graph& graph,
                          const std::vector<ValueId>& values) -> Result<Statistics> {
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    OCTET_ASSIGN(const auto session, program->session());
    const TapRequest taps{
        values, [&](const TapView& view) {
          statistics.values[graph.value(view.value).name].histogram.observe_range(view.values);
        }};
    OCTET_TRY(session->run(std::span(&input, 1), &taps));
    return statistics;
  };
  QuantizeReport report;
  const auto model = quantize_static(b.graph, {}, source, report);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(report.float_nodes.empty());

  const auto run = [&](const Result<std::unique_ptr<Program>>& program) {
    auto session = (*program)->session();
    auto outputs = (*session)->run(std::span(&input, 1));
    EXPECT_TRUE(outputs);
    return (*outputs)[0];
  };
  const auto expected = run(compile_float(b.graph));
  const auto integer = compile_integer(*model);
  ASSERT_TRUE(integer) << integer.error().message;
  const auto actual = run(integer);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(actual.values<float>()[i], expected.values<float>()[i], 0.06);
  }
}

}  // namespace
}  // namespace octet

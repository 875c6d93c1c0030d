// What targets tflite and tflite-micro quantize, and by which params: the LiteRT 8-bit quantization
// specification.

#include <array>
#include <set>

#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::error_of;
using testing::GraphBuilder;
using testing::Ints;
using testing::maker_of;
using testing::quantize;
using testing::Quantized;

QuantizeOptions tflite(int activation_bits = 8) {
  QuantizeOptions options;
  options.target = "tflite";
  options.activation_bits = activation_bits;
  return options;
}

QuantizeOptions micro() {
  QuantizeOptions options;
  options.target = "tflite-micro";
  return options;
}

ValueId relu6(GraphBuilder& b, ValueId x, const std::string& name) {
  return b.node("Clip", {x, b.scalar(name + "_0", 0), b.scalar(name + "_6", 6)}, name);
}

ValueId conv(GraphBuilder& b, ValueId x, const std::string& name, const Shape& weight,
             Attributes attributes = {}) {
  const auto w = b.weights(name + "_w", weight);
  return b.node("Conv", {x, w, b.weights(name + "_b", {weight[0]}, 2)}, name,
                std::move(attributes));
}

/// x -> c -> Clip r -> depthwise d -> MaxPool p -> GlobalAveragePool g -> Flatten f -> Gemm m ->
/// Softmax y
GraphBuilder classifier() {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3, 8, 8});
  const auto r = relu6(b, conv(b, x, "c", {4, 3, 3, 3}), "r");
  const auto d = conv(b, r, "d", {4, 1, 3, 3}, {{"group", std::int64_t{4}}});
  const auto p = b.node("MaxPool", {d}, "p", {{"kernel_shape", Ints{2, 2}}});
  const auto g = b.node("GlobalAveragePool", {p}, "g");
  const auto f = b.node("Flatten", {g}, "f");
  const auto m = b.node("Gemm", {f, b.weights("m_w", {4, 5}, 3), b.weights("m_b", {5}, 4)}, "m");
  b.output(b.node("Softmax", {m}, "y"));
  return b;
}

TEST(TfliteTarget, WholeClassifierIsInteger) {
  const auto q = quantize(classifier().graph, {}, tflite());
  EXPECT_EQ(q.model.plan.rule, Rule::xnnpack);
  EXPECT_TRUE(q.report.float_nodes.empty());
  EXPECT_EQ(q.report.integer_mac_share, 1.0);
  for (const auto* name : {"x", "r", "d", "p", "g", "f", "m", "y"}) {
    const auto* found = q.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->scheme, (QuantScheme{8, Symmetry::asymmetric})) << name;
    EXPECT_EQ(found->storage, DType::i8) << name;
  }
  EXPECT_TRUE(q.model.plan.coded_io.empty());
  EXPECT_TRUE(q.model.plan.overrides.empty());
  for (const auto* name : {"c_w", "d_w", "m_w"}) {
    const auto* found = q.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->params.axis, 0) << name;
    EXPECT_EQ(found->scheme.symmetry, Symmetry::symmetric);
    EXPECT_EQ(found->scheme.range, CodeRange::narrow);
  }
  for (const auto* name : {"c_b", "d_b", "m_b"}) EXPECT_EQ(q.find(name)->storage, DType::i32);
}

/// LiteRT states the activation as a field of the convolution.
TEST(TfliteTarget, NothingIsQuantizedBetweenConvAndItsActivation) {
  const auto q = quantize(classifier().graph, {}, tflite());
  EXPECT_EQ(q.find("c"), nullptr);
  EXPECT_TRUE(maker_of(q.model.graph, "r").is("Clip"));
}

TEST(TfliteTarget, PoolingAndMovesKeepParams) {
  const auto q = quantize(classifier().graph, {{"d", {-2, 3}}, {"g", {-1, 1}}}, tflite());
  EXPECT_EQ(q.find("p")->params, q.find("d")->params);
  EXPECT_EQ(q.find("f")->params, q.find("g")->params);
  EXPECT_NE(q.find("g")->params, q.find("p")->params);
}

TEST(TfliteTarget, MicroHasOneScaleForFullyConnected) {
  const auto q = quantize(classifier().graph, {}, micro());
  EXPECT_EQ(q.model.plan.rule, Rule::tflite);
  EXPECT_EQ(q.find("m_w")->params.axis, -1);
  EXPECT_EQ(q.find("c_w")->params.axis, 0);
  auto options = micro();
  options.weight_granularity = Granularity::per_channel;
  EXPECT_EQ(quantize(classifier().graph, {}, options).find("m_w")->params.axis, 0);
}

struct FixedCase {
  std::string op;
  float scale;
  std::int32_t zero_point;
};

Quantized quantize_function(const std::string& op, const QuantizeOptions& options) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  const auto f = b.node(op, {x}, "f");
  b.output(b.node("Reshape", {f, b.ints("s", {20})}, "y"));
  return quantize(b.graph, {{"f", {-7, 7}}}, options);
}

TEST(TfliteTarget, OutputsInKnownRangesHaveFixedParams) {
  const std::array<FixedCase, 4> cases = {{{"Softmax", 1.0F / 256, -128},
                                           {"Sigmoid", 1.0F / 256, -128},
                                           {"Tanh", 1.0F / 128, 0},
                                           {"LogSoftmax", 16.0F / 256, 127}}};
  for (const auto& c : cases) {
    const auto q = quantize_function(c.op, tflite());
    const QuantParams expected{{c.scale}, {c.zero_point}, -1};
    ASSERT_NE(q.find("f"), nullptr) << c.op;
    EXPECT_EQ(q.find("f")->params, expected) << c.op;
    EXPECT_EQ(q.find("f")->origin, Origin::fixed) << c.op;
    EXPECT_EQ(q.find("y")->params, expected) << c.op;
    EXPECT_NE(q.find("x")->params, expected) << c.op;
  }
}

TEST(TfliteTarget, OnesInWideCodes) {
  for (const auto* op : {"Softmax", "Sigmoid", "Tanh"}) {
    const auto q = quantize_function(op, tflite(16));
    EXPECT_EQ(q.find("f")->params, (QuantParams{{1.0F / 32768}, {0}, -1})) << op;
    EXPECT_EQ(q.find("f")->storage, DType::i16) << op;
  }
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  b.output(b.node("LogSoftmax", {b.node("Softmax", {x}, "f")}, "y"));
  const auto q = quantize(b.graph, {}, tflite(16));
  EXPECT_EQ(q.reason("y_node"), "operator LogSoftmax stays float in target tflite");
}

TEST(TfliteTarget, WideActivationsAreSymmetricWithWideBiases) {
  const auto q =
      quantize(classifier().graph, {{"x", {-0.5F, 4}}, {"g", {0, 32767.0F / 1024}}}, tflite(16));
  EXPECT_TRUE(q.report.float_nodes.empty());
  const auto* x = q.find("x");
  EXPECT_EQ(x->scheme, (QuantScheme{16, Symmetry::symmetric}));
  EXPECT_EQ(x->params.scale[0], 4.0F / 32767);
  EXPECT_EQ(x->params.zero_point[0], 0);
  EXPECT_EQ(q.find("f")->params.scale[0], 1.0F / 1024);
  EXPECT_EQ(q.find("c_w")->scheme.bits, 8);
  const auto* bias = q.find("m_b");
  EXPECT_EQ(bias->storage, DType::i64);
  const auto& codes = q.model.plan.payloads.at(q.id("m_b"));
  ASSERT_EQ(codes.dtype(), DType::i64);
  const auto* real = q.model.graph.constant(q.id("m_b"));
  for (int i = 0; i < 5; ++i) {
    const double scale = static_cast<double>(q.find("f")->params.scale[0] *
                                             q.find("m_w")->params.scale[static_cast<size_t>(i)]);
    EXPECT_EQ(static_cast<double>(codes.data<std::int64_t>()[i]),
              std::nearbyint(static_cast<double>(real->data<float>()[i]) / scale));
  }
}

/// 64-bit accumulators: what would not fit 32 bits needs no larger scale.
TEST(TfliteTarget, WideBiasesBeyondInt32) {
  const auto build = [] {
    GraphBuilder b;
    const auto x = b.input("x", {1, 4, 8, 8});
    const auto bias = b.constant("b", Tensor::from<float>({1e6F, 0, 0, -1e6F}, {4}));
    b.output(b.node("Conv", {x, b.weights("w", {4, 4, 1, 1}), bias}, "y"));
    return b.graph;
  };
  EXPECT_TRUE(quantize(build(), {}, tflite()).noted("bias would overflow"));
  const auto q = quantize(build(), {}, tflite(16));
  EXPECT_FALSE(q.noted("bias would overflow"));
  const auto* codes = q.model.plan.payloads.at(q.id("b")).data<std::int64_t>();
  EXPECT_GT(codes[0], std::int64_t{1} << 33);
  EXPECT_LT(codes[3], -(std::int64_t{1} << 33));
}

TEST(TfliteTarget, OtherTargetsAndWidthsAreRefused) {
  QuantizeOptions options;
  options.activation_bits = 16;
  EXPECT_EQ(
      error_of(classifier().graph, options),
      "target onnxruntime has no activations of 16 bits; tflite and tflite-micro have 8 and 16");
  EXPECT_EQ(error_of(classifier().graph, tflite(7)),
            "target tflite has no activations of 7 bits; tflite and tflite-micro have 8 and 16");
  EXPECT_NE(error_of(classifier().graph, tflite(12)), "");
}

TEST(TfliteTarget, InterpolationReductionsAndComparisonsAreInteger) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto up = b.node("Resize", {x, ValueId::none, ValueId::none, b.ints("to", {1, 4, 16, 16})},
                         "up", {{"mode", std::string("linear")}});
  const auto down =
      b.node("AveragePool", {up}, "down", {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  const auto larger = b.node("Max", {down, x}, "larger");
  const auto mean = b.node("ReduceMean", {b.node("Sub", {larger, x}, "sub"), b.ints("a", {2, 3})},
                           "mean", {{"keepdims", std::int64_t{0}}});
  b.output(mean);
  const auto q = quantize(b.graph, {{"x", {-3, 1}}, {"sub", {0, 2}}}, tflite());
  EXPECT_TRUE(q.report.float_nodes.empty());
  for (const auto* name : {"up", "down", "larger"}) {
    EXPECT_EQ(q.find(name)->params, q.find("x")->params) << name;
  }
  EXPECT_NE(q.find("sub")->params, q.find("x")->params);
  EXPECT_NE(q.find("mean"), nullptr);
}

/// Between operators that LiteRT has only in float nothing is quantized for moving it.
TEST(TfliteTarget, MovesBetweenFloatsStayFloat) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  const auto e = b.node("Erf", {x}, "e");
  const auto s = b.node("Reshape", {e, b.ints("s_to", {20})}, "s");
  const auto f = b.node("Sin", {s}, "f");
  b.output(b.node("Add", {f, b.weights("row", {20})}, "y"));
  const auto q = quantize(b.graph, {}, tflite());
  EXPECT_EQ(q.reason("e_node"), "operator Erf stays float in target tflite");
  EXPECT_NE(q.reason("s_node"), "");
  for (const auto* name : {"x", "e", "s"}) EXPECT_EQ(q.find(name), nullptr) << name;
  EXPECT_NE(q.find("f"), nullptr);
  EXPECT_NE(q.find("y"), nullptr);
}

TEST(TfliteTarget, JoinedSigmoidsKeepTheirParams) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  const auto s = b.node("Sigmoid", {x}, "s");
  const auto t = b.node("Softmax", {x}, "t");
  b.output(b.node("Concat", {s, t}, "y", {{"axis", std::int64_t{1}}}));
  const auto q = quantize(b.graph, {}, tflite());
  EXPECT_EQ(q.ops(), (std::vector<std::string>{"Sigmoid", "Softmax", "Concat"}));
  EXPECT_EQ(q.find("y")->params, (QuantParams{{1.0F / 256}, {-128}, -1}));
}

TEST(TfliteTarget, SigmoidJoinedWithOthersIsRequantized) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  const auto s = b.node("Sigmoid", {x}, "s");
  const auto t = b.node("Concat", {x, s}, "t", {{"axis", std::int64_t{1}}});
  b.output(t);
  const auto q = quantize(b.graph, {{"x", {-4, 4}}, {"s_requantized", {0, 1}}}, tflite());
  EXPECT_EQ(q.ops(), (std::vector<std::string>{"Sigmoid", "Identity", "Concat"}));
  EXPECT_EQ(q.find("s")->params, (QuantParams{{1.0F / 256}, {-128}, -1}));
  EXPECT_EQ(q.find("s_requantized")->params, q.find("x")->params);
  EXPECT_EQ(q.find("t")->params, q.find("x")->params);
}

/// The means of what a convolution reads lie along its channels, not along those of the input.
TEST(TfliteTarget, ImagesAreObservedInTheOrderOfTheConvolution) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8, 8, 3});
  const auto t = b.node("Transpose", {x}, "t", {{"perm", Ints{0, 3, 1, 2}}});
  b.output(conv(b, t, "y", {4, 3, 3, 3}));
  ASSERT_TRUE(simplify(b.graph));
  const auto values = values_to_observe(b.graph, tflite());
  ASSERT_TRUE(values);
  std::set<std::string> names;
  for (const auto id : *values) names.insert(b.graph.value(id).name);
  EXPECT_EQ(names, (std::set<std::string>{"x", "t", "y"}));
  const auto q = quantize(b.graph, {{"x", {-4, 4}}, {"t", {-1, 1}}}, tflite());
  EXPECT_EQ(q.find("t")->params, q.find("x")->params);
  EXPECT_EQ(q.find("x")->params.scale[0], 8.0F / 255);
}

TEST(TfliteTarget, SlopesAreQuantized) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 8, 8});
  const auto p =
      b.node("PRelu", {conv(b, x, "c", {4, 4, 1, 1}), b.weights("slope", {4, 1, 1})}, "p");
  b.output(p);
  const auto q = quantize(b.graph, {}, tflite());
  ASSERT_NE(q.find("slope"), nullptr);
  EXPECT_EQ(q.model.plan.payloads.at(q.id("slope")).dtype(), DType::i8);
  EXPECT_EQ(quantize(b.graph).find("slope"), nullptr);
}

TEST(TfliteTarget, CodedInputsAndOutputs) {
  auto options = tflite();
  options.io = DType::u8;
  const auto q = quantize(classifier().graph, {}, options);
  const std::map<ValueId, DType> expected = {{q.id("x"), DType::u8}, {q.id("y"), DType::u8}};
  EXPECT_EQ(q.model.plan.coded_io, expected);
}

/// An input that a float operator reads too has codes all the same when the file states them.
TEST(TfliteTarget, CodedInputWithFloatReader) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 10});
  b.output(b.node("Sigmoid", {x}, "y"));
  b.output(b.node("Erf", {x}, "z"));
  EXPECT_EQ(quantize(b.graph, {}, tflite()).find("x"), nullptr);
  auto options = tflite();
  options.io = DType::i8;
  const auto q = quantize(b.graph, {}, options);
  EXPECT_NE(q.find("x"), nullptr);
  EXPECT_TRUE(q.noted("output z stays float"));
  EXPECT_EQ(q.model.plan.coded_io.size(), 2U);
}

}  // namespace
}  // namespace octet

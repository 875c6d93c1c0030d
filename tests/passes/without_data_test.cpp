// Dynamic, weight-only and float16 quantization, and what makes floats of a quantized model again.

#include <cmath>

#include "engine/float/float_program.h"
#include "passes/dequantize.h"
#include "passes/quantize_fixture.h"
#include "passes/simplify_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;
using testing::Quantized;
using testing::run;

Quantized quantize_by(const Graph& graph, const QuantizeOptions& options) {
  Quantized out;
  auto model = quantize_without_data(graph, options, out.report);
  EXPECT_TRUE(model) << model.error().message;
  if (model) out.model = std::move(*model);
  return out;
}

QuantizeOptions method(Method method) {
  QuantizeOptions options;
  options.method = method;
  return options;
}

/// Embedding, Conv, LSTM and products in one: ids -> Gather -> MatMul -> Add -> LSTM -> Gemm.
GraphBuilder mixed() {
  GraphBuilder b;
  const auto ids = b.input("ids", {7, dynamic_dim}, {"", "N"}, DType::i64);
  const auto e = b.node("Gather", {b.weights("table", {50, 16}), ids}, "e");
  const auto m = b.node("MatMul", {e, b.weights("w", {16, 24}, 2)}, "m");
  const auto a = b.node("Add", {m, b.weights("wb", {24}, 3)}, "a");
  const auto l =
      b.node("LSTM", {a, b.weights("lw", {1, 40, 24}, 4), b.weights("lr", {1, 40, 10}, 5)}, "l",
             {{"hidden_size", std::int64_t{10}}});
  const auto s = b.node("Reshape", {l, b.ints("s_shape", {-1, 10})}, "s");
  b.output(b.node("Gemm", {s, b.weights("v", {30, 10}, 6), b.weights("vb", {30}, 7)}, "y",
                  {{"transB", std::int64_t{1}}}));
  return b;
}

TEST(WithoutData, DynamicQuantizesProductsAndStoresTheRest) {
  const auto q = quantize_by(mixed().graph, method(Method::dynamic));
  const auto& plan = q.model.plan;
  ASSERT_EQ(plan.overrides.size(), 2U);
  for (const auto& [use, quantization] : plan.overrides) {
    EXPECT_EQ(use.input, 0);
    EXPECT_TRUE(is_dynamic(quantization));
  }
  EXPECT_EQ(q.find("w")->params.axis, 1);
  EXPECT_EQ(q.find("w")->params.count(), 24U);
  // Gemm has its weights [in, out] now.
  EXPECT_EQ(q.model.graph.value(q.id("v")).shape, (Shape{10, 30}));
  EXPECT_EQ(q.find("v")->params.axis, 1);
  EXPECT_EQ(q.find("lw")->params.axis, 1);
  EXPECT_EQ(q.find("lw")->params.count(), 40U);
  EXPECT_EQ(q.find("table")->params, q.find("e")->params);
  for (const auto* value : {"wb", "vb", "m", "a", "l", "y"}) EXPECT_EQ(q.find(value), nullptr);
  EXPECT_EQ(q.reason("l_node"),
            "operator LSTM has no integer form; its weights are stored as codes");
  EXPECT_EQ(q.reason("a_node"), "it has no weights");
  // The LSTM counts as float.
  EXPECT_GT(q.report.integer_mac_share, 0.0);
  EXPECT_LT(q.report.integer_mac_share, 1.0);
}

TEST(WithoutData, HonoursItsOptions) {
  auto options = method(Method::dynamic);
  options.keep_float = {"m_*", "none*"};
  options.weight_granularity = Granularity::per_tensor;
  options.reduce_range = true;
  const auto q = quantize_by(mixed().graph, options);
  EXPECT_EQ(q.reason("m_node"), "kept by --keep-float");
  EXPECT_TRUE(q.noted("--keep-float none* matches no node"));
  EXPECT_EQ(q.find("w"), nullptr);
  EXPECT_EQ(q.find("v")->params.count(), 1U);
  EXPECT_EQ(q.find("v")->scheme.bits, 7);
  options.skip = {"calibrate"};
  QuantizeReport report;
  const auto refused = quantize_without_data(mixed().graph, options, report);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("quantize_sites"), std::string::npos);
}

TEST(WithoutData, WeightOnlyQuantizesConstantsOnly) {
  const auto q = quantize_by(mixed().graph, method(Method::weight_only));
  EXPECT_TRUE(q.model.plan.overrides.empty());
  EXPECT_EQ(q.model.plan.values.size(), 5U);
  for (const auto& [id, quantization] : q.model.plan.values) {
    EXPECT_TRUE(q.model.graph.value(id).is_constant());
  }
  EXPECT_EQ(q.find("table")->params.count(), 50U);
  EXPECT_EQ(q.find("v")->params.axis, 0);
  EXPECT_EQ(q.report.integer_mac_share, 0.0);
}

TEST(WithoutData, FewBitsLeaveFirstLastAndDepthwiseLayersTheirs) {
  GraphBuilder b;
  const Ints same{1, 1, 1, 1};
  auto x = b.input("x", {1, 4, 8, 8});
  x = b.node("Conv", {x, b.weights("w0", {64, 4, 3, 3})}, "c0", {{"pads", same}});
  x = b.node("Conv", {x, b.weights("w1", {64, 1, 3, 3}, 2)}, "c1",
             {{"pads", same}, {"group", std::int64_t{64}}});
  x = b.node("Conv", {x, b.weights("w2", {64, 64, 1, 1}, 3)}, "c2");
  b.output(b.node("Conv", {x, b.weights("w3", {64, 64, 1, 1}, 4)}, "y"));
  auto options = method(Method::weight_only);
  options.weights = WeightType::int4;
  options.weight_bits = 4;
  options.edge_weight_bits = 8;
  options.depthwise_weight_bits = 7;
  for (const auto* target : {"onnxruntime", "tflite"}) {
    options.target = target;
    const auto q = quantize_by(b.graph, options);
    EXPECT_EQ(q.find("w0")->scheme.bits, 8);
    EXPECT_EQ(q.find("w2")->scheme.bits, 4);
    EXPECT_EQ(q.find("w2")->storage, DType::i4);
    EXPECT_EQ(q.find("w3")->scheme.bits, 8);
    EXPECT_EQ(q.find("w3")->storage, DType::i8);
    if (q.find("w1") != nullptr) {
      EXPECT_EQ(q.find("w1")->scheme.bits, 7);
    }
  }
}

TEST(WithoutData, SmallWeightsStayFloat) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 6});
  const auto y = b.node("MatMul", {x, b.weights("w", {6, 40})}, "y");
  b.output(b.node("MatMul", {y, b.weights("v", {40, 40})}, "z"));
  for (const auto by : {Method::dynamic, Method::weight_only}) {
    const auto q = quantize_by(b.graph, method(by));
    EXPECT_EQ(q.find("w"), nullptr);
    EXPECT_NE(q.find("v"), nullptr);
    EXPECT_EQ(q.reason("y_node"), "its weights take less than 1024 bytes");
  }
  GraphBuilder c;
  c.output(c.node("MatMul", {c.input("x", {2, 6}), c.weights("w", {6, 4})}, "y"));
  QuantizeReport report;
  const auto nothing = quantize_without_data(c.graph, method(Method::dynamic), report);
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("no weights of 1024 bytes"), std::string::npos);
}

TEST(WithoutData, Float16WeightsStandBehindACast) {
  auto b = mixed();
  auto& large = *b.graph.value(b.graph.find_value("lr")).constant;
  large.mutable_data<float>()[5] = 70000.0F;
  auto options = method(Method::weight_only);
  options.weights = WeightType::float16;
  const auto q = quantize_by(b.graph, options);
  EXPECT_TRUE(q.model.plan.empty());
  EXPECT_TRUE(q.noted("weight lr stays f32: 1 of its values"));
  const auto& graph = q.model.graph;
  ASSERT_NE(graph.constant(graph.find_value("w_f16")), nullptr);
  EXPECT_EQ(graph.constant(graph.find_value("w_f16"))->dtype(), DType::f16);
  EXPECT_EQ(testing::maker_of(graph, "m").input(1), graph.find_value("w_f32"));
  // To 11 significant bits.
  const auto half = to_f32(*graph.constant(graph.find_value("w_f16")));
  const auto exact = b.graph.constant(b.graph.find_value("w"))->values<float>();
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(half->values<float>()[i], exact[i], std::abs(exact[i]) * 0x1p-11 + 1e-7);
  }
}

TEST(WithoutData, RefusesWhatDoesNotGoTogether) {
  auto options = method(Method::dynamic);
  options.weights = WeightType::float16;
  QuantizeReport report;
  EXPECT_FALSE(quantize_without_data(mixed().graph, options, report));
  EXPECT_FALSE(quantize_without_data(mixed().graph, {}, report));
  auto b = mixed();
  b.graph.value(b.graph.find_value("v")).constant->mutable_data<float>()[3] = std::nanf("");
  EXPECT_FALSE(quantize_without_data(b.graph, method(Method::dynamic), report));
}

TEST(Dequantize, GivesTheFloatModelThatTheCodesStandFor) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto c = b.node("Conv", {x, b.weights("w", {3, 2, 1, 1}), b.weights("b", {3})}, "c");
  const auto r = b.node("Relu", {c}, "r");
  b.output(b.node("Conv", {r, b.weights("v", {2, 3, 3, 3}, 5)}, "y"));
  const auto q = testing::quantize(b.graph, {{"r", {0.0F, 3.0F}}, {"y", {-9.0F, 9.0F}}});
  EXPECT_EQ(q.ops(), (std::vector<std::string>{"Conv", "Conv"}));
  const auto graph = dequantize_model(q.model);
  ASSERT_TRUE(graph);
  // The Relu had been absorbed.
  EXPECT_EQ(testing::ops_of(*graph), (std::vector<std::string>{"Conv", "Clip", "Conv"}));
  const std::vector<Tensor> input{GraphBuilder::pseudo_random({1, 2, 4, 4}, 9)};
  testing::expect_near(run(*graph, input)[0], run(b.graph, input)[0], 0.03);
  // The weights are multiples of their scales.
  const auto w = graph->constant(graph->find_value("w"))->values<float>();
  const float scale = q.find("w")->params.scale[0];
  EXPECT_EQ(w[0], std::round(w[0] / scale) * scale);
}

TEST(Dequantize, DropsDynamicInputs) {
  const auto q = quantize_by(mixed().graph, method(Method::dynamic));
  const auto graph = dequantize_model(q.model);
  ASSERT_TRUE(graph);
  QuantizeReport report;
  EXPECT_TRUE(quantize_without_data(*graph, method(Method::weight_only), report));
}

}  // namespace
}  // namespace octet

// Quantized .tflite models -> QuantPlan.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "formats/tflite_read.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Op = wire::BuiltinOperator;
using Type = wire::TensorType;

NodeId find_node(const Graph& graph, std::string_view op) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (graph.node(id).alive && graph.node(id).op == op) return id;
  }
  return NodeId::none;
}

const Quantization* quantization(const QuantizedGraph& model, std::string_view name) {
  return model.plan.find(model.graph.find_value(name));
}

/// FULLY_CONNECTED [2,3] x [2,3]: its four tensors of these types.
struct Product {
  TfliteBuilder builder;
  int x = 0, w = 0, b = 0, y = 0;
};

template <class Weight, class Bias>
Product product(Type activation, const Codes& x, const Codes& y, Type weight, const Codes& w,
                const std::vector<Weight>& weights, Type bias, const std::vector<Bias>& biases) {
  Product made;
  auto& builder = made.builder;
  made.x = builder.input("x", {2, 3}, activation, x);
  made.w = builder.constant<Weight>("w", {2, 3}, weights, weight, w);
  made.b = builder.constant<Bias>("b", {2}, biases, bias);
  made.y = builder.output("y", {2, 2}, activation, y);
  const wire::FullyConnectedOptionsT options;
  builder.add_op(Op::FULLY_CONNECTED, {made.x, made.w, made.b}, {made.y}, &options);
  return made;
}

TEST(TfliteQuantized, Int8WithBiasScalesThatFollow) {
  const auto made = product<std::int8_t, std::int32_t>(
      Type::INT8, {{0.5F}, {-3}}, {{0.25F}, {7}}, Type::INT8, {{0.1F, 0.2F}, {0, 0}},
      {1, -2, 3, -4, 5, -6}, Type::INT32, {100, -200});
  const auto model = read(made.builder);
  const auto* x = quantization(model, "x");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->params, (QuantParams{{0.5F}, {-3}, -1}));
  EXPECT_EQ(x->origin, Origin::imported);
  EXPECT_EQ(x->scheme.symmetry, Symmetry::asymmetric);
  EXPECT_EQ(model.graph.value(model.graph.inputs[0]).dtype, DType::f32);
  EXPECT_EQ(model.plan.coded_io.at(model.graph.inputs[0]), DType::i8);
  EXPECT_EQ(model.plan.coded_io.at(model.graph.outputs[0]), DType::i8);
  const auto* w = quantization(model, "w");
  EXPECT_EQ(w->params.axis, 0);
  EXPECT_EQ(w->scheme.symmetry, Symmetry::symmetric);
  EXPECT_EQ(w->scheme.range, CodeRange::narrow);
  const auto* b = quantization(model, "b");
  EXPECT_THAT(b->params.scale, ElementsAre(0.5F * 0.1F, 0.5F * 0.2F));
  EXPECT_EQ(b->params.axis, 0);
  const auto id = model.graph.find_value("b");
  EXPECT_THAT(model.plan.payloads.at(id).values<std::int32_t>(), ElementsAre(100, -200));
  EXPECT_FLOAT_EQ(model.graph.constant(id)->data<float>()[1], -20);
  EXPECT_EQ(model.plan.rule, Rule::xnnpack);
}

TEST(TfliteQuantized, OldUnsignedCodesAreShifted) {
  const auto made = product<std::uint8_t, std::int32_t>(
      Type::UINT8, {{0.5F}, {128}}, {{0.25F}, {0}}, Type::UINT8, {{0.1F}, {100}},
      {0, 100, 128, 200, 255, 1}, Type::INT32, {1, 2});
  const auto model = read(made.builder);
  EXPECT_EQ(quantization(model, "x")->params, (QuantParams{{0.5F}, {0}, -1}));
  EXPECT_EQ(quantization(model, "y")->params, (QuantParams{{0.25F}, {-128}, -1}));
  EXPECT_EQ(quantization(model, "x")->storage, DType::u8);
  const auto* w = quantization(model, "w");
  EXPECT_EQ(w->params, (QuantParams{{0.1F}, {-28}, -1}));
  const auto id = model.graph.find_value("w");
  EXPECT_THAT(model.plan.payloads.at(id).values<std::int8_t>(),
              ElementsAre(-128, -28, 0, 72, 127, -127));
  EXPECT_FLOAT_EQ(model.graph.constant(id)->data<float>()[1], 0);
  EXPECT_FLOAT_EQ(model.graph.constant(id)->data<float>()[0], -10);
}

TEST(TfliteQuantized, SixteenBitsWithWideBiases) {
  const std::int64_t large = (std::int64_t{1} << 40) + 1;
  const auto made = product<std::int8_t, std::int64_t>(
      Type::INT16, {{0.5F}, {0}}, {{0.25F}, {0}}, Type::INT8, {{0.1F}, {0}}, {1, 2, 3, 4, 5, 6},
      Type::INT64, {large, -1});
  const auto model = read(made.builder);
  EXPECT_EQ(quantization(model, "x")->scheme.bits, 16);
  EXPECT_EQ(quantization(model, "x")->scheme.symmetry, Symmetry::symmetric);
  const auto id = model.graph.find_value("b");
  EXPECT_EQ(quantization(model, "b")->storage, DType::i64);
  EXPECT_THAT(model.plan.payloads.at(id).values<std::int64_t>(), ElementsAre(large, -1));
}

TEST(TfliteQuantized, FloatsTimesIntegerWeightsAreQuantizedAtRunTime) {
  const auto made = product<std::int8_t, float>(Type::FLOAT32, {}, {}, Type::INT8, {{0.1F}, {0}},
                                                {1, 2, 3, 4, 5, 6}, Type::FLOAT32, {1, 2});
  const auto model = read(made.builder);
  EXPECT_EQ(quantization(model, "x"), nullptr);
  EXPECT_EQ(quantization(model, "y"), nullptr);
  EXPECT_TRUE(model.plan.coded_io.empty());
  const auto gemm = find_node(model.graph, "Gemm");
  ASSERT_TRUE(model.plan.overrides.contains({gemm, 0}));
  EXPECT_TRUE(is_dynamic(model.plan.overrides.at({gemm, 0})));
}

TEST(TfliteQuantized, ChannelAxesMoveWithTheWeights) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {1, 1, 1, 2}, Type::INT8, {{1}, {0}});
  const auto w = builder.constant<std::int8_t>("w", {1, 1, 2, 2}, {1, 2, 3, 4}, Type::INT8,
                                               {{0.5F, 2}, {0, 0}, 3});
  const auto b = builder.constant<std::int32_t>("b", {2}, {1, 1}, Type::INT32, {{0.5F, 2}, {0, 0}});
  const auto y = builder.output("y", {1, 1, 1, 2}, Type::INT8, {{1}, {0}});
  wire::DepthwiseConv2DOptionsT options;
  options.stride_h = options.stride_w = options.depth_multiplier = 1;
  builder.add_op(Op::DEPTHWISE_CONV_2D, {x, w, b}, {y}, &options);
  const auto model = read(builder);
  const auto* weight = quantization(model, "w");
  EXPECT_EQ(weight->params.axis, 0);
  EXPECT_EQ(weight->scheme.axis, 0);
  const auto id = model.graph.find_value("w");
  EXPECT_THAT(model.plan.payloads.at(id).values<std::int8_t>(), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(model.graph.constant(id)->values<float>(), ElementsAre(0.5F, 1.5F, 4, 8));
  // Both orders of an input are the same codes.
  EXPECT_EQ(quantization(model, "x/nchw")->params, quantization(model, "x")->params);
}

TEST(TfliteQuantized, WeightsOnlyAndHalfPrecision) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {2, 2});
  const auto codes =
      builder.constant<std::int8_t>("codes", {1, 2}, {2, 4}, Type::INT8, {{0.5F}, {0}});
  const auto half = builder.constant<std::uint16_t>("half", {1, 1}, {0x4000}, Type::FLOAT16);
  const auto a = builder.add("a", {1, 2});
  const auto b = builder.add("b", {1, 1});
  const auto hidden = builder.add("hidden", {2, 1});
  const auto y = builder.output("y", {2, 1});
  const wire::FullyConnectedOptionsT options;
  builder.add_op(Op::DEQUANTIZE, {codes}, {a});
  builder.add_op(Op::DEQUANTIZE, {half}, {b});
  builder.add_op(Op::FULLY_CONNECTED, {x, a, -1}, {hidden}, &options);
  builder.add_op(Op::FULLY_CONNECTED, {hidden, b, -1}, {y}, &options);
  const auto model = read(builder);
  const auto& graph = model.graph;
  EXPECT_TRUE(model.plan.overrides.empty());
  EXPECT_THAT(graph.value(graph.find_value("codes")).constant->values<float>(), ElementsAre(1, 2));
  const auto& cast = graph.node(find_node(graph, "Cast"));
  EXPECT_EQ(graph.value(cast.output()).name, "b");
  EXPECT_EQ(graph.value(cast.input(0)).dtype, DType::f16);
}

/// x -> RELU -> f; QUANTIZE f -> q; NEG q -> y; and where asked RELU f -> z.
TfliteBuilder quantizer(bool second_reader) {
  TfliteBuilder builder;
  const Codes codes{{0.5F}, {3}};
  const auto x = builder.input("x", {4});
  const auto f = builder.add("f", {4});
  const auto q = builder.add("q", {4}, Type::INT8, codes);
  const auto y = builder.output("y", {4}, Type::INT8, codes);
  builder.add_op(Op::RELU, {x}, {f});
  builder.add_op(Op::QUANTIZE, {f}, {q});
  builder.add_op(Op::RELU, {q}, {y});
  if (second_reader) builder.add_op(Op::RELU, {f}, {builder.output("z", {4})});
  return builder;
}

TEST(TfliteQuantized, QuantizeOfAValueThatNobodyElseReads) {
  const auto model = read(quantizer(false));
  EXPECT_EQ(model.graph.topological_order()->size(), 2U);
  ASSERT_NE(quantization(model, "f"), nullptr);
  EXPECT_EQ(quantization(model, "f")->params, (QuantParams{{0.5F}, {3}, -1}));
  EXPECT_TRUE(model.plan.overrides.empty());
}

TEST(TfliteQuantized, QuantizeForSomeReadersOnly) {
  const auto model = read(quantizer(true));
  EXPECT_EQ(model.graph.topological_order()->size(), 3U);
  EXPECT_EQ(quantization(model, "f"), nullptr);
  ASSERT_EQ(model.plan.overrides.size(), 1U);
  const auto& [use, stated] = *model.plan.overrides.begin();
  EXPECT_EQ(model.graph.value(model.graph.node(use.node).output()).name, "y");
  EXPECT_EQ(stated.params.zero_point[0], 3);
}

TEST(TfliteQuantized, FloatInputsAndOutputsOfAnIntegerModel) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {1, 4, 4, 2});
  const auto q = builder.add("q", {1, 4, 4, 2}, Type::INT8, {{0.5F}, {3}});
  const auto pooled = builder.add("pooled", {1, 4, 4, 2}, Type::INT8, {{0.5F}, {3}});
  const auto y = builder.output("y", {1, 4, 4, 2});
  wire::Pool2DOptionsT options;
  options.stride_h = options.stride_w = options.filter_height = options.filter_width = 1;
  builder.add_op(Op::QUANTIZE, {x}, {q});
  builder.add_op(Op::MAX_POOL_2D, {q}, {pooled}, &options);
  builder.add_op(Op::DEQUANTIZE, {pooled}, {y});
  const auto model = read(builder);
  EXPECT_EQ(model.graph.topological_order()->size(), 3U);  // Transpose, MaxPool, Transpose
  EXPECT_TRUE(model.plan.coded_io.empty());
  EXPECT_EQ(model.graph.value(model.graph.outputs[0]).name, "y");
  for (const auto* name : {"x", "x/nchw", "pooled", "y"}) {
    ASSERT_NE(quantization(model, name), nullptr) << name;
    EXPECT_EQ(quantization(model, name)->params.zero_point[0], 3) << name;
  }
}

TEST(TfliteQuantized, UnsignedInputsOfASignedModel) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {4}, Type::UINT8, {{0.5F}, {131}});
  const auto inside = builder.add("inside", {4}, Type::INT8, {{0.5F}, {3}});
  const auto made = builder.add("made", {4}, Type::INT8, {{0.25F}, {0}});
  const auto y = builder.output("y", {4}, Type::UINT8, {{0.25F}, {128}});
  builder.add_op(Op::QUANTIZE, {x}, {inside});
  builder.add_op(Op::QUANTIZE, {inside}, {made});
  builder.add_op(Op::QUANTIZE, {made}, {y});
  const auto model = read(builder);
  const auto& graph = model.graph;
  // What is left is the one that changes the codes.
  ASSERT_EQ(graph.topological_order()->size(), 1U);
  EXPECT_NE(find_node(graph, "Identity"), NodeId::none);
  EXPECT_EQ(model.plan.coded_io.at(graph.inputs[0]), DType::u8);
  EXPECT_EQ(model.plan.coded_io.at(graph.outputs[0]), DType::u8);
  EXPECT_EQ(quantization(model, "x")->storage, DType::i8);
  EXPECT_EQ(quantization(model, "y")->storage, DType::i8);
  EXPECT_EQ(quantization(model, "y")->params.zero_point[0], 0);
}

TEST(TfliteQuantized, FloatAndCodesOfOneValueAreBothOutputs) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {4}, Type::INT8, {{0.5F}, {3}});
  const auto q = builder.output("q", {4}, Type::INT8, {{0.5F}, {3}});
  const auto y = builder.output("y", {4});
  builder.add_op(Op::RELU, {x}, {q});
  builder.add_op(Op::DEQUANTIZE, {q}, {y});
  const auto model = read(builder);
  const auto& graph = model.graph;
  ASSERT_EQ(graph.outputs.size(), 2U);
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "q");
  EXPECT_EQ(graph.value(graph.outputs[1]).name, "y");
  EXPECT_EQ(model.plan.coded_io.count(graph.outputs[0]), 1U);
  EXPECT_EQ(model.plan.coded_io.count(graph.outputs[1]), 0U);
}

TEST(TfliteQuantized, WhatCannotBeIsNamed) {
  const auto error_of = [](const TfliteBuilder& builder) {
    const auto model = parse_tflite(builder.bytes());
    return model ? std::string() : model.error().message;
  };
  const auto good = [] {
    return product<std::int8_t, std::int32_t>(Type::INT8, {{0.5F}, {0}}, {{0.5F}, {0}}, Type::INT8,
                                              {{0.1F, 0.2F}, {0, 0}}, {1, 2, 3, 4, 5, 6},
                                              Type::INT32, {1, 2});
  };
  EXPECT_EQ(error_of(good().builder), "");
  const auto with = [&](auto change) {
    auto made = good();
    change(made);
    return error_of(made.builder);
  };
  EXPECT_THAT(with([](Product& p) { p.builder.tensor(p.w).quantization->scale[1] = -1; }),
              HasSubstr("tensor 1 (w): its scales are not all finite and positive"));
  EXPECT_THAT(with([](Product& p) { p.builder.tensor(p.w).quantization->quantized_dimension = 7; }),
              HasSubstr("tensor 1 (w): its quantization runs along axis 7"));
  EXPECT_THAT(with([](Product& p) { p.builder.tensor(p.w).quantization->quantized_dimension = 1; }),
              HasSubstr("tensor 1 (w): 2 scales along axis 1 of shape [2,3]"));
  EXPECT_THAT(with([](Product& p) { p.builder.tensor(p.x).quantization->zero_point = {400}; }),
              HasSubstr("tensor 0 (x): its zero point 400 is out of range"));
  EXPECT_THAT(with([](Product& p) {
                p.builder.tensor(p.x).quantization->zero_point = {0, 0};
              }),
              HasSubstr("tensor 0 (x): 1 scales but 2 zero points"));
  EXPECT_THAT(with([](Product& p) {
                auto& q = *p.builder.tensor(p.y).quantization;
                q.scale = {1, 1};
                q.zero_point = {0, 0};
              }),
              HasSubstr("operator 0 (FULLY_CONNECTED): tensor y is quantized per channel"));
  EXPECT_THAT(with([](Product& p) {
                wire::FullyConnectedOptionsT options;
                options.weights_format = wire::FullyConnectedOptionsWeightsFormat::SHUFFLED4x16INT8;
                p.builder.op(0).builtin_options.Set(std::move(options));
              }),
              HasSubstr("operator 0 (FULLY_CONNECTED): the weights format SHUFFLED4x16INT8"));
}

}  // namespace
}  // namespace octet::testing

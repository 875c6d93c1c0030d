// Q/DQ nodes <-> QuantPlan, both ways.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "formats/onnx_builder.h"
#include "graph/verify.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Quantization activation(float scale, std::int32_t zero_point, DType storage = DType::u8) {
  Quantization out;
  out.scheme.bits = bits(storage);
  out.params = {{scale}, {zero_point}, -1};
  out.storage = storage;
  return out;
}

Quantization per_channel(std::vector<float> scale, int axis, DType storage) {
  Quantization out;
  out.scheme = {bits(storage), Symmetry::symmetric, Granularity::per_channel, axis,
                CodeRange::full};
  out.params.zero_point.assign(scale.size(), 0);
  out.params.scale = std::move(scale);
  out.params.axis = axis;
  out.storage = storage;
  return out;
}

/// x -> Conv(w, b) -> Relu -> y, and where everything is.
struct ConvModel {
  QuantizedGraph model;
  ValueId x, w, b, c, y;
};

ConvModel conv_model() {
  auto proto = empty_model();
  add_input(proto, "x", {1, 2, 4, 4});
  add_floats(proto, "w", {3, 2, 1, 1}, {1, -2, 3, -4, 5, -6});
  add_floats(proto, "b", {3}, {0.5F, 0.25F, -1.0F});
  add_node(proto, "Conv", {"x", "w", "b"}, {"c"}, "conv");
  add_node(proto, "Relu", {"c"}, {"y"}, "relu");
  add_output(proto, "y", {1, 3, 4, 4});
  ConvModel out;
  out.model.graph = parse_proto(proto).value();
  const auto find = [&](const char* name) { return out.model.graph.find_value(name); };
  out.x = find("x");
  out.w = find("w");
  out.b = find("b");
  out.c = find("c");
  out.y = find("y");
  return out;
}

ConvModel quantized_conv() {
  auto out = conv_model();
  auto& plan = out.model.plan;
  plan.values[out.x] = activation(0.05F, -8);
  plan.values[out.y] = activation(0.125F, -128);
  plan.values[out.w] = per_channel({0.02F, 0.04F, 0.05F}, 0, DType::i8);
  plan.payloads[out.w] = Tensor::from<std::int8_t>({50, -100, 75, -100, 100, -120}, {3, 2, 1, 1});
  plan.values[out.b] = per_channel({0.001F, 0.002F, 0.0025F}, 0, DType::i32);
  plan.payloads[out.b] = Tensor::from<std::int32_t>({500, 125, -400}, {3});
  return out;
}

std::vector<std::string> ops(const Graph& graph) {
  std::vector<std::string> out;
  const auto order = graph.topological_order().value();
  for (const auto id : order) out.push_back(graph.node(id).op);
  return out;
}

/// emit, serialize, parse, absorb.
QuantizedGraph through_file(const QuantizedGraph& model) {
  const auto emitted = onnx::emit_qdq(model);
  EXPECT_TRUE(emitted.has_value()) << emitted.error().message;
  EXPECT_TRUE(verify(*emitted).has_value());
  const auto bytes = onnx::serialize(*emitted);
  EXPECT_TRUE(bytes.has_value());
  auto parsed = parse_text(*bytes);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  auto absorbed = onnx::absorb_qdq(std::move(*parsed));
  EXPECT_TRUE(absorbed.has_value()) << absorbed.error().message;
  const auto status = verify(*absorbed);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return std::move(*absorbed);
}

/// Every quantization of `before` is found under the same name with the same numbers, none more.
void expect_same_plan(const QuantizedGraph& before, const QuantizedGraph& after) {
  EXPECT_EQ(after.plan.values.size(), before.plan.values.size());
  EXPECT_EQ(after.plan.overrides.size(), before.plan.overrides.size());
  for (const auto& [id, quantization] : before.plan.values) {
    const auto& name = before.graph.value(id).name;
    const auto other = after.graph.find_value(name);
    ASSERT_NE(other, ValueId::none) << name;
    const auto* found = after.plan.find(other);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->params, quantization.params) << name;
    EXPECT_EQ(found->storage, quantization.storage) << name;
    EXPECT_EQ(found->origin, Origin::imported) << name;
    const auto payload = before.plan.payloads.find(id);
    if (payload == before.plan.payloads.end()) continue;
    ASSERT_TRUE(after.plan.payloads.contains(other)) << name;
    EXPECT_TRUE(identical(after.plan.payloads.at(other), payload->second)) << name;
  }
}

TEST(Qdq, RoundTripKeepsThePlan) {
  const auto before = quantized_conv();
  const auto after = through_file(before.model);
  expect_same_plan(before.model, after);
  EXPECT_THAT(ops(after.graph), ElementsAre("Conv", "Relu"));
  EXPECT_EQ(after.graph.value(after.graph.outputs[0]).name, "y");
  const auto* image = after.graph.constant(after.graph.find_value("w"));
  ASSERT_NE(image, nullptr);
  EXPECT_FLOAT_EQ(image->values<float>()[3], 0.04F * -100.0F);
}

TEST(Qdq, EmittedNodesAndStorage) {
  const auto emitted = onnx::emit_qdq(quantized_conv().model);
  ASSERT_TRUE(emitted.has_value()) << emitted.error().message;
  EXPECT_THAT(ops(*emitted), ElementsAre("QuantizeLinear", "DequantizeLinear", "DequantizeLinear",
                                         "DequantizeLinear", "Conv", "Relu", "QuantizeLinear",
                                         "DequantizeLinear"));
  const auto& quantize = emitted->node(emitted->topological_order().value().front());
  const auto* zero_point = emitted->constant(quantize.input(2));
  ASSERT_NE(zero_point, nullptr);
  EXPECT_EQ(zero_point->dtype(), DType::u8);
  EXPECT_EQ(zero_point->values<std::uint8_t>()[0], 120);  // -8 + 128
  EXPECT_EQ(emitted->constant(emitted->find_value("w"))->dtype(), DType::i8);
  EXPECT_EQ(emitted->constant(emitted->find_value("b"))->dtype(), DType::i32);
}

TEST(Qdq, SecondWriteHasTheSameBytes) {
  const auto first = onnx::serialize(onnx::emit_qdq(quantized_conv().model).value()).value();
  const auto again = onnx::absorb_qdq(parse_text(first).value()).value();
  EXPECT_EQ(onnx::serialize(onnx::emit_qdq(again).value()).value(), first);
}

TEST(Qdq, Int4WeightsArePacked) {
  auto before = quantized_conv();
  auto& weight = before.model.plan.values[before.w];
  weight.storage = DType::i4;
  weight.scheme.bits = 4;
  before.model.plan.payloads[before.w] =
      Tensor::from<std::int8_t>({5, -7, 7, -1, 0, 3}, {3, 2, 1, 1});
  const auto emitted = onnx::emit_qdq(before.model).value();
  const Tensor& stored = *emitted.constant(emitted.find_value("w"));
  EXPECT_EQ(stored.dtype(), DType::i4);
  ASSERT_EQ(stored.bytes(), 3U);
  // The first code in the low nibble.
  EXPECT_EQ(static_cast<std::uint8_t>(stored.raw()[0]), 0x95);
  const auto after = through_file(before.model);
  expect_same_plan(before.model, after);
  EXPECT_EQ(after.plan.values.at(after.graph.find_value("w")).scheme.bits, 4);
  const auto first = onnx::serialize(emitted).value();
  EXPECT_EQ(onnx::serialize(onnx::emit_qdq(after).value()).value(), first);
}

TEST(Qdq, EveryStorageType) {
  for (const auto storage : {DType::i8, DType::u8, DType::i16, DType::u16}) {
    auto before = conv_model();
    before.model.plan.values[before.x] = activation(0.5F, 7, storage);
    before.model.plan.values[before.c] = activation(0.25F, -3, storage);
    expect_same_plan(before.model, through_file(before.model));
  }
  for (const auto storage : {DType::i4, DType::u4}) {
    auto before = conv_model();
    before.model.plan.values[before.w] = per_channel({1.0F, 1.0F, 1.0F}, 0, storage);
    before.model.plan.payloads[before.w] =
        Tensor::from<std::int8_t>({1, -2, 3, -4, 5, -8}, {3, 2, 1, 1});
    expect_same_plan(before.model, through_file(before.model));
  }
}

TEST(Qdq, OneChannelStaysPerChannel) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 2, 4, 4});
  add_floats(proto, "w", {1, 2, 1, 1}, {1, -2});
  add_node(proto, "Conv", {"x", "w"}, {"y"}, "conv");
  add_output(proto, "y", {1, 1, 4, 4});
  QuantizedGraph before{parse_proto(proto).value(), {}};
  const auto w = before.graph.find_value("w");
  before.plan.values[w] = per_channel({0.5F}, 0, DType::i8);
  before.plan.payloads[w] = Tensor::from<std::int8_t>({2, -4}, {1, 2, 1, 1});
  expect_same_plan(before, through_file(before));
}

TEST(Qdq, OverridesPerUse) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 4});
  add_node(proto, "Relu", {"x"}, {"h"}, "shared");
  add_node(proto, "Relu", {"h"}, {"a"}, "narrow");
  add_node(proto, "Relu", {"h"}, {"b"}, "wide");
  add_output(proto, "a", {1, 4});
  add_output(proto, "b", {1, 4});
  QuantizedGraph before{parse_proto(proto).value(), {}};
  before.plan.values[before.graph.find_value("h")] = activation(0.5F, 0);
  before.plan.overrides[{static_cast<NodeId>(2), 0}] = activation(0.001F, 5, DType::u16);
  const auto after = through_file(before);
  expect_same_plan(before, after);
  ASSERT_EQ(after.plan.overrides.size(), 1U);
  const auto& [use, quantization] = *after.plan.overrides.begin();
  EXPECT_EQ(after.graph.node(use.node).name, "wide");
  EXPECT_EQ(quantization.params.scale[0], 0.001F);
  EXPECT_EQ(quantization.params.zero_point[0], 5);
}

TEST(Qdq, FloatReadersMakeOverrides) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 4});
  add_raw<float>(proto, "s", {}, wire::TensorProto::FLOAT, {0.5F});
  add_raw<std::uint8_t>(proto, "z", {}, wire::TensorProto::UINT8, {128});
  add_node(proto, "Relu", {"x"}, {"h"}, "first");
  add_node(proto, "QuantizeLinear", {"h", "s", "z"}, {"q"}, "q");
  add_node(proto, "DequantizeLinear", {"q", "s", "z"}, {"d"}, "d");
  add_node(proto, "Relu", {"d"}, {"y"}, "second");
  add_output(proto, "y", {1, 4});
  add_output(proto, "h", {1, 4});  // this reader is float
  const auto absorbed = onnx::absorb_qdq(parse_proto(proto).value());
  ASSERT_TRUE(absorbed.has_value());
  EXPECT_THAT(ops(absorbed->graph), ElementsAre("Relu", "Relu"));
  EXPECT_TRUE(absorbed->plan.values.empty());
  ASSERT_EQ(absorbed->plan.overrides.size(), 1U);
  EXPECT_EQ(absorbed->graph.node(absorbed->plan.overrides.begin()->first.node).name, "second");
  const auto again = through_file(*absorbed);
  EXPECT_EQ(again.plan.overrides.size(), 1U);
  EXPECT_TRUE(again.plan.values.empty());
}

TEST(Qdq, AbsentZeroPointsMeanZeroOfTheType) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 2});
  add_raw<float>(proto, "s", {}, wire::TensorProto::FLOAT, {0.5F});
  add_raw<std::uint8_t>(proto, "w", {2, 2}, wire::TensorProto::UINT8, {0, 1, 128, 255});
  add_node(proto, "QuantizeLinear", {"x", "s"}, {"q"}, "q");
  add_node(proto, "DequantizeLinear", {"q", "s"}, {"d"}, "d");
  add_node(proto, "DequantizeLinear", {"w", "s"}, {"wd"}, "wd");
  add_node(proto, "MatMul", {"d", "wd"}, {"y"}, "fc");
  add_output(proto, "y", {1, 2});
  const auto absorbed = onnx::absorb_qdq(parse_proto(proto).value());
  ASSERT_TRUE(absorbed.has_value());
  const auto& graph = absorbed->graph;
  const auto* x = absorbed->plan.find(graph.find_value("x"));
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->storage, DType::u8);
  EXPECT_THAT(x->params.zero_point, ElementsAre(-128));
  const auto w = graph.find_value("w");
  EXPECT_THAT(graph.constant(w)->values<float>(), ElementsAre(0.0F, 0.5F, 64.0F, 127.5F));
  EXPECT_THAT(absorbed->plan.payloads.at(w).values<std::int8_t>(), ElementsAre(-128, -127, 0, 127));
}

TEST(Qdq, SharedWeightWithTwoScales) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 2});
  add_raw<float>(proto, "s", {}, wire::TensorProto::FLOAT, {0.5F});
  add_raw<float>(proto, "t", {}, wire::TensorProto::FLOAT, {0.25F});
  add_raw<std::int8_t>(proto, "w", {2, 2}, wire::TensorProto::INT8, {1, 2, 3, 4});
  add_node(proto, "DequantizeLinear", {"w", "s"}, {"a"}, "da");
  add_node(proto, "DequantizeLinear", {"w", "t"}, {"b"}, "db");
  add_node(proto, "MatMul", {"x", "a"}, {"h"}, "first");
  add_node(proto, "MatMul", {"h", "b"}, {"y"}, "second");
  add_output(proto, "y", {1, 2});
  const auto absorbed = onnx::absorb_qdq(parse_proto(proto).value());
  ASSERT_TRUE(absorbed.has_value());
  const auto& graph = absorbed->graph;
  EXPECT_EQ(absorbed->plan.payloads.size(), 2U);
  EXPECT_EQ(graph.constant(graph.find_value("a"))->values<float>()[3], 2.0F);
  EXPECT_EQ(graph.constant(graph.find_value("b"))->values<float>()[3], 1.0F);
  expect_same_plan(*absorbed, through_file(*absorbed));
}

TEST(Qdq, PairsThatDoNotFitStayNodes) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 4});
  add_raw<float>(proto, "s", {}, wire::TensorProto::FLOAT, {0.5F});
  add_raw<float>(proto, "bad", {}, wire::TensorProto::FLOAT, {0.0F});
  add_raw<float>(proto, "other", {}, wire::TensorProto::FLOAT, {0.25F});
  add_node(proto, "QuantizeLinear", {"x", "bad"}, {"q1"}, "scale_zero");
  add_node(proto, "DequantizeLinear", {"q1", "bad"}, {"a"}, "d1");
  add_node(proto, "QuantizeLinear", {"x", "s"}, {"q2"}, "scales_differ");
  add_node(proto, "DequantizeLinear", {"q2", "other"}, {"b"}, "d2");
  add_node(proto, "QuantizeLinear", {"x", "s"}, {"q3"}, "integer_output");
  add_node(proto, "QuantizeLinear", {"x", "s"}, {"q4"}, "from_input_to_output");
  add_node(proto, "DequantizeLinear", {"q4", "s"}, {"e"}, "d4");
  for (const std::string name : {"a", "b", "e"}) add_output(proto, name, {1, 4});
  add_output(proto, "q3", {1, 4}, wire::TensorProto::UINT8);
  const auto absorbed = onnx::absorb_qdq(parse_proto(proto).value());
  ASSERT_TRUE(absorbed.has_value());
  EXPECT_EQ(ops(absorbed->graph).size(), 7U);
  EXPECT_TRUE(absorbed->plan.empty());
}

TEST(Qdq, DoubleQuantizationKeepsTheSecondPair) {
  auto proto = empty_model();
  add_input(proto, "x", {1, 4});
  add_raw<float>(proto, "s", {}, wire::TensorProto::FLOAT, {0.5F});
  add_raw<float>(proto, "t", {}, wire::TensorProto::FLOAT, {0.3F});
  add_node(proto, "QuantizeLinear", {"x", "s"}, {"q"}, "q1");
  add_node(proto, "DequantizeLinear", {"q", "s"}, {"d"}, "d1");
  add_node(proto, "QuantizeLinear", {"d", "t"}, {"r"}, "q2");
  add_node(proto, "DequantizeLinear", {"r", "t"}, {"e"}, "d2");
  add_node(proto, "Relu", {"e"}, {"y"}, "relu");
  add_output(proto, "y", {1, 4});
  const auto absorbed = onnx::absorb_qdq(parse_proto(proto).value());
  ASSERT_TRUE(absorbed.has_value());
  EXPECT_THAT(ops(absorbed->graph), ElementsAre("QuantizeLinear", "DequantizeLinear", "Relu"));
  const auto* x = absorbed->plan.find(absorbed->graph.find_value("x"));
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->params.scale[0], 0.5F);
  expect_same_plan(*absorbed, through_file(*absorbed));
}

TEST(Qdq, OldOpsetWithUnknownOpIsRefused) {
  auto proto = empty_model(12);
  add_input(proto, "x", {1, 4});
  add_node(proto, "Mystery", {"x"}, {"y"}, "m");
  add_output(proto, "y", {1, 4});
  QuantizedGraph model{parse_proto(proto).value(), {}};
  model.plan.values[model.graph.find_value("x")] = activation(0.5F, 0);
  const auto emitted = onnx::emit_qdq(model);
  ASSERT_FALSE(emitted.has_value());
  EXPECT_THAT(emitted.error().message, HasSubstr("stays at opset 12"));
}

TEST(Qdq, NamesOfTheModelAreNotTaken) {
  auto proto = empty_model();
  add_input(proto, "q0", {1, 4});
  add_node(proto, "Relu", {"q0"}, {"d0"}, "s0");
  add_node(proto, "Relu", {"d0"}, {"z0"}, "d1");
  add_output(proto, "z0", {1, 4});
  QuantizedGraph model{parse_proto(proto).value(), {}};
  for (const auto* name : {"q0", "d0", "z0"}) {
    model.plan.values[model.graph.find_value(name)] = activation(0.5F, 0);
  }
  expect_same_plan(model, through_file(model));
}

}  // namespace
}  // namespace octet::testing

// Dynamically quantized operators, weight-only constants and Swish: plan -> file -> plan.

#include <gtest/gtest.h>

#include "formats/onnx_builder.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet::testing {
namespace {

using Ops = std::vector<std::string>;

Ops ops(const Graph& graph) {
  Ops out;
  const auto order = graph.topological_order().value();
  for (const auto id : order) out.push_back(graph.node(id).op);
  return out;
}

Graph emitted(const QuantizedGraph& model) {
  auto graph = onnx::emit_qdq(model);
  EXPECT_TRUE(graph) << graph.error().message;
  EXPECT_TRUE(verify(*graph));
  return std::move(*graph);
}

QuantizedGraph through_file(const QuantizedGraph& model) {
  const auto bytes = onnx::serialize(emitted(model));
  EXPECT_TRUE(bytes);
  auto parsed = parse_text(*bytes);
  EXPECT_TRUE(parsed) << parsed.error().message;
  auto absorbed = onnx::absorb_qdq(std::move(*parsed));
  EXPECT_TRUE(absorbed) << absorbed.error().message;
  const auto status = verify(*absorbed);
  EXPECT_TRUE(status) << status.error().message;
  return std::move(*absorbed);
}

void give_codes(QuantizedGraph& model, const std::string& name, int axis, DType storage) {
  const auto id = model.graph.find_value(name);
  auto& value = model.graph.value(id);
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::narrow};
  q.storage = storage;
  q.params.axis = axis;
  const auto count = axis < 0 ? 1 : value.constant->dim(axis);
  if (axis >= 0) {
    q.scheme.granularity = Granularity::per_channel;
    q.scheme.axis = axis;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    q.params.scale.push_back(0.01F * static_cast<float>(i + 1));
    q.params.zero_point.push_back(0);
  }
  Tensor codes(DType::i8, value.constant->shape());
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(i * 37 % 255 - 127);
  }
  model.plan.values[id] = q;
  model.plan.payloads[id] = codes;
}

void make_dynamic(QuantizedGraph& model, const std::string& value) {
  const auto id = model.graph.producers().at(index(model.graph.find_value(value)));
  model.plan.overrides[{id, 0}] = dynamic_quantization();
}

/// Conv, Gemm, a batched MatMul with its Add, and two products of one value.
QuantizedGraph dynamic_model(DynamicForm form, DType conv_storage) {
  GraphBuilder b;
  b.graph.opsets[""] = 21;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto c = b.node("Conv", {x, b.weights("cw", {3, 2, 3, 3}), b.weights("cb", {3})}, "c",
                        {{"pads", Ints{1, 1, 1, 1}}});
  b.output(c);
  const auto u = b.input("u", {5, 6});
  b.output(b.node("Gemm", {u, b.weights("gw", {6, 4}), b.weights("gb", {4})}, "g"));
  b.output(b.node("MatMul", {u, b.weights("hw", {6, 3})}, "h"));
  const auto t = b.input("t", {2, 5, 6});
  const auto m = b.node("MatMul", {t, b.weights("mw", {6, 4}, 9)}, "m");
  b.output(b.node("Add", {m, b.weights("mb", {4})}, "a"));
  QuantizedGraph model{b.graph, {}};
  EXPECT_TRUE(infer_shapes(model.graph));
  give_codes(model, "cw", 0, conv_storage);
  give_codes(model, "gw", 1, DType::i8);
  give_codes(model, "hw", -1, DType::i8);
  give_codes(model, "mw", 1, DType::i8);
  for (const auto* value : {"c", "g", "h", "m"}) make_dynamic(model, value);
  model.plan.dynamic_form = form;
  return model;
}

void expect_same(const QuantizedGraph& before, const QuantizedGraph& after) {
  EXPECT_EQ(after.plan.dynamic_form, before.plan.dynamic_form);
  EXPECT_EQ(after.plan.values.size(), before.plan.values.size());
  EXPECT_EQ(after.plan.overrides.size(), before.plan.overrides.size());
  for (const auto& [use, quantization] : before.plan.overrides) {
    const auto& node = before.graph.node(use.node);
    const auto& other = maker_of(after.graph, before.graph.value(node.output()).name);
    EXPECT_EQ(other.op, node.op) << node.name;
    EXPECT_EQ(other.name, node.name);
    EXPECT_EQ(other.ints_attribute("pads"), node.ints_attribute("pads")) << node.name;
    EXPECT_EQ(other.attributes.size(), node.attributes.size()) << node.name;
    ASSERT_EQ(other.inputs.size(), node.inputs.size()) << node.name;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      EXPECT_EQ(after.graph.value(other.inputs[i]).name, before.graph.value(node.inputs[i]).name);
    }
    const auto id = after.graph.producers().at(index(other.output()));
    ASSERT_TRUE(after.plan.overrides.contains({id, 0})) << node.name;
    EXPECT_TRUE(is_dynamic(after.plan.overrides.at({id, 0})));
  }
  for (const auto& [id, quantization] : before.plan.values) {
    const auto other = after.graph.find_value(before.graph.value(id).name);
    ASSERT_NE(other, ValueId::none);
    EXPECT_EQ(after.plan.find(other)->params, quantization.params);
    EXPECT_EQ(after.plan.find(other)->storage, quantization.storage);
    EXPECT_TRUE(identical(after.plan.payloads.at(other), before.plan.payloads.at(id)));
  }
}

TEST(Dynamic, BothFormsAreReadBack) {
  for (const auto form : {DynamicForm::integer_operators, DynamicForm::qdq}) {
    for (const auto storage : {DType::i8, DType::u8}) {
      const auto before = dynamic_model(form, storage);
      const auto after = through_file(before);
      expect_same(before, after);
      EXPECT_EQ(ops(after.graph), ops(before.graph));
      // And once more: nothing drifts.
      EXPECT_EQ(onnx::serialize(emitted(after)).value(),
                onnx::serialize(emitted(through_file(after))).value());
    }
  }
}

TEST(Dynamic, OneQuantizationForAllReadersOfAValue) {
  const auto graph = emitted(dynamic_model(DynamicForm::integer_operators, DType::u8));
  const auto all = ops(graph);
  EXPECT_EQ(std::count(all.begin(), all.end(), "DynamicQuantizeLinear"), 3);
  EXPECT_EQ(std::count(all.begin(), all.end(), "MatMulInteger"), 3);
  EXPECT_EQ(std::count(all.begin(), all.end(), "ConvInteger"), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), "DequantizeLinear"), 0);
  const auto pairs = ops(emitted(dynamic_model(DynamicForm::qdq, DType::i8)));
  EXPECT_EQ(std::count(pairs.begin(), pairs.end(), "DynamicQuantizeLinear"), 3);
  EXPECT_EQ(std::count(pairs.begin(), pairs.end(), "MatMulInteger"), 0);
}

/// What quantize_dynamic of ONNX Runtime writes for a product.
wire::ModelProto foreign_product(std::int8_t weight_zero, bool scale_first, bool cast_read_twice) {
  auto model = empty_model(17);
  add_input(model, "x", {2, 3});
  add_raw<std::int8_t>(model, "w", {3, 2}, wire::TensorProto::INT8, {1, -2, 3, -4, 5, -6});
  add_raw<std::int8_t>(model, "wz", {}, wire::TensorProto::INT8, {weight_zero});
  add_floats(model, "ws", {}, {0.02F});
  add_floats(model, "bias", {2}, {0.5F, -0.5F});
  add_node(model, "DynamicQuantizeLinear", {"x"}, {"xq", "xs", "xz"}, "dq");
  add_node(model, "MatMulInteger", {"xq", "w", "xz", "wz"}, {"acc"}, "product");
  set_int(add_node(model, "Cast", {"acc"}, {"real"}, "cast"), "to", 1);
  if (scale_first) {
    add_node(model, "Mul", {"xs", "ws"}, {"s"}, "scales");
    add_node(model, "Mul", {"real", "s"}, {"m"}, "multiply");
  } else {
    add_node(model, "Mul", {"ws", "xs"}, {"s"}, "scales");
    add_node(model, "Mul", {"s", "real"}, {"m"}, "multiply");
  }
  add_node(model, "Add", {"m", "bias"}, {"y"}, "add");
  add_output(model, "y", {2, 2});
  if (cast_read_twice) {
    add_node(model, "Identity", {"real"}, {"z"}, "also");
    add_output(model, "z", {2, 2});
  }
  return model;
}

Ops imported(const wire::ModelProto& proto) {
  auto parsed = parse_proto(proto);
  EXPECT_TRUE(parsed);
  const auto model = onnx::absorb_qdq(std::move(*parsed));
  EXPECT_TRUE(model);
  EXPECT_TRUE(verify(*model));
  return ops(model->graph);
}

TEST(Dynamic, ForeignProductsAreAbsorbedOrLeftAlone) {
  EXPECT_EQ(imported(foreign_product(0, true, false)), Ops{"Gemm"});
  EXPECT_EQ(imported(foreign_product(0, false, false)), Ops{"Gemm"});
  const Ops left{"DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul", "Add"};
  EXPECT_EQ(imported(foreign_product(3, true, false)), left);
  EXPECT_EQ(imported(foreign_product(0, true, true)).size(), 7U);
}

TEST(Dynamic, WeightOnlyConstantsOfAnyOperatorAreReadBack) {
  GraphBuilder b;
  b.graph.opsets[""] = 21;
  const auto x = b.input("x", {1, 4, 3, 3});
  b.output(b.node("ConvTranspose", {x, b.weights("w", {4, 2, 2, 2})}, "y"));
  const auto ids = b.input("ids", {2}, {}, DType::i64);
  b.output(b.node("Gather", {b.weights("table", {9, 5}), ids}, "rows"));
  QuantizedGraph model{b.graph, {}};
  give_codes(model, "w", 1, DType::i8);
  give_codes(model, "table", 0, DType::i8);
  const auto after = through_file(model);
  expect_same(model, after);
  EXPECT_EQ(ops(after.graph), ops(model.graph));
}

QuantizedGraph swish_model(bool quantized) {
  GraphBuilder b;
  b.graph.opsets[""] = 21;
  const auto x = b.input("x", {1, 4});
  b.output(b.node("Swish", {x}, "y"));
  QuantizedGraph model{b.graph, {}};
  if (!quantized) return model;
  for (const auto* name : {"x", "y"}) {
    Quantization q;
    q.params = {{0.05F}, {3}, -1};
    q.storage = DType::u8;
    model.plan.values[model.graph.find_value(name)] = q;
  }
  return model;
}

TEST(Swish, IsWrittenAsItsPartsAndJoinedAgain) {
  const auto model = swish_model(true);
  const auto bytes = onnx::serialize(emitted(model));
  wire::ModelProto proto;
  ASSERT_TRUE(proto.ParseFromString(*bytes));
  Ops written;
  for (const auto& node : proto.graph().node()) written.push_back(node.op_type());
  EXPECT_EQ(written, (Ops{"QuantizeLinear", "DequantizeLinear", "Sigmoid", "Mul", "QuantizeLinear",
                          "DequantizeLinear"}));
  const auto after = through_file(model);
  EXPECT_EQ(ops(after.graph), Ops{"Swish"});
  EXPECT_EQ(after.plan.values.size(), 2U);
  EXPECT_EQ(maker_of(after.graph, "y").name, "y_node");
}

TEST(Swish, StaysInPartsWhereTheGateIsQuantizedOrNothingIs) {
  // A float model keeps the operators that its file has.
  EXPECT_EQ(ops(through_file(swish_model(false)).graph), (Ops{"Sigmoid", "Mul"}));
  GraphBuilder b;
  b.graph.opsets[""] = 21;
  const auto x = b.input("x", {1, 4});
  const auto gate = b.node("Sigmoid", {x}, "gate");
  b.output(b.node("Mul", {x, gate}, "y"));
  QuantizedGraph model{b.graph, {}};
  Quantization q;
  q.params = {{0.05F}, {3}, -1};
  q.storage = DType::u8;
  for (const auto id : {x, gate}) model.plan.values[id] = q;
  EXPECT_EQ(ops(through_file(model).graph), (Ops{"Sigmoid", "Mul"}));
}

}  // namespace
}  // namespace octet::testing

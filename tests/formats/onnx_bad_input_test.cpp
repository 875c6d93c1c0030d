// Hostile and broken files: each is one clear error.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <random>

#include "formats/onnx_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet::testing {
namespace {

using ::testing::HasSubstr;

std::string text_error(std::string_view bytes) {
  const auto graph = parse_text(bytes);
  EXPECT_TRUE(graph.has_value() || graph.error().kind == ErrorKind::bad_input);
  return graph ? std::string() : graph.error().message;
}

TEST(OnnxBadInput, EmptyFile) { EXPECT_EQ(text_error(""), "the file is empty"); }

TEST(OnnxBadInput, OtherFormats) {
  EXPECT_THAT(text_error("\x89PNG\r\n\x1a\n........"), HasSubstr("not an ONNX model"));
  EXPECT_THAT(text_error("{\"a\": 1}"), HasSubstr("not an ONNX model (byte 0"));
  EXPECT_THAT(text_error(std::string(64, '\0')), HasSubstr("not an ONNX model"));
}

TEST(OnnxBadInput, CutOffAnywhereIsAnError) {
  auto model = relu_model();
  add_floats(model, "unused", {256}, std::vector<float>(256, 1.0F));
  model.mutable_metadata_props();
  const auto bytes = model.SerializeAsString();
  int cut_off = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto graph = parse_text(std::string_view(bytes).substr(0, size));
    // The opset import is the last field: cut before it the model is whole but names no opset.
    ASSERT_FALSE(graph.has_value()) << size;
    cut_off += graph.error().message.find("cut off") != std::string::npos;
  }
  EXPECT_GT(cut_off, 900);
}

TEST(OnnxBadInput, RandomBytesNeverCrash) {
  std::mt19937 random(1);
  auto model = relu_model();
  add_floats(model, "w", {2, 2}, {1, 2, 3, 4});
  const auto good = model.SerializeAsString();
  for (int i = 0; i < 3000; ++i) {
    auto bytes = good;
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    auto graph = parse_text(bytes);
    if (!graph || !verify(*graph)) continue;
    static_cast<void>(infer_shapes(*graph).has_value());
    static_cast<void>(onnx::absorb_qdq(*graph).has_value());
    EXPECT_TRUE(onnx::serialize(*graph).has_value());
  }
}

TEST(OnnxBadInput, MissingInitializerNamesNodeAndValue) {
  auto model = empty_model();
  add_input(model, "x", {1, 4});
  add_node(model, "MatMul", {"x", "weights"}, {"y"}, "fc");
  add_output(model, "y", {1, 4});
  EXPECT_THAT(parse_error(model), HasSubstr("node fc (MatMul) reads weights"));
}

TEST(OnnxBadInput, RawDataThatDoesNotFit) {
  auto model = relu_model();
  add_floats(model, "w", {2, 3}, {1, 2, 3, 4, 5});
  EXPECT_EQ(parse_error(model), "tensor w: shape [2,3] of f32 needs 24 bytes, the file has 20");
  model.mutable_graph()->mutable_initializer(0)->set_raw_data(std::string(28, 'x'));
  EXPECT_THAT(parse_error(model), HasSubstr("tensor w: shape [2,3] of f32 needs 24 bytes"));
}

TEST(OnnxBadInput, TypedDataThatDoesNotFit) {
  auto model = relu_model();
  auto& tensor = add_initializer(model, "w", {3}, wire::TensorProto::FLOAT);
  tensor.add_float_data(1);
  tensor.add_float_data(2);
  EXPECT_THAT(parse_error(model), HasSubstr("tensor w: shape [3]"));
  tensor.clear_float_data();
  for (int i = 0; i < 3; ++i) tensor.add_int32_data(i);  // the wrong field
  EXPECT_THAT(parse_error(model), HasSubstr("tensor w: shape [3]"));
}

TEST(OnnxBadInput, AbsurdSizes) {
  auto model = relu_model();
  auto& tensor = add_initializer(model, "w", {std::int64_t{1} << 60}, wire::TensorProto::FLOAT);
  EXPECT_THAT(parse_error(model), HasSubstr("tensor w"));
  // Small enough for the limit, but nothing stands behind it: no memory may be taken for it.
  tensor.set_dims(0, std::int64_t{1} << 38);
  EXPECT_THAT(parse_error(model), HasSubstr("the file has 0"));
  tensor.clear_dims();
  for (int i = 0; i < 3; ++i) tensor.add_dims(std::int64_t{1} << 30);
  EXPECT_THAT(parse_error(model), HasSubstr("absurdly large"));
  auto wide = empty_model();
  add_input(wide, "x", {std::int64_t{1} << 30, std::int64_t{1} << 30});
  add_node(wide, "Relu", {"x"}, {"y"});
  add_output(wide, "y", {1});
  EXPECT_THAT(parse_error(wide), HasSubstr("x claims an absurdly large shape"));
}

TEST(OnnxBadInput, NegativeDimensions) {
  auto model = relu_model();
  add_floats(model, "w", {-2}, {1, 2});
  EXPECT_EQ(parse_error(model), "tensor w has a negative dimension (-2)");
  auto input = empty_model();
  add_input(input, "x", {1, -3});
  add_node(input, "Relu", {"x"}, {"y"});
  add_output(input, "y", {1});
  EXPECT_EQ(parse_error(input), "graph input: x has a negative dimension (-3 at axis 1)");
}

TEST(OnnxBadInput, Duplicates) {
  auto twice = relu_model();
  add_node(twice, "Relu", {"x"}, {"y"}, "again");
  EXPECT_EQ(parse_error(twice),
            "node again (Relu) makes value y, which is made by another node, too");
  auto input = relu_model();
  add_node(input, "Relu", {"y"}, {"x"}, "loop");
  EXPECT_THAT(parse_error(input), HasSubstr("makes value x, which is a graph input"));
  auto initializers = relu_model();
  add_floats(initializers, "w", {1}, {1});
  add_floats(initializers, "w", {1}, {2});
  EXPECT_EQ(parse_error(initializers), "value w is defined twice");
  auto constant = relu_model();
  add_floats(constant, "y", {1}, {1});
  EXPECT_THAT(parse_error(constant), HasSubstr("makes value y, which is an initializer"));
  auto inputs = relu_model();
  add_input(inputs, "x", {1, 4});
  EXPECT_EQ(parse_error(inputs), "graph input x is listed twice");
  auto outputs = relu_model();
  add_output(outputs, "y", {1, 4});
  EXPECT_EQ(parse_error(outputs), "graph output y is listed twice");
  auto attributes = relu_model();
  set_int(*attributes.mutable_graph()->mutable_node(0), "a", 1);
  set_int(*attributes.mutable_graph()->mutable_node(0), "a", 2);
  EXPECT_EQ(parse_error(attributes), "node relu (Relu): attribute a is given twice");
}

TEST(OnnxBadInput, NamesAndOperatorsThatAreMissing) {
  auto model = relu_model();
  model.mutable_graph()->mutable_node(0)->clear_op_type();
  EXPECT_THAT(parse_error(model), HasSubstr("node relu () names no operator"));
  auto unnamed = relu_model();
  add_floats(unnamed, "", {1}, {1});
  EXPECT_EQ(parse_error(unnamed), "initializer number 0 has no name");
  auto output = relu_model();
  add_output(output, "z", {1});
  EXPECT_THAT(parse_error(output), HasSubstr("the list of graph outputs reads z"));
  auto none = relu_model();
  none.mutable_graph()->clear_output();
  EXPECT_EQ(parse_error(none), "the graph has no outputs");
  auto no_graph = empty_model();
  no_graph.clear_graph();
  EXPECT_THAT(parse_error(no_graph), HasSubstr("holds no graph"));
}

TEST(OnnxBadInput, ControlFlowByName) {
  for (const std::string op : {"If", "Loop", "Scan"}) {
    auto model = relu_model();
    add_node(model, op, {"x"}, {"z"}, "branch");
    EXPECT_EQ(parse_error(model),
              "node branch (" + op + "): control flow (" + op + ") is not supported");
  }
}

TEST(OnnxBadInput, Opsets) {
  EXPECT_EQ(parse_error(relu_model(6)), "the model uses opset 6; octet reads opsets 7 to 28");
  EXPECT_EQ(parse_error(relu_model(29)), "the model uses opset 29; octet reads opsets 7 to 28");
  auto none = relu_model();
  none.clear_opset_import();
  EXPECT_EQ(parse_error(none), "the model does not say which opset it uses");
  auto two = relu_model();
  add_opset(two, 13, "ai.onnx");
  EXPECT_THAT(parse_error(two), HasSubstr("imports versions 21 and 13"));
}

TEST(OnnxBadInput, CycleIsNamedByTheVerifier) {
  auto model = empty_model();
  add_input(model, "x", {4});
  add_node(model, "Add", {"x", "b"}, {"a"}, "first");
  add_node(model, "Relu", {"a"}, {"b"}, "second");
  add_output(model, "b", {4});
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph.has_value());
  const auto status = verify(*graph);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("cycle"));
  EXPECT_FALSE(onnx::serialize(*graph).has_value());
}

TEST(OnnxBadInput, IntegersThatTheTypeCannotHold) {
  auto model = relu_model();
  auto& tensor = add_initializer(model, "w", {2}, wire::TensorProto::INT8);
  tensor.add_int32_data(1);
  tensor.add_int32_data(300);
  EXPECT_EQ(parse_error(model), "tensor w: element 1 is 300, which i8 cannot hold");
}

}  // namespace
}  // namespace octet::testing

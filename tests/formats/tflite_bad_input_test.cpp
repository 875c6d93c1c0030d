// Hostile and broken .tflite files: each is one clear error.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <random>

#include "formats/tflite_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet::testing {
namespace {

using ::testing::HasSubstr;
using Op = wire::BuiltinOperator;
using Type = wire::TensorType;

std::string text_error(std::string_view bytes) {
  const auto model = parse_tflite(bytes);
  EXPECT_TRUE(model.has_value() || model.error().kind == ErrorKind::bad_input)
      << model.error().message;
  return model ? std::string() : model.error().message;
}

template <class Change>
std::string error_with(Change change) {
  auto builder = conv_model();
  change(builder);
  return text_error(builder.bytes());
}

TEST(TfliteBadInput, OtherFormats) {
  EXPECT_THAT(text_error(""), HasSubstr("not a TFLite model"));
  EXPECT_THAT(text_error("hello, this is a text"), HasSubstr("not a TFLite model"));
  EXPECT_THAT(text_error(std::string(64, '\0')), HasSubstr("not a TFLite model"));
  EXPECT_THAT(error_with([](auto& b) { b.model().version = 2; }),
              HasSubstr("version 2 of the format"));
}

TEST(TfliteBadInput, OperatorsAreRefusedByName) {
  EXPECT_EQ(error_with([](auto& b) { b.model().operator_codes[0]->builtin_code = Op::WHILE; }),
            "operator 0 (WHILE): octet does not know this operator");
  EXPECT_EQ(error_with([](auto& b) {
              auto& code = *b.model().operator_codes[0];
              code.builtin_code = Op::CUSTOM;
              code.custom_code = "MyOp";
            }),
            "operator 0 (CUSTOM MyOp): octet does not know this operator");
  EXPECT_THAT(error_with([](auto& b) {
                b.model().operator_codes[0]->builtin_code = static_cast<Op>(30000);
              }),
              HasSubstr("operator 0 (BUILTIN 30000)"));
  EXPECT_THAT(error_with([](auto& b) {
                b.model().subgraphs.push_back(std::make_unique<wire::SubGraphT>());
              }),
              HasSubstr("the model has 2 subgraphs"));
  EXPECT_THAT(error_with([](auto& b) { b.model().subgraphs.clear(); }), HasSubstr("no subgraph"));
}

TEST(TfliteBadInput, TensorsAreNamed) {
  EXPECT_THAT(error_with([](auto& b) { b.tensor(1).shape[2] = -3; }),
              HasSubstr("tensor 1 (w): its shape has the negative extent -3"));
  EXPECT_THAT(error_with([](auto& b) { b.tensor(1).shape[2] = 2000000000; }),
              HasSubstr("tensor 1 (w)"));
  EXPECT_THAT(
      error_with([](auto& b) { b.tensor(1).shape[0] = 4; }),
      HasSubstr("tensor 1 (w): its buffer has 216 bytes where FLOAT32 [4,3,3,2] needs 288"));
  EXPECT_THAT(error_with([](auto& b) { b.tensor(1).buffer = 77; }),
              HasSubstr("tensor 1 (w): it has buffer 77 of"));
  EXPECT_THAT(error_with([](auto& b) {
                b.tensor(1).sparsity = std::make_unique<wire::SparsityParametersT>();
              }),
              HasSubstr("tensor 1 (w): sparse tensors are not supported"));
  EXPECT_THAT(error_with([](auto& b) { b.tensor(1).is_variable = true; }),
              HasSubstr("tensor 1 (w): variable tensors"));
  EXPECT_THAT(error_with([](auto& b) { b.tensor(0).shape_signature = {-1}; }),
              HasSubstr("tensor 0 (x): its shape has 4 extents and its signature 1"));
  EXPECT_THAT(error_with([](auto& b) { b.tensor(0).type = Type::STRING; }),
              HasSubstr("graph input x is of type STRING"));
}

TEST(TfliteBadInput, ConnectionsAreChecked) {
  EXPECT_THAT(error_with([](auto& b) { b.op(0).inputs[0] = 99; }),
              HasSubstr("operator 0 (CONV_2D): it reads tensor 99 of 4"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).inputs[0] = -7; }), HasSubstr("reads tensor -7"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).inputs[0] = 3; }),
              HasSubstr("it reads tensor 3 (y), which nothing before it makes"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).outputs[0] = 1; }),
              HasSubstr("it makes tensor 1 (w), which is a constant"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).outputs[0] = 0; }),
              HasSubstr("it makes tensor 0 (x), which is an input or made before"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).inputs = {0}; }),
              HasSubstr("operator 0 (CONV_2D): it has 1 inputs"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).opcode_index = 9; }),
              HasSubstr("operator 0 has code 9 of 1"));
  EXPECT_THAT(error_with([](auto& b) {
                b.graph().inputs = {0, 0};
              }),
              HasSubstr("graph input x is listed twice"));
  EXPECT_THAT(error_with([](auto& b) { b.graph().outputs = {-1}; }),
              HasSubstr("graph output 0 is tensor -1"));
  EXPECT_EQ(error_with([](auto& b) { b.graph().outputs.clear(); }), "the model has no outputs");
}

TEST(TfliteBadInput, OptionsAreChecked) {
  const auto with = [](auto change) {
    return error_with([&](auto& b) { change(*b.op(0).builtin_options.AsConv2DOptions()); });
  };
  EXPECT_THAT(with([](auto& o) { o.stride_w = 0; }),
              HasSubstr("operator 0 (CONV_2D): its stride is 0"));
  EXPECT_THAT(with([](auto& o) { o.dilation_h_factor = -1; }), HasSubstr("its dilation is -1"));
  EXPECT_THAT(with([](auto& o) { o.padding = static_cast<wire::Padding>(9); }),
              HasSubstr("padding is of the unknown kind 9"));
  EXPECT_THAT(error_with([](auto& b) { b.op(0).builtin_options.Reset(); }),
              HasSubstr("operator 0 (CONV_2D): it lacks its options"));
  EXPECT_THAT(error_with([](auto& b) {
                b.tensor(0).shape = {1, 4, 4, 3};
              }),
              HasSubstr("its weights w [3,3,3,2] do not go with the input x [1,4,4,3]"));
}

TEST(TfliteBadInput, RanksAreChecked) {
  EXPECT_EQ(error_with([](auto& b) {
              b.tensor(3).shape = {1, 48};
            }),
            "operator 0 (CONV_2D): its output y [1,48] is not of rank 4");
  EXPECT_THAT(error_with([](auto& b) {
                b.tensor(0).shape = {1, 32};
              }),
              HasSubstr("its input x is not of rank 4"));
  const auto behind = [](Op code, std::vector<int> shape, std::vector<std::int32_t> axes) {
    TfliteBuilder builder;
    const auto x = builder.input("x", std::move(shape));
    const auto image = builder.add("image", {1, 4, 4, 2});
    const auto list = builder.integers("axes", axes);
    const auto w = builder.floats("w", {1, 1, 1, 2}, {1, 2});
    const auto y = builder.output("y", {1, 4, 4, 1});
    const auto options = conv_options();
    wire::ReducerOptionsT reducer;
    reducer.keep_dims = true;
    builder.add_op(code, {x, list}, {image}, &reducer);
    builder.add_op(Op::CONV_2D, {image, w}, {y}, &options);
    return text_error(builder.bytes());
  };
  EXPECT_EQ(behind(Op::MEAN, {1, 1, 1, 4, 4, 2}, {5}),
            "operator 0 (MEAN): tensor x [1,1,1,4,4,2] is not of rank 4");
  EXPECT_EQ(behind(Op::EXPAND_DIMS, {1, 1, 1, 4, 4}, {5}),
            "operator 0 (EXPAND_DIMS): its output image has 4 axes");
}

TEST(TfliteBadInput, DequantizeKeepsTheShape) {
  TfliteBuilder builder;
  const auto c = builder.constant<std::int8_t>("c", {4}, {1, 2, 3, 4}, Type::INT8, {{1}, {0}});
  const auto a = builder.add("a", {1, 1, 2, 2});
  const auto x = builder.input("x", {1, 1, 2, 2});
  const auto y = builder.output("y", {1, 1, 2, 2});
  builder.add_op(Op::DEQUANTIZE, {c}, {a});
  builder.add_op(Op::ADD, {x, a}, {y});
  EXPECT_THAT(text_error(builder.bytes()),
              HasSubstr("operator 0 (DEQUANTIZE): its input c has the shape [4] and its output a"));
}

TEST(TfliteBadInput, AxesAreChecked) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {2, 3});
  const auto axis = builder.integers("axis", {5});
  const auto y = builder.output("y", {2});
  builder.add_op(Op::MEAN, {x, axis}, {y});
  EXPECT_THAT(text_error(builder.bytes()), HasSubstr("operator 0 (MEAN): axis 5"));
  builder.tensor(axis).buffer = 0;
  builder.graph().inputs.push_back(axis);
  EXPECT_THAT(text_error(builder.bytes()),
              HasSubstr("operator 0 (MEAN): the axes (axis) are not constant"));
}

/// Constants that share a buffer do not multiply a small file without end.
TEST(TfliteBadInput, ManyTensorsOfOneBufferAreBounded) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {1 << 16});
  builder.floats("c", {1 << 16}, std::vector<float>(1 << 16, 1));
  auto last = x;
  for (int i = 0; i < 400; ++i) {
    const auto copy = builder.add("copy", {1 << 16});
    builder.tensor(copy).buffer = 1;
    const auto sum = builder.add("sum", {1 << 16});
    builder.add_op(Op::ADD, {last, copy}, {sum});
    last = sum;
  }
  builder.graph().outputs = {last};
  EXPECT_THAT(text_error(builder.bytes()), HasSubstr("the constants take far more space"));
}

TEST(TfliteBadInput, CutOffAnywhereIsAnError) {
  const auto bytes = conv_model().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // The last bytes may belong to nothing but the alignment.
    if (size + 16 > bytes.size()) break;
    EXPECT_NE(text_error(std::string_view(bytes).substr(0, size)), "") << size;
  }
}

TEST(TfliteBadInput, FlippedBytesNeverCrash) {
  std::mt19937 random(1);
  const auto good = mixed_model();
  EXPECT_EQ(text_error(good), "");
  int read = 0;
  for (int i = 0; i < 6000; ++i) {
    auto bytes = good;
    for (int k = 0; k < 1 + i % 3; ++k)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    auto model = parse_tflite(bytes);
    if (!model || !verify(*model)) continue;
    if (infer_shapes(model->graph)) static_cast<void>(verify(*model).has_value());
    ++read;
  }
  EXPECT_GT(read, 500);
}

}  // namespace
}  // namespace octet::testing

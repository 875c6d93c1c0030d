#include <algorithm>
#include <cmath>

#include "formats/tflite_written.h"
#include "graph/graph_builder.h"
#include "graph/litert_attributes.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;
namespace wire = tflite::wire;

using testing::set_codes;
using testing::set_weight_codes;
using testing::Written;

/// [N,H,W,C] -> Conv with weights and bias -> Relu (not quantized between) -> depthwise Conv.
struct Network {
  GraphBuilder b;
  QuantizedGraph model;
  ValueId x, image, conv, relu, depthwise, y;

  explicit Network(int bits = 8, DType storage = DType::i8) {
    x = b.input("x", {1, 5, 5, 2});
    image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
    const auto w = b.weights("w", {3, 2, 3, 3});
    const auto bias = b.weights("bias", {3}, 2);
    conv = b.node("Conv", {image, w, bias}, "conv", {{"pads", Ints{1, 1, 1, 1}}});
    relu = b.node("Relu", {conv}, "relu");
    const auto v = b.weights("v", {3, 1, 3, 3}, 3);
    depthwise = b.node("Conv", {relu, v}, "depthwise", {{"group", std::int64_t{3}}});
    y = b.node("Transpose", {depthwise}, "y", {{"perm", Ints{0, 2, 3, 1}}});
    b.output(y);
    model.graph = b.graph;
    const std::int32_t zero = bits == 8 ? -5 : 0;
    for (const auto id : {x, image}) set_codes(model, id, 0.05F, zero, bits, storage);
    set_codes(model, relu, 0.1F, bits == 8 ? -128 : 0, bits, storage);
    for (const auto id : {depthwise, y}) set_codes(model, id, 0.2F, zero, bits, storage);
    set_weight_codes(model, w, 0, 3);
    set_weight_codes(model, v, 0, 3);
    set_bias(bias, w);
  }

  void set_bias(ValueId bias, ValueId weight) {
    const bool wide = model.plan.values.at(x).scheme.bits == 16;
    Quantization out;
    out.scheme = {32, Symmetry::symmetric, Granularity::per_channel, 0, CodeRange::full};
    for (const float scale : model.plan.values.at(weight).params.scale) {
      out.params.scale.push_back(0.05F * scale);
      out.params.zero_point.push_back(0);
    }
    out.params.axis = 0;
    out.storage = wide ? DType::i64 : DType::i32;
    model.plan.values[bias] = out;
    model.plan.payloads[bias] = wide ? Tensor::from<std::int64_t>({7, -900, 100000}, {3})
                                     : Tensor::from<std::int32_t>({7, -900, 100000}, {3});
  }
};

TEST(TfliteWriterQuantized, Int8OperatorsTypesAndAxes) {
  const Network net;
  const Written file(net.model);
  EXPECT_EQ(file.operators(), "QUANTIZE CONV_2D.3 DEPTHWISE_CONV_2D.3 DEQUANTIZE.2");
  const auto& input = file.tensor("x_int8");
  EXPECT_EQ(input.type, wire::TensorType::INT8);
  EXPECT_EQ(input.quantization->scale, std::vector<float>{0.05F});
  EXPECT_EQ(input.quantization->zero_point, std::vector<std::int64_t>{-5});
  EXPECT_TRUE(input.quantization->min.empty());
  const auto& weight = file.tensor("w");
  EXPECT_EQ(weight.type, wire::TensorType::INT8);
  EXPECT_EQ(weight.shape, (std::vector<int>{3, 3, 3, 2}));
  EXPECT_EQ(weight.quantization->quantized_dimension, 0);
  EXPECT_EQ(weight.quantization->zero_point, (std::vector<std::int64_t>{0, 0, 0}));
  const auto& depthwise = file.tensor("v");
  EXPECT_EQ(depthwise.shape, (std::vector<int>{1, 3, 3, 3}));
  EXPECT_EQ(depthwise.quantization->quantized_dimension, 3);
  const auto& bias = file.tensor("bias");
  EXPECT_EQ(bias.type, wire::TensorType::INT32);
  EXPECT_EQ(file.data<std::int32_t>(bias), (std::vector<std::int32_t>{7, -900, 100000}));
  EXPECT_EQ(file.op(1).builtin_options.AsConv2DOptions()->fused_activation_function,
            wire::ActivationFunctionType::RELU);
  // The depthwise convolution has no bias; the file's has zeros in its units.
  const auto& zeros = file.input(2, 2);
  EXPECT_EQ(zeros.type, wire::TensorType::INT32);
  EXPECT_FLOAT_EQ(zeros.quantization->scale[1], 0.1F * 0.02F);
  EXPECT_EQ(file.data<std::int32_t>(zeros), (std::vector<std::int32_t>{0, 0, 0}));
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, PayloadsComeBackAsTheyWere) {
  const Network net;
  const auto read = Written(net.model).read();
  for (const std::string name : {"w", "v", "bias"}) {
    const auto before = net.model.graph.find_value(name);
    const auto after = read.graph.find_value(name);
    ASSERT_NE(after, ValueId::none) << name;
    EXPECT_TRUE(identical(net.model.plan.payloads.at(before), read.plan.payloads.at(after)))
        << name;
    EXPECT_EQ(net.model.plan.values.at(before).params, read.plan.values.at(after).params) << name;
  }
  for (const std::string name : {"x", "relu", "y"}) {
    const auto& before = net.model.plan.values.at(net.model.graph.find_value(name));
    const auto& after = read.plan.values.at(read.graph.find_value(name));
    EXPECT_EQ(before.params, after.params) << name;
  }
  EXPECT_EQ(read.plan.find(read.graph.find_value("relu/linear")), nullptr);
  EXPECT_TRUE(read.plan.coded_io.empty());
}

TEST(TfliteWriterQuantized, IntegerInputsAndOutputs) {
  Network net;
  net.model.plan.coded_io[net.x] = DType::i8;
  net.model.plan.coded_io[net.y] = DType::u8;
  const Written file(net.model);
  EXPECT_EQ(file.operators(), "CONV_2D.3 DEPTHWISE_CONV_2D.3 QUANTIZE");
  EXPECT_EQ(file.tensor("x").type, wire::TensorType::INT8);
  EXPECT_EQ(file.tensor("y").type, wire::TensorType::UINT8);
  EXPECT_EQ(file.tensor("y").quantization->zero_point, std::vector<std::int64_t>{123});
  const auto read = file.read();
  EXPECT_EQ(read.plan.coded_io.at(read.graph.find_value("x")), DType::i8);
  EXPECT_EQ(read.plan.coded_io.at(read.graph.find_value("y")), DType::u8);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, UnsignedStorageOfOnnxIsWrittenSigned) {
  const Network net(8, DType::u8);
  const Written file(net.model);
  EXPECT_EQ(file.tensor("relu").type, wire::TensorType::INT8);
  EXPECT_EQ(file.tensor("relu").quantization->zero_point, std::vector<std::int64_t>{-128});
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, SixteenBitActivationsHaveInt64Biases) {
  const Network net(16, DType::i16);
  const Written file(net.model);
  EXPECT_EQ(file.operators(), "QUANTIZE.2 CONV_2D.4 DEPTHWISE_CONV_2D.5 DEQUANTIZE.3");
  EXPECT_EQ(file.tensor("bias").type, wire::TensorType::INT64);
  EXPECT_EQ(file.data<std::int64_t>(file.tensor("bias")),
            (std::vector<std::int64_t>{7, -900, 100000}));
  EXPECT_EQ(file.tensor("w").type, wire::TensorType::INT8);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, OldFilesOfUnsignedCodesStayUnsigned) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto w = b.weights("w", {3, 4});
  const auto y = b.node("Gemm", {x, w}, "y", {{"transB", std::int64_t{1}}});
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  set_codes(model, x, 0.1F, 3, 8, DType::u8);
  set_codes(model, y, 0.1F, -2, 8, DType::u8);
  set_codes(model, w, 0.01F, 5, 8, DType::u8);
  model.plan.coded_io = {{x, DType::u8}, {y, DType::u8}};
  const Written file(model);
  EXPECT_EQ(file.operators(), "FULLY_CONNECTED");
  EXPECT_EQ(file.tensor("w").type, wire::TensorType::UINT8);
  EXPECT_EQ(file.tensor("w").quantization->zero_point, std::vector<std::int64_t>{133});
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, FloatsAndCodesMeet) {
  // Only the product runs on codes; its input has other readers.
  GraphBuilder b;
  const auto x = b.input("x", {2, 4});
  const auto w = b.weights("w", {4, 3});
  const auto p = b.node("MatMul", {x, w}, "p");
  const auto e = b.node("Erf", {p}, "unused");
  static_cast<void>(e);
  const auto s = b.node("Softplus", {p}, "s");
  const auto r = b.node("Sqrt", {x}, "r");
  b.output(s);
  b.output(r);
  QuantizedGraph model{b.graph, {}};
  set_codes(model, p, 0.1F, 1);
  set_weight_codes(model, w, 1, 3);
  const auto& graph = model.graph;
  const auto product = graph.producers()[index(p)];
  Quantization input;
  input.params = {{0.05F}, {2}, -1};
  model.plan.overrides[{product, 0}] = input;
  const Written file(model);
  EXPECT_EQ(file.operators(),
            "QUANTIZE FULLY_CONNECTED.4 DEQUANTIZE.2 RELU ABS NEG EXP ADD LOG ADD SQRT");
  EXPECT_EQ(file.input(1, 1).shape, (std::vector<int>{3, 4}));
  EXPECT_EQ(file.input(1, 1).quantization->quantized_dimension, 0);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, OtherParametersNeedAQuantize) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 4});
  const auto y = b.node("Identity", {x}, "y");
  const auto m = b.node("Concat", {y, x}, "z", {{"axis", std::int64_t{1}}});
  b.output(m);
  QuantizedGraph model{b.graph, {}};
  set_codes(model, x, 0.1F, 1);
  set_codes(model, y, 0.2F, 0);
  set_codes(model, m, 0.2F, 0);
  model.plan.coded_io = {{x, DType::i8}, {m, DType::i8}};
  const Written file(model);
  EXPECT_EQ(file.operators(), "QUANTIZE QUANTIZE CONCATENATION.2");
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, Int4WeightsArePacked) {
  Network net;
  const auto w = net.model.graph.find_value("w");
  auto& weight = net.model.plan.values[w];
  weight.storage = DType::i4;
  weight.scheme.bits = 4;
  auto* codes = net.model.plan.payloads[w].mutable_data<std::int8_t>();
  for (int i = 0; i < 54; ++i) codes[i] = static_cast<std::int8_t>(i % 15 - 7);
  const Written file(net.model);
  EXPECT_EQ(file.operators(), "QUANTIZE CONV_2D.7 DEPTHWISE_CONV_2D.3 DEQUANTIZE.2");
  EXPECT_EQ(file.tensor("w").type, wire::TensorType::INT4);
  EXPECT_EQ(file.data<std::uint8_t>(file.tensor("w")).size(), 27U);
  const auto read = file.read();
  const auto after = read.graph.find_value("w");
  EXPECT_TRUE(identical(read.plan.payloads.at(after), net.model.plan.payloads.at(w)));
  EXPECT_EQ(read.plan.values.at(after).storage, DType::i4);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, FixedOutputsAreRequantized) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 4});
  const auto s = b.node("Sigmoid", {x}, "s");
  b.output(s);
  QuantizedGraph model{b.graph, {}};
  set_codes(model, x, 0.1F, 1);
  set_codes(model, s, 0.004F, -128);
  model.plan.coded_io = {{x, DType::i8}, {s, DType::i8}};
  const Written file(model);
  EXPECT_EQ(file.operators(), "LOGISTIC.2 QUANTIZE");
  const auto& gate = file.tensor(file.op(0).outputs[0]);
  EXPECT_EQ(gate.quantization->scale, std::vector<float>{1.0F / 256});
  EXPECT_EQ(gate.quantization->zero_point, std::vector<std::int64_t>{-128});
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, ConstantOperandsGetCodes) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 3, 3});
  const auto image = b.node("Conv", {x, b.weights("w", {2, 2, 1, 1})}, "conv");
  const auto y =
      b.node("Add", {image, b.constant("c", Tensor::from<float>({2, -1}, {2, 1, 1}))}, "y");
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  for (const auto id : {x, image, y}) set_codes(model, id, 0.1F, 1);
  set_weight_codes(model, model.graph.find_value("w"), 0, 2);
  const Written file(model);
  EXPECT_EQ(file.operators(), "QUANTIZE TRANSPOSE.2 CONV_2D.3 ADD.2 TRANSPOSE.2 DEQUANTIZE.2");
  const auto& constant = file.tensor("c");
  EXPECT_EQ(constant.type, wire::TensorType::INT8);
  EXPECT_EQ(constant.shape, (std::vector<int>{1, 1, 1, 2}));
  const auto codes = file.data<std::int8_t>(constant);
  const auto& q = *constant.quantization;
  for (int i = 0; i < 2; ++i) {
    const float back =
        q.scale[0] * static_cast<float>(codes[static_cast<std::size_t>(i)] - q.zero_point[0]);
    EXPECT_NEAR(back, i == 0 ? 2 : -1, q.scale[0] / 2);
  }
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, DynamicProductsKeepFloatActivations) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 64}, {"N", ""});
  const auto w = b.weights("w", {64, 32});
  const auto y = b.node("MatMul", {x, w}, "y");
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  set_weight_codes(model, w, 1, 32);
  model.plan.overrides[{model.graph.producers()[index(y)], 0}] = dynamic_quantization();
  const Written file(model);
  EXPECT_EQ(file.operators(), "FULLY_CONNECTED.12");
  EXPECT_EQ(file.tensor("x").type, wire::TensorType::FLOAT32);
  EXPECT_EQ(file.input(0, 1).type, wire::TensorType::INT8);
  EXPECT_EQ(file.input(0, 2).type, wire::TensorType::FLOAT32);
  EXPECT_FALSE(file.op(0).builtin_options.AsFullyConnectedOptions()->asymmetric_quantize_inputs);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, DynamicConvolutionsOfGroupsNeedAScalePerChannel) {
  for (const bool per_channel : {true, false}) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 6, 6, 8});
    const auto image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
    const auto w = b.weights("w", {8, 4, 3, 3});
    const auto y = b.node("Conv", {image, w}, "conv", {{"group", std::int64_t{2}}});
    b.output(b.node("Transpose", {y}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
    QuantizedGraph model{b.graph, {}};
    set_weight_codes(model, w, 0, 8);
    if (!per_channel) set_codes(model, w, 0.01F, 0);
    model.plan.overrides[{model.graph.producers()[index(y)], 0}] = dynamic_quantization();
    const Written file(model);
    EXPECT_EQ(file.operators(), per_channel ? "CONV_2D.6" : "DEQUANTIZE.2 CONV_2D.6");
    file.expect_fixpoint();
  }
}

TEST(TfliteWriterQuantized, AsymmetricInputsOfDynamicProductsAreKept) {
  GraphBuilder b;
  const auto x = b.input("x", {4, 64});
  const auto w = b.weights("w", {64, 32});
  const auto y = b.node("MatMul", {x, w}, "y", {{"asymmetric_quantize_inputs", std::int64_t{1}}});
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  set_codes(model, w, 0.01F, 0);
  model.plan.overrides[{model.graph.producers()[index(y)], 0}] = dynamic_quantization();
  const Written file(model);
  EXPECT_EQ(file.operators(), "FULLY_CONNECTED.9");
  EXPECT_TRUE(file.op(0).builtin_options.AsFullyConnectedOptions()->asymmetric_quantize_inputs);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, SixteenBitProductsGetNoBiasThatTheyHaveNot) {
  GraphBuilder b;
  const auto x = b.input("x", {4, 8});
  const auto w = b.weights("w", {8, 3});
  const auto y = b.node("MatMul", {x, w}, "y");
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  for (const auto id : {x, y}) set_codes(model, id, 0.01F, 0, 16, DType::i16);
  set_weight_codes(model, w, 1, 3);
  const Written file(model);
  EXPECT_EQ(file.operators(), "QUANTIZE.2 FULLY_CONNECTED.7 DEQUANTIZE.3");
  EXPECT_EQ(file.op(1).inputs.size(), 2U);
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, WhatIsKeptInFloatBetweenCodesIsReadSo) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto s = b.node("Sigmoid", {x}, "s");
  const auto y = b.node("Relu", {s}, "y");
  b.output(y);
  QuantizedGraph model{b.graph, {}};
  for (const auto id : {x, s, y}) set_codes(model, id, 0.05F, -3);
  keep_float(model, model.graph.producers()[index(s)]);
  const Written file(model);
  EXPECT_EQ(file.operators(), "QUANTIZE DEQUANTIZE.2 LOGISTIC QUANTIZE RELU.2 DEQUANTIZE.2");
  const auto read = file.read();
  EXPECT_TRUE(is_kept_float(testing::maker_of(read.graph, "s")));
  EXPECT_FALSE(is_kept_float(testing::maker_of(read.graph, "y")));
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, CodesOfRootsAndNegationsAreLiteRts) {
  for (const auto rule : {Rule::onnx, Rule::xnnpack}) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 8});
    const auto s = b.node("Sqrt", {x}, "s");
    const auto y = b.node("Neg", {s}, "y");
    b.output(y);
    QuantizedGraph model{b.graph, {}};
    for (const auto id : {x, s, y}) set_codes(model, id, 0.05F, -3);
    model.plan.rule = rule;
    const Written file(model);
    EXPECT_EQ(file.operators(),
              rule == Rule::xnnpack
                  ? "QUANTIZE SQRT.2 NEG DEQUANTIZE.2"
                  : "QUANTIZE DEQUANTIZE.2 SQRT QUANTIZE DEQUANTIZE.2 NEG QUANTIZE DEQUANTIZE.2");
    file.expect_fixpoint();
  }
}

TEST(TfliteWriterQuantized, WeightOnlyModelsDequantizeTheirWeights) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8, 8, 16});
  const auto image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  const auto w = b.weights("w", {4, 16, 3, 3});
  const auto y = b.node("Conv", {image, w}, "conv");
  b.output(b.node("Transpose", {y}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
  QuantizedGraph model{b.graph, {}};
  set_weight_codes(model, w, 0, 4);
  const Written file(model);
  EXPECT_EQ(file.operators(), "DEQUANTIZE.5 CONV_2D");
  EXPECT_EQ(file.input(0, 0).shape, (std::vector<int>{4, 3, 3, 16}));
  file.expect_fixpoint();
}

TEST(TfliteWriterQuantized, HalfPrecisionWeightsAreDequantized) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3});
  const auto half = b.constant("h", Tensor::zeros(DType::f16, {3, 2}));
  const auto w = b.node("Cast", {half}, "w", {{"to", std::int64_t{1}}});
  b.output(b.node("MatMul", {x, w}, "y"));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "DEQUANTIZE.3 FULLY_CONNECTED");
  EXPECT_EQ(file.tensor("h").type, wire::TensorType::FLOAT16);
  EXPECT_EQ(file.tensor("h").shape, (std::vector<int>{2, 3}));
  file.expect_fixpoint();
}

std::string error_of(const QuantizedGraph& model) {
  const auto bytes = tflite::serialize(model);
  return bytes ? "" : bytes.error().message;
}

/// The scales at which LiteRT stops loading, and the last before.
TEST(TfliteWriterQuantized, ScalesThatLitertDoesNotLoadAreRefusedByName) {
  Network net;
  const float unit = 0.05F * 0.02F;  // the larger weight scales are raised below
  const auto w = net.b.graph.find_value("w");
  net.model.plan.values.at(w).params.scale = {0.01F, 0.02F, 0.01F};
  net.set_bias(net.b.graph.find_value("bias"), w);
  net.model.plan.values.at(net.relu).params.scale = {unit / 255};
  EXPECT_EQ(error_of(net.model), "");
  net.model.plan.values.at(net.relu).params.scale = {unit / 257};
  EXPECT_EQ(error_of(net.model),
            "node conv_node (Conv): LiteRT does not load this CONV_2D: input scale * weight scale "
            "is 257 output scales, and must be less than 256; quantize the float model for target "
            "tflite, which raises such scales");
  // The reference kernels take it.
  net.model.plan.rule = Rule::tflite;
  EXPECT_EQ(error_of(net.model), "");
}

struct OneOperator {
  std::string_view op;
  float input, output;
  int bits;
  const char* error;
};

TEST(TfliteWriterQuantized, LimitsOfOneOperator) {
  const OneOperator cases[] = {
      {"Add", 0x1p18F, 1, 8, ""},
      {"Add", 0x1p19F, 1, 8, "than 524288"},
      {"Add", 0x1p13F, 1, 16, ""},
      {"Add", 0x1p14F, 1, 16, "than 16384"},
      {"HardSwish", 127, 1, 8, ""},
      {"HardSwish", 128, 1, 8, "than 128"},
      {"Softmax", 0x1p-25F, 0x1p-8F, 8, ""},
      {"Softmax", 0x1p-26F, 0x1p-8F, 8, "more than 2^-26"},
      {"Relu", 1, 0x1p-126F, 8, ""},
      {"Relu", 1, 0x1p-127F, 8, "less than 2^-126"},
  };
  for (const auto& entry : cases) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 4});
    const auto z = b.input("z", {1, 4});
    const auto y =
        entry.op == "Add" ? b.node("Add", {x, z}, "y") : b.node(std::string(entry.op), {x}, "y");
    b.output(y);
    QuantizedGraph model;
    model.graph = b.graph;
    const auto storage = entry.bits == 8 ? DType::i8 : DType::i16;
    set_codes(model, x, entry.input, 0, entry.bits, storage);
    set_codes(model, z, entry.output, 0, entry.bits, storage);
    set_codes(model, y, entry.output, entry.op == "Softmax" ? -128 : 0, entry.bits, storage);
    const auto error = error_of(model);
    EXPECT_EQ(error.empty(), *entry.error == 0) << entry.op << " " << entry.input << error;
    EXPECT_NE(error.find(entry.error), std::string::npos) << error;
  }
}

TEST(TfliteWriterQuantized, FusedBoundsFitInt32) {
  for (const auto& [scale, good] : {std::pair(0x1p-30F, true), std::pair(0x1p-31F, false)}) {
    GraphBuilder b;
    const auto x = b.input("x", {1, 4});
    const auto sum = b.node("Add", {x, x}, "sum");
    const auto y = b.node("Clip", {sum, b.scalar("low", -1), b.scalar("high", 1)}, "y");
    b.output(y);
    QuantizedGraph model;
    model.graph = b.graph;
    set_codes(model, x, scale, 0, 8, DType::i8);
    set_codes(model, y, scale, 0, 8, DType::i8);
    const auto error = error_of(model);
    EXPECT_EQ(error.empty(), good) << error;
  }
}

}  // namespace
}  // namespace octet

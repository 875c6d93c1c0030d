// .tflite operators, axes, names and metadata -> Graph.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "formats/tflite_read.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using Activation = wire::ActivationFunctionType;
using Op = wire::BuiltinOperator;

std::vector<std::string> operators(const Graph& graph) {
  std::vector<std::string> names;
  const auto order = graph.topological_order().value();
  for (const auto id : order) names.push_back(graph.node(id).op);
  return names;
}

const Node& only(const Graph& graph, std::string_view op) {
  const Node* found = nullptr;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || node.op != op) continue;
    EXPECT_EQ(found, nullptr) << "a second " << op;
    found = &node;
  }
  EXPECT_NE(found, nullptr) << "no " << op;
  return *found;
}

const Value& named(const Graph& graph, std::string_view name) {
  const auto id = graph.find_value(name);
  EXPECT_NE(id, ValueId::none) << name;
  return graph.value(id);
}

std::vector<std::int64_t> constant_of(const Graph& graph, const Node& node, std::size_t i) {
  return to_int64(*graph.constant(node.input(i))).value();
}

TEST(TfliteReader, AConvolutionBetweenTransposes) {
  const auto graph = read(conv_model()).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Transpose", "Conv", "Transpose"));
  const auto& conv = only(graph, "Conv");
  EXPECT_THAT(conv.ints_attribute("pads"), ElementsAre(1, 1, 1, 1));
  EXPECT_EQ(conv.int_attribute("group", 0), 1);
  EXPECT_EQ(named(graph, "x").shape, (Shape{1, 4, 4, 2}));
  EXPECT_EQ(named(graph, "x/nchw").shape, (Shape{1, 2, 4, 4}));
  EXPECT_EQ(named(graph, "y/nchw").shape, (Shape{1, 3, 4, 4}));
  EXPECT_EQ(named(graph, "y").shape, (Shape{1, 4, 4, 3}));
  const auto& weight = *graph.constant(conv.input(1));
  ASSERT_EQ(weight.shape(), (Shape{3, 2, 3, 3}));
  // [o,i,h,w] is element ((o * 3 + h) * 3 + w) * 2 + i of the file.
  for (int o = 0; o < 3; ++o) {
    for (int i = 0; i < 2; ++i) {
      for (int k = 0; k < 9; ++k) {
        EXPECT_EQ(weight.data<float>()[(o * 2 + i) * 9 + k],
                  static_cast<float>((o * 9 + k) * 2 + i));
      }
    }
  }
}

TEST(TfliteReader, FusedActivationsAreNodes) {
  const auto relu = read(conv_model(Activation::RELU)).graph;
  EXPECT_THAT(operators(relu), ElementsAre("Transpose", "Conv", "Relu", "Transpose"));
  EXPECT_EQ(relu.value(only(relu, "Conv").output()).name, "y/linear");
  const auto clip = read(conv_model(Activation::RELU6)).graph;
  const auto& node = only(clip, "Clip");
  EXPECT_EQ(clip.constant(node.input(1))->data<float>()[0], 0);
  EXPECT_EQ(clip.constant(node.input(2))->data<float>()[0], 6);
  const auto refused = parse_tflite(conv_model(Activation::TANH).bytes());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message,
            "operator 0 (CONV_2D): the fused activation TANH is not supported");
}

TEST(TfliteReader, SamePaddingOfUnknownExtentsStaysAWord) {
  auto builder = conv_model();
  builder.tensor(0).shape_signature = {-1, -1, -1, 2};
  const auto graph = read(builder).graph;
  EXPECT_EQ(named(graph, "x").shape, (Shape{dynamic_dim, dynamic_dim, dynamic_dim, 2}));
  const auto& conv = only(graph, "Conv");
  EXPECT_EQ(conv.string_attribute("auto_pad", ""), "SAME_UPPER");
  EXPECT_FALSE(conv.attributes.contains("pads"));
}

TEST(TfliteReader, DepthwiseWeightsAreGroupsOfOne) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {1, 2, 2, 2});
  const auto w = builder.floats("w", {1, 1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  const auto y = builder.output("y", {1, 2, 1, 4});
  wire::DepthwiseConv2DOptionsT options;
  options.padding = wire::Padding::VALID;
  options.stride_h = options.stride_w = 1;
  options.depth_multiplier = 2;
  builder.add_op(Op::DEPTHWISE_CONV_2D, {x, w}, {y}, &options);
  const auto graph = read(builder).graph;
  const auto& conv = only(graph, "Conv");
  EXPECT_EQ(conv.int_attribute("group", 0), 2);
  const auto& weight = *graph.constant(conv.input(1));
  EXPECT_EQ(weight.shape(), (Shape{4, 1, 1, 2}));
  EXPECT_THAT(weight.values<float>(), ElementsAre(0, 4, 1, 5, 2, 6, 3, 7));
}

TEST(TfliteReader, TransposedConvolutionsCutOrAddAtTheEnd) {
  const auto made = [](int output, wire::Padding padding) {
    TfliteBuilder builder;
    const auto shape = builder.integers("shape", {1, output, output, 1});
    const auto w = builder.floats("w", {1, 3, 3, 1}, std::vector<float>(9, 1));
    const auto x = builder.input("x", {1, 4, 4, 1});
    const auto y = builder.output("y", {1, output, output, 1});
    wire::TransposeConvOptionsT options;
    options.padding = padding;
    options.stride_h = options.stride_w = 2;
    builder.add_op(Op::TRANSPOSE_CONV, {shape, w, x}, {y}, &options);
    const auto graph = read(builder).graph;
    return only(graph, "ConvTranspose");
  };
  // All of it is 9 wide; SAME for 8 pads one in all, which is the one at the end.
  EXPECT_THAT(made(8, wire::Padding::SAME).ints_attribute("pads"), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(made(7, wire::Padding::SAME).ints_attribute("pads"), ElementsAre(1, 1, 1, 1));
  const auto larger = made(10, wire::Padding::VALID);
  EXPECT_THAT(larger.ints_attribute("pads"), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(larger.ints_attribute("output_padding"), ElementsAre(1, 1));
}

TEST(TfliteReader, ImagesFollowThroughWhatWorksOnEachElement) {
  auto builder = conv_model();
  builder.graph().outputs.clear();
  const auto scale = builder.floats("scale", {3}, {1, 2, 3});
  const auto scaled = builder.add("scaled", {1, 4, 4, 3});
  const auto axes = builder.integers("axes", {1, 2});
  const auto mean = builder.output("mean", {1, 3});
  builder.add_op(Op::MUL, {3, scale}, {scaled});
  const auto options = wire::ReducerOptionsT();
  builder.add_op(Op::MEAN, {scaled, axes}, {mean}, &options);
  const auto graph = read(builder).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Transpose", "Conv", "Mul", "ReduceMean"));
  EXPECT_EQ(graph.constant(only(graph, "Mul").input(1))->shape(), (Shape{1, 3, 1, 1}));
  EXPECT_THAT(constant_of(graph, only(graph, "ReduceMean"), 1), ElementsAre(2, 3));
}

TEST(TfliteReader, WhatComesBeforeAConvolutionIsAnImageToo) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {1, 3, 3, 2});
  const auto pads = builder.constant<std::int32_t>("pads", {4, 2}, {0, 0, 0, 1, 2, 3, 0, 0},
                                                   wire::TensorType::INT32);
  const auto padded = builder.add("padded", {1, 4, 8, 2});
  const auto w = builder.floats("w", {1, 1, 1, 2}, {1, 2});
  const auto y = builder.output("y", {1, 4, 8, 1});
  builder.add_op(Op::PAD, {x, pads}, {padded});
  const auto options = conv_options();
  builder.add_op(Op::CONV_2D, {padded, w}, {y}, &options);
  const auto graph = read(builder).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Transpose", "Pad", "Conv", "Transpose"));
  EXPECT_THAT(constant_of(graph, only(graph, "Pad"), 1), ElementsAre(0, 0, 0, 2, 0, 0, 1, 3));
}

TEST(TfliteReader, AReshapeOfTheSameBytesNeedsNoTranspose) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {2, 12});
  const auto shape = builder.integers("shape", {2, 3, 4, 1});
  const auto image = builder.add("image", {2, 3, 4, 1});
  wire::Pool2DOptionsT options;
  options.padding = wire::Padding::VALID;
  options.stride_h = options.stride_w = 1;
  options.filter_height = 3;
  options.filter_width = 4;
  const auto pooled = builder.add("pooled", {2, 1, 1, 1});
  const auto flat_shape = builder.integers("flat_shape", {2, 1});
  const auto y = builder.output("y", {2, 1});
  builder.add_op(Op::RESHAPE, {x, shape}, {image});
  builder.add_op(Op::AVERAGE_POOL_2D, {image}, {pooled}, &options);
  builder.add_op(Op::RESHAPE, {pooled, flat_shape}, {y});
  const auto graph = read(builder).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Reshape", "AveragePool", "Reshape"));
  EXPECT_EQ(named(graph, "image").shape, (Shape{2, 1, 3, 4}));
}

TEST(TfliteReader, StridedSlicesAreSpelledOut) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {4, 5, 6});
  const auto begin = builder.integers("begin", {-1, 0, 1});
  const auto end = builder.integers("end", {0, 0, 5});
  const auto strides = builder.integers("strides", {1, -2, 2});
  const auto y = builder.output("y", {3, 2});
  wire::StridedSliceOptionsT options;
  options.begin_mask = options.end_mask = 2;
  options.shrink_axis_mask = 1;
  builder.add_op(Op::STRIDED_SLICE, {x, begin, end, strides}, {y}, &options);
  const auto graph = read(builder).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Slice", "Squeeze"));
  const auto& slice = only(graph, "Slice");
  EXPECT_THAT(constant_of(graph, slice, 1), ElementsAre(-1, INT64_MAX, 1));
  EXPECT_THAT(constant_of(graph, slice, 2), ElementsAre(INT64_MAX, INT64_MIN, 5));
  EXPECT_THAT(constant_of(graph, slice, 4), ElementsAre(1, -2, 2));
  EXPECT_THAT(constant_of(graph, only(graph, "Squeeze"), 1), ElementsAre(0));
}

TEST(TfliteReader, FullyConnectedTakesAnyRank) {
  TfliteBuilder builder;
  const auto x = builder.input("x", {2, 3, 4});
  const auto w = builder.floats("w", {5, 4}, std::vector<float>(20, 1));
  const auto y = builder.output("y", {2, 3, 5});
  wire::FullyConnectedOptionsT options;
  options.keep_num_dims = true;
  builder.add_op(Op::FULLY_CONNECTED, {x, w, -1}, {y}, &options);
  const auto graph = read(builder).graph;
  EXPECT_THAT(operators(graph), ElementsAre("Reshape", "Gemm", "Reshape"));
  EXPECT_EQ(only(graph, "Gemm").int_attribute("transB", 0), 1);
}

TEST(TfliteReader, NamesAreMadeUnique) {
  auto builder = conv_model();
  builder.tensor(1).name = "x";
  builder.tensor(2).name = "";
  const auto graph = read(builder).graph;
  EXPECT_EQ(graph.value(graph.inputs[0]).name, "x");
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "y");
  EXPECT_NE(graph.find_value("x_1"), ValueId::none);
  EXPECT_NE(graph.find_value("tensor_2"), ValueId::none);
}

TEST(TfliteReader, MetadataIsTextOrKeptAside) {
  auto builder = conv_model();
  auto& model = builder.model();
  const auto add = [&](const std::string& name, std::vector<std::uint8_t> bytes) {
    model.buffers.push_back(std::make_unique<wire::BufferT>());
    model.buffers.back()->data = std::move(bytes);
    model.metadata.push_back(std::make_unique<wire::MetadataT>());
    model.metadata.back()->name = name;
    model.metadata.back()->buffer = static_cast<std::uint32_t>(model.buffers.size() - 1);
  };
  add("octet.rule", {'t', 'f', 'l', 'i', 't', 'e'});
  add("min_runtime_version", {'1', '.', '5', 0, 0});
  add("latin", {0xC3, 0x28});
  model.description = "a converter";
  builder.graph().name = "main";
  const auto graph = read(builder).graph;
  EXPECT_EQ(graph.metadata, (std::map<std::string, std::string>{{"octet.rule", "tflite"}}));
  EXPECT_EQ(graph.format_extra.at("tflite.metadata/min_runtime_version"),
            std::string("1.5\0\0", 5));
  EXPECT_EQ(graph.format_extra.at("tflite.metadata/latin"), "\xC3\x28");
  EXPECT_EQ(graph.producer, "a converter");
  EXPECT_EQ(graph.name, "main");
}

TEST(TfliteReader, SignaturesCountInputsAndOutputs) {
  auto builder = conv_model();
  auto signature = std::make_unique<wire::SignatureDefT>();
  signature->signature_key = "serve";
  const auto map = [](const std::string& name, std::uint32_t tensor) {
    auto entry = std::make_unique<wire::TensorMapT>();
    entry->name = name;
    entry->tensor_index = tensor;
    return entry;
  };
  signature->inputs.push_back(map("image", 0));
  signature->outputs.push_back(map("scores", 3));
  builder.model().signature_defs.push_back(std::move(signature));
  const auto graph = read(builder).graph;
  const auto& bytes = graph.format_extra.at("tflite.signatures");
  const std::unique_ptr<wire::ModelT> kept(wire::UnPackModel(bytes.data()));
  ASSERT_EQ(kept->signature_defs.size(), 1U);
  EXPECT_EQ(kept->signature_defs[0]->signature_key, "serve");
  EXPECT_EQ(kept->signature_defs[0]->inputs[0]->tensor_index, 0U);
  EXPECT_EQ(kept->signature_defs[0]->outputs[0]->tensor_index, 0U);
}

TEST(TfliteReader, BuffersMayLieBehindTheFlatbuffer) {
  auto builder = conv_model();
  auto& buffer = *builder.model().buffers[1];
  const auto contents = buffer.data;
  buffer.data.clear();
  // The length of the flatbuffer does not depend on the numbers in it, once none is 0.
  buffer.offset = buffer.size = 2;
  buffer.offset = builder.bytes().size();
  buffer.size = contents.size();
  auto bytes = builder.bytes();
  ASSERT_EQ(bytes.size(), buffer.offset);
  bytes.append(contents.begin(), contents.end());
  const auto model = parse_tflite(bytes);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  const auto& graph = model->graph;
  EXPECT_EQ(graph.constant(only(graph, "Conv").input(1))->data<float>()[53], 53);
  const auto cut = parse_tflite(std::string_view(bytes).substr(0, bytes.size() - 1));
  ASSERT_FALSE(cut.has_value());
  EXPECT_THAT(cut.error().message, ::testing::HasSubstr("tensor 1 (w): its buffer at byte"));
}

}  // namespace
}  // namespace octet::testing

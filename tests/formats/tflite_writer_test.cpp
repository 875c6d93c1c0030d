#include <algorithm>
#include <cstring>
#include <limits>

#include "formats/tflite_written.h"
#include "graph/graph_builder.h"

namespace octet {
namespace {

namespace wire = tflite::wire;

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::Written;

Attributes window(const Ints& kernel, const Ints& strides, const Ints& pads) {
  return {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}};
}

/// Conv (3 -> 4 channels), Relu, MaxPool, Flatten and Gemm on an image of 6 x 6.
GraphBuilder classifier(Shape input = {-1, 3, 6, 6}) {
  GraphBuilder b;
  auto x = b.input("x", std::move(input), {"N", "", "", ""});
  const bool last = b.graph.value(x).shape->back() == 3;
  if (last) x = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  x = b.node("Conv", {x, b.weights("w", {4, 3, 3, 3}), b.weights("b", {4}, 2)}, "conv",
             window({3, 3}, {1, 1}, {1, 1, 1, 1}));
  x = b.node("Relu", {x}, "relu");
  x = b.node("MaxPool", {x}, "pool", window({2, 2}, {2, 2}, {0, 0, 0, 0}));
  x = b.node("Flatten", {x}, "flat");
  x = b.node("Gemm", {x, b.weights("fc", {5, 36}, 3), b.weights("fb", {5}, 4)}, "y",
             {{"transB", std::int64_t{1}}});
  b.output(x);
  return b;
}

TEST(TfliteWriter, ClassifierHasOneTransposeAtItsInput) {
  const Written file(classifier().graph);
  EXPECT_EQ(file.operators(), "TRANSPOSE CONV_2D MAX_POOL_2D RESHAPE FULLY_CONNECTED");
  const auto& options = *file.op(1).builtin_options.AsConv2DOptions();
  EXPECT_EQ(options.padding, wire::Padding::SAME);
  EXPECT_EQ(options.fused_activation_function, wire::ActivationFunctionType::RELU);
  EXPECT_EQ(file.tensor(file.graph().inputs[0]).name, "x");
  EXPECT_EQ(file.tensor(file.graph().inputs[0]).shape, (std::vector<int>{1, 3, 6, 6}));
  EXPECT_EQ(file.tensor(file.graph().inputs[0]).shape_signature, (std::vector<int>{-1, 3, 6, 6}));
  EXPECT_EQ(file.tensor(file.graph().outputs[0]).name, "y");
  file.expect_fixpoint();
}

TEST(TfliteWriter, ChannelsLastInputNeedsNoTranspose) {
  const Written file(classifier({2, 6, 6, 3}).graph);
  EXPECT_EQ(file.operators(), "CONV_2D MAX_POOL_2D RESHAPE FULLY_CONNECTED");
  EXPECT_TRUE(file.tensor("x").shape_signature.empty());
  file.expect_fixpoint();
}

TEST(TfliteWriter, RowsOfAMatrixBehindAFlattenedImageAreReordered) {
  auto b = classifier();
  const auto original = *b.graph.constant(b.graph.find_value("fc"));
  const Written file(b.graph);
  const auto stored = file.data<float>(file.tensor("fc"));
  ASSERT_EQ(stored.size(), 5U * 36U);
  for (int o = 0; o < 5; ++o) {
    for (int c = 0; c < 4; ++c) {
      for (int p = 0; p < 9; ++p) {
        ASSERT_EQ(stored[static_cast<std::size_t>(o * 36 + p * 4 + c)],
                  original.data<float>()[o * 36 + c * 9 + p]);
      }
    }
  }
}

TEST(TfliteWriter, ConvolutionWeightsHaveTheFilesOrder) {
  auto b = classifier();
  const auto original = *b.graph.constant(b.graph.find_value("w"));
  const Written file(b.graph);
  const auto& weight = file.tensor("w");
  EXPECT_EQ(weight.shape, (std::vector<int>{4, 3, 3, 3}));
  const auto stored = file.data<float>(weight);
  for (int o = 0; o < 4; ++o) {
    for (int c = 0; c < 3; ++c) {
      for (int p = 0; p < 9; ++p) {
        ASSERT_EQ(stored[static_cast<std::size_t>((o * 9 + p) * 3 + c)],
                  original.data<float>()[(o * 3 + c) * 9 + p]);
      }
    }
  }
}

Graph single_conv(const Ints& pads, const Ints& strides, std::int64_t extent) {
  GraphBuilder b;
  const auto x = b.input("x", {1, extent, extent, 2});
  const auto image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  const auto y =
      b.node("Conv", {image, b.weights("w", {3, 2, 3, 3})}, "conv", window({3, 3}, strides, pads));
  b.output(b.node("Transpose", {y}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
  return b.graph;
}

TEST(TfliteWriter, PadsBecomeSameValidOrAnOperator) {
  const auto padding = [](const Written& file, std::size_t op) {
    return file.op(op).builtin_options.AsConv2DOptions()->padding;
  };
  const Written valid(single_conv({0, 0, 0, 0}, {1, 1}, 7));
  EXPECT_EQ(valid.operators(), "CONV_2D");
  EXPECT_EQ(padding(valid, 0), wire::Padding::VALID);
  // Of 8 pixels with stride 2, SAME pads one pixel, at the end.
  const Written same(single_conv({0, 0, 1, 1}, {2, 2}, 8));
  EXPECT_EQ(same.operators(), "CONV_2D");
  EXPECT_EQ(padding(same, 0), wire::Padding::SAME);
  const Written even(single_conv({1, 1, 1, 1}, {2, 2}, 8));
  EXPECT_EQ(even.operators(), "PAD CONV_2D");
  EXPECT_EQ(padding(even, 1), wire::Padding::VALID);
  EXPECT_EQ(even.data<std::int32_t>(even.input(0, 1)),
            (std::vector<std::int32_t>{0, 0, 1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(even.tensor(even.graph().outputs[0]).name, "y");
  for (const auto* file : {&valid, &same, &even}) file->expect_fixpoint();
}

TEST(TfliteWriter, MaxPoolPadsWithTheLowestValue) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8, 8, 2});
  const auto image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  const auto y = b.node("MaxPool", {image}, "pool", window({3, 3}, {2, 2}, {1, 1, 1, 1}));
  b.output(b.node("Transpose", {y}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "PADV2 MAX_POOL_2D");
  EXPECT_EQ(file.data<float>(file.input(0, 2)),
            std::vector<float>{std::numeric_limits<float>::lowest()});
  file.expect_fixpoint();
}

TEST(TfliteWriter, AveragePoolThatLeavesOddPadsOutIsRefused) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 8, 8});
  b.output(b.node("AveragePool", {x}, "y", window({3, 3}, {2, 2}, {1, 1, 1, 1})));
  QuantizedGraph model{b.graph, {}};
  ASSERT_TRUE(infer_shapes(model.graph));
  const auto refused = tflite::serialize(model);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("node y_node (AveragePool)"), std::string::npos);
  EXPECT_NE(refused.error().message.find("count_include_pad"), std::string::npos);
}

TEST(TfliteWriter, OperatorsWithoutEquivalentAreRefusedByName) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4});
  b.output(b.node("Erf", {x}, "y"));
  QuantizedGraph model{b.graph, {}};
  ASSERT_TRUE(infer_shapes(model.graph));
  const auto refused = tflite::serialize(model);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::bad_input);
  EXPECT_NE(refused.error().message.find("node y_node (Erf)"), std::string::npos);
  EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
}

TEST(TfliteWriter, ElementwiseOperatorsFollowTheImage) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 6, 6});
  auto y = b.node("Conv", {x, b.weights("w", {4, 4, 1, 1})}, "conv");
  y = b.node("Mul", {y, b.weights("scale", {4, 1, 1}, 5)}, "scaled");
  y = b.node("Concat", {y, x}, "joined", {{"axis", std::int64_t{1}}});
  y = b.node("Slice", {y, b.ints("starts", {2}), b.ints("ends", {6}), b.ints("axes", {1})}, "cut");
  y = b.node("ReduceMean", {y, b.ints("over", {2, 3})}, "mean", {{"keepdims", std::int64_t{0}}});
  b.output(y);
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "TRANSPOSE CONV_2D MUL CONCATENATION SLICE MEAN");
  EXPECT_EQ(file.tensor("scale").shape, (std::vector<int>{1, 1, 1, 4}));
  EXPECT_EQ(file.op(3).builtin_options.AsConcatenationOptions()->axis, 3);
  EXPECT_EQ(file.data<std::int32_t>(file.input(4, 1)), (std::vector<std::int32_t>{0, 0, 0, 2}));
  EXPECT_EQ(file.data<std::int32_t>(file.input(5, 1)), (std::vector<std::int32_t>{1, 2}));
  file.expect_fixpoint();
}

TEST(TfliteWriter, ChannelShuffleStaysChannelsLast) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 6, 6, 4});
  auto y = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  y = b.node("Conv", {y, b.weights("w", {4, 4, 1, 1})}, "conv");
  y = b.node("Reshape", {y, b.ints("split", {1, 2, 2, 6, 6})}, "groups");
  y = b.node("Transpose", {y}, "swapped", {{"perm", Ints{0, 2, 1, 3, 4}}});
  y = b.node("Reshape", {y, b.ints("join", {1, 4, 6, 6})}, "shuffled");
  y = b.node("Conv", {y, b.weights("v", {4, 4, 1, 1}, 2)}, "second");
  b.output(b.node("Transpose", {y}, "y", {{"perm", Ints{0, 2, 3, 1}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "CONV_2D RESHAPE TRANSPOSE.4 RESHAPE CONV_2D");
  EXPECT_EQ(file.data<std::int32_t>(file.input(2, 1)), (std::vector<std::int32_t>{0, 1, 2, 4, 3}));
  file.expect_fixpoint();
}

TEST(TfliteWriter, ProductsTakeTransposedOperandsAsTheyAre) {
  GraphBuilder b;
  const auto a = b.input("a", {2, 3, 4, 5});
  const auto c = b.input("c", {2, 3, 6, 5});
  const auto t = b.node("Transpose", {c}, "t", {{"perm", Ints{0, 1, 3, 2}}});
  b.output(b.node("MatMul", {a, t}, "y"));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "BATCH_MATMUL");
  EXPECT_TRUE(file.op(0).builtin_options.AsBatchMatMulOptions()->adj_y);
  EXPECT_FALSE(file.op(0).builtin_options.AsBatchMatMulOptions()->adj_x);
  file.expect_fixpoint();
}

TEST(TfliteWriter, GemmFactorsGoIntoTheWeights) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 3});
  const auto w = b.constant("w", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}));
  const auto c = b.constant("c", Tensor::from<float>({1, 2}, {2}));
  b.output(b.node("Gemm", {x, w, c}, "y", {{"alpha", 2.0F}, {"beta", 0.5F}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "FULLY_CONNECTED");
  EXPECT_EQ(file.data<float>(file.input(0, 1)), (std::vector<float>{2, 6, 10, 4, 8, 12}));
  EXPECT_EQ(file.data<float>(file.input(0, 2)), (std::vector<float>{0.5F, 1}));
  file.expect_fixpoint();
}

TEST(TfliteWriter, AnAddBehindAMatrixProductIsItsBias) {
  GraphBuilder b;
  auto x = b.input("x", {2, 7, 3});
  x = b.node("MatMul", {x, b.weights("w", {3, 4})}, "product");
  x = b.node("Add", {b.weights("bias", {4}, 2), x}, "sum");
  b.output(b.node("Relu", {x}, "y"));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE FULLY_CONNECTED RESHAPE");
  EXPECT_EQ(file.input(1, 2).name, "bias");
  EXPECT_EQ(file.op(1).builtin_options.AsFullyConnectedOptions()->fused_activation_function,
            wire::ActivationFunctionType::RELU);
  file.expect_fixpoint();
}

TEST(TfliteWriter, ClipsBecomeTheirOperators) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4});
  const std::pair<float, float> bounds[] = {{0.0F, 6.0F}, {-1.0F, 1.0F}, {0.0F, 1.0F}, {-2, 3}};
  int n = 0;
  for (const auto& [low, high] : bounds) {
    const auto tag = std::to_string(n++);
    b.output(b.node("Clip", {x, b.scalar("l" + tag, low), b.scalar("h" + tag, high)}, "y" + tag));
  }
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RELU6 RELU_N1_TO_1 RELU_0_TO_1 MAXIMUM MINIMUM");
  file.expect_fixpoint();
}

TEST(TfliteWriter, EqualConstantsShareABuffer) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8});
  auto y = b.node("MatMul", {x, b.weights("a", {8, 8}, 7)}, "p");
  y = b.node("MatMul", {y, b.weights("b", {8, 8}, 7)}, "q");
  b.output(y);
  const Written file(b.graph);
  EXPECT_EQ(file.tensor("a").buffer, file.tensor("b").buffer);
  EXPECT_TRUE(file.model().buffers[0]->data.empty());
}

TEST(TfliteWriter, BuffersAreAlignedInTheFile) {
  const Written file(classifier().graph);
  const auto* model = wire::GetModel(file.bytes.data());
  EXPECT_TRUE(wire::ModelBufferHasIdentifier(file.bytes.data()));
  EXPECT_EQ(model->version(), 3U);
  int checked = 0;
  for (const auto* buffer : *model->buffers()) {
    if (buffer->data() == nullptr) continue;
    const auto offset = reinterpret_cast<const char*>(buffer->data()->data()) - file.bytes.data();
    EXPECT_EQ(offset % 16, 0);
    ++checked;
  }
  EXPECT_GE(checked, 5);
}

TEST(TfliteWriter, MetadataAndDescriptionAreKept) {
  auto b = classifier();
  b.graph.metadata["octet.key"] = "some text";
  b.graph.format_extra["tflite.metadata/min_runtime_version"] = std::string("1.5.0\0\0\0", 8);
  b.graph.producer = "octet";
  b.graph.name = "net";
  const Written file(b.graph);
  ASSERT_EQ(file.model().metadata.size(), 2U);
  EXPECT_EQ(file.model().metadata[0]->name, "octet.key");
  EXPECT_EQ(file.model().metadata[1]->name, "min_runtime_version");
  EXPECT_EQ(file.model().description, "octet");
  EXPECT_EQ(file.graph().name, "net");
  const auto read = file.read();
  EXPECT_EQ(read.graph.metadata.at("octet.key"), "some text");
  file.expect_fixpoint();
}

TEST(TfliteWriter, ShapesThatTwoExtentsDecideAreComputed) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, -1, 8}, {"N", "S", ""});
  const auto heads = b.ints("heads", {0, 0, 2, 4});
  auto y = b.node("Reshape", {x, heads}, "split");
  y = b.node("Transpose", {y}, "t", {{"perm", Ints{0, 2, 1, 3}}});
  b.output(y);
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "SHAPE SLICE CONCATENATION RESHAPE TRANSPOSE");
  file.expect_fixpoint();
}

TEST(TfliteWriter, OneDimensionalConvolutionsGoThroughFourAxes) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 3, 20}, {"N", "", ""});
  auto y = b.node("Conv", {x, b.weights("w", {4, 3, 5})}, "conv",
                  {{"kernel_shape", Ints{5}}, {"pads", Ints{2, 2}}});
  y = b.node("Relu", {y}, "relu");
  b.output(b.node("ReduceMax", {y, b.ints("axes", {2})}, "y", {{"keepdims", std::int64_t{0}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "TRANSPOSE EXPAND_DIMS CONV_2D SQUEEZE REDUCE_MAX");
  EXPECT_EQ(file.input(2, 1).shape, (std::vector<int>{4, 1, 5, 3}));
  file.expect_fixpoint();
}

}  // namespace
}  // namespace octet

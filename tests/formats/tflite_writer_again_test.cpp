// Files that came out otherwise when read and written once more, and nodes that made a file which
// LiteRT refuses or computes otherwise.

#include "formats/tflite_written.h"
#include "graph/graph_builder.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;
using testing::set_codes;
using testing::Written;

std::string refusal(GraphBuilder& b) {
  QuantizedGraph model{b.graph, {}};
  EXPECT_TRUE(infer_shapes(model.graph));
  const auto file = tflite::serialize(model);
  EXPECT_FALSE(file.has_value());
  return file ? "" : file.error().message;
}

TEST(TfliteWriterAgain, ImagesOfOneChannelArePaddedAsImages) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 1, 5, 5});
  b.output(b.node("AveragePool", {x}, "y",
                  {{"kernel_shape", Ints{5, 5}},
                   {"pads", Ints{2, 2, 2, 2}},
                   {"count_include_pad", std::int64_t{1}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE PAD AVERAGE_POOL_2D RESHAPE");
  file.expect_fixpoint();
}

TEST(TfliteWriterAgain, OutputsOfExtentOneNeedNoReshape) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 1, 3, 3});
  b.output(b.node("GlobalAveragePool", {x}, "y"));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE MEAN");
  EXPECT_EQ(file.tensor(file.graph().outputs[0]).name, "y");
  file.expect_fixpoint();
}

TEST(TfliteWriterAgain, ConstantOutputsStayBehindAReshape) {
  GraphBuilder b;
  b.output(b.weights("values", {2, 3}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE");
  file.expect_fixpoint();
}

TEST(TfliteWriterAgain, CroppedTransposedConvolutions) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 5});
  b.output(b.node("ConvTranspose", {x, b.weights("w", {2, 3, 3, 3})}, "y",
                  {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "TRANSPOSE TRANSPOSE_CONV.3 SLICE TRANSPOSE");
  file.expect_fixpoint();
}

TEST(TfliteWriterAgain, TopKWhoseIndicesNobodyReads) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 9});
  const auto values = b.node("TopK", {x, b.ints("k", {3})}, "values");
  Value indices;
  indices.name = "indices";
  const auto id = b.graph.add_value(std::move(indices));
  b.graph.node(b.graph.producers()[index(values)]).outputs.push_back(id);
  b.output(values);
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "TOPK_V2");
  file.expect_fixpoint();
}

TEST(TfliteWriterAgain, RowsOfCodesForAFloatProduct) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 8});
  const auto relu = b.node("Relu", {x}, "relu");
  b.output(b.node("MatMul", {relu, b.weights("w", {8, 4})}, "y"));
  QuantizedGraph model{b.graph, {}};
  set_codes(model, x, 0.05F, -3);
  set_codes(model, relu, 0.05F, -128);
  const Written file(std::move(model));
  EXPECT_EQ(file.operators(), "QUANTIZE RELU.2 RESHAPE DEQUANTIZE.2 FULLY_CONNECTED RESHAPE");
  file.expect_fixpoint();
}

TEST(TfliteWriterRefused, TypesThatLiteRtHasNoKernelFor) {
  for (const auto dtype : {DType::i8, DType::u8, DType::i16}) {
    GraphBuilder b;
    const auto x = b.input("x", {4}, {}, dtype);
    b.output(b.node("Sub", {x, x}, "y"));
    EXPECT_EQ(refusal(b), "node y_node (Sub): has no TFLite equivalent: LiteRT has no SUB of " +
                              std::string(name(dtype)));
  }
}

TEST(TfliteWriterRefused, PowersOfMixedTypes) {
  GraphBuilder b;
  const auto x = b.input("x", {4});
  b.output(b.node("Pow", {x, b.input("n", {4}, {}, DType::i32)}, "y"));
  EXPECT_NE(refusal(b).find("LiteRT has no POW of f32 and i32"), std::string::npos);
}

TEST(TfliteWriterRefused, ReductionsOfBooleans) {
  GraphBuilder b;
  b.output(b.node("ReduceMax", {b.input("x", {2, 3}, {}, DType::boolean)}, "y"));
  EXPECT_NE(refusal(b).find("LiteRT has no REDUCE_MAX of"), std::string::npos);
}

TEST(TfliteWriterRefused, DropoutThatDrops) {
  const auto dropout = [](float ratio, std::uint8_t training) {
    GraphBuilder b;
    Tensor mode(DType::boolean, {});
    mode.mutable_data<std::uint8_t>()[0] = training;
    const auto x = b.input("x", {2, 3});
    const auto y = b.node(
        "Dropout", {x, b.scalar("ratio", ratio), b.constant("training", std::move(mode))}, "y");
    b.output(b.node("Relu", {y}, "z"));
    return b;
  };
  auto drops = dropout(0.5F, 1);
  EXPECT_NE(refusal(drops).find("node y_node (Dropout)"), std::string::npos);
  EXPECT_EQ(Written(dropout(0.5F, 0).graph).operators(), "RELU");
  EXPECT_EQ(Written(dropout(0, 1).graph).operators(), "RELU");
}

TEST(TfliteWriter, GroupNormalizationIsSpelledOut) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 6, 4, 4});
  b.output(b.node("GroupNormalization", {x, b.weights("s", {6}), b.weights("t", {6})}, "y",
                  {{"num_groups", std::int64_t{3}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE MEAN SUB MUL MEAN ADD SQRT DIV RESHAPE MUL ADD");
  file.expect_fixpoint();
}

TEST(TfliteWriter, VectorsAreRowsAndColumnsOfAProduct) {
  GraphBuilder b;
  const auto a = b.input("a", {3});
  const auto matrix = b.input("m", {2, 3, 4});
  b.output(b.node("MatMul", {a, matrix}, "y"));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "RESHAPE BATCH_MATMUL RESHAPE");
  EXPECT_EQ(file.tensor("y").shape, (std::vector<int>{2, 4}));
  file.expect_fixpoint();
}

TEST(TfliteWriter, GroupsAndDilationOfATransposedConvolutionAreZerosOfItsWeights) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto w = b.constant("w", Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 1, 2, 2}));
  b.output(b.node("ConvTranspose", {x, w}, "y",
                  {{"group", std::int64_t{2}}, {"dilations", Ints{1, 2}}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "TRANSPOSE TRANSPOSE_CONV.3 TRANSPOSE");
  const auto& weight = file.input(1, 1);
  EXPECT_EQ(weight.shape, (std::vector<int>{2, 2, 3, 2}));
  EXPECT_EQ(file.data<float>(weight), (std::vector<float>{1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 4, 0,  //
                                                          0, 5, 0, 0, 0, 6, 0, 7, 0, 0, 0, 8}));
  file.expect_fixpoint();
}

TEST(TfliteWriter, SpaceToDepthThatCountsChannelsOutermost) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 4, 4, 3});
  const auto image = b.node("Transpose", {x}, "image", {{"perm", Ints{0, 3, 1, 2}}});
  b.output(b.node("SpaceToDepth", {image}, "y",
                  {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}}));
  const Written file(b.graph);
  EXPECT_EQ(file.operators(), "SPACE_TO_DEPTH GATHER TRANSPOSE");
  EXPECT_EQ(file.data<std::int32_t>(file.input(1, 1)),
            (std::vector<std::int32_t>{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}));
  file.expect_fixpoint();
}

}  // namespace
}  // namespace octet

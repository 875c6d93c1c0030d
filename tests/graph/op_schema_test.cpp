#include "graph/op_schema.h"

#include <gtest/gtest.h>

#include "graph/graph_builder.h"
#include "graph/onnx_dtype.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;

Node make_node(const std::string& op, const std::string& domain = "") {
  Node node;
  node.op = op;
  node.domain = domain;
  return node;
}

TEST(OpSchema, KnowsEveryOperatorOfTheIssue) {
  for (const auto* op : {"Conv",
                         "Gemm",
                         "MatMul",
                         "BatchNormalization",
                         "Relu",
                         "Clip",
                         "Sigmoid",
                         "HardSigmoid",
                         "HardSwish",
                         "Softmax",
                         "Add",
                         "Sub",
                         "Mul",
                         "Div",
                         "Concat",
                         "MaxPool",
                         "AveragePool",
                         "GlobalAveragePool",
                         "ReduceMean",
                         "Reshape",
                         "Flatten",
                         "Squeeze",
                         "Unsqueeze",
                         "Transpose",
                         "Pad",
                         "Slice",
                         "Shape",
                         "Gather",
                         "Constant",
                         "ConstantOfShape",
                         "Cast",
                         "Identity",
                         "Dropout",
                         "QuantizeLinear",
                         "DequantizeLinear"}) {
    EXPECT_NE(find_schema(make_node(op)), nullptr) << op;
  }
  EXPECT_EQ(find_schema(make_node("Conv", "com.example")), nullptr);
  EXPECT_EQ(find_schema(make_node("Convolution")), nullptr);
  EXPECT_EQ(find_schema(make_node("")), nullptr);
  EXPECT_EQ(find_schema(make_node("Slice"))->max_inputs, 5);
}

TEST(OpSchema, FirstUnknownNodeIsFound) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 3});
  const auto y = b.node("Relu", {x}, "y");
  EXPECT_EQ(first_unknown_node(b.graph), NodeId::none);
  b.node("Mystery", {y}, "z");
  EXPECT_EQ(first_unknown_node(b.graph), static_cast<NodeId>(1));
}

TEST(OpSchema, MacsOfConvGemmMatMul) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 8, 10, 12});
  const auto w = b.weights("w", {16, 2, 3, 3});
  b.node("Conv", {x, w}, "conv", {{"group", std::int64_t{4}}});
  const auto a = b.input("a", {-1, 20});
  const auto m = b.weights("m", {7, 20});
  b.node("Gemm", {a, m}, "gemm", {{"transB", std::int64_t{1}}});
  const auto p = b.input("p", {-1, 5, 20});
  const auto q = b.weights("q", {20, 7});
  b.node("MatMul", {p, q}, "matmul");
  b.node("Relu", {x}, "relu");
  ASSERT_TRUE(infer_shapes(b.graph));
  const auto macs = [&](const char* value) {
    return node_macs(b.graph, testing::maker_of(b.graph, value));
  };
  EXPECT_EQ(macs("conv"), 16 * 8 * 10 * 2 * 3 * 3);
  EXPECT_EQ(macs("gemm"), 20 * 7);
  EXPECT_EQ(macs("matmul"), 5 * 7 * 20);
  EXPECT_EQ(macs("relu"), 0);
}

TEST(OnnxDtype, CodesGoThereAndBack) {
  EXPECT_EQ(dtype_from_onnx(1), DType::f32);
  EXPECT_EQ(dtype_from_onnx(7), DType::i64);
  EXPECT_EQ(dtype_from_onnx(9), DType::boolean);
  EXPECT_EQ(dtype_from_onnx(21), DType::u4);
  EXPECT_EQ(dtype_from_onnx(-1), DType::undefined);
  EXPECT_EQ(dtype_from_onnx(INT64_MAX), DType::undefined);
  for (int code = 1; code < 27; ++code) {
    const auto dtype = dtype_from_onnx(code);
    if (dtype != DType::other) {
      EXPECT_EQ(onnx_code(dtype), code);
    }
  }
}

}  // namespace
}  // namespace octet

#include "graph/shape_inference.h"

#include <gtest/gtest.h>

#include "graph/graph_builder.h"
#include "graph/value_facts.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

/// Shape text of the output of one node on inputs of these shapes, or "error".
std::string shape_of(const std::string& op, const std::vector<Shape>& inputs,
                     const Attributes& attributes = {}, const std::vector<Ints>& lists = {}) {
  GraphBuilder b;
  std::vector<ValueId> ids;
  for (const auto& shape : inputs) ids.push_back(b.input("x", shape));
  for (const auto& list : lists) ids.push_back(b.ints("list", list));
  const auto y = b.node(op, ids, "y", attributes);
  const auto status = infer_shapes(b.graph);
  if (!status) {
    EXPECT_NE(status.error().message.find("node y_node (" + op + ")"), std::string::npos)
        << status.error().message;
    return "error";
  }
  const auto& shape = b.graph.value(y).shape;
  return shape ? to_string(*shape) : "unknown";
}

Attributes axis(std::int64_t value) { return {{"axis", value}}; }

TEST(ShapeInference, Convolutions) {
  const auto same = Attributes{{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}};
  EXPECT_EQ(shape_of("Conv", {{-1, 3, 32, 32}, {16, 3, 3, 3}}), "[?,16,30,30]");
  EXPECT_EQ(shape_of("Conv", {{2, 3, 7, 8}, {16, 3, 3, 3}}, same), "[2,16,4,4]");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 9, 9}, {8, 1, 3, 3}}, {{"group", std::int64_t{8}}}),
            "[2,8,7,7]");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 9, 9}, {12, 2, 3, 3}},
                     {{"group", std::int64_t{4}}, {"dilations", Ints{2, 1}}}),
            "[2,12,5,7]");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 9, 9}, {8, 1, 3, 3}}), "error");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 9, 9}, {8, 1, 3, 3}}, {{"group", std::int64_t{0}}}), "error");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 9, 9}, {8, 1, 3, 3}}, {{"group", INT64_MIN}}), "error");
  EXPECT_EQ(shape_of("Conv", {{2, 8, 2, 9}, {8, 8, 3, 3}}), "error");
  EXPECT_EQ(shape_of("Conv", {{2, 3, 9, 9}, {8, 3, 3, 3}, {7}}), "error");
  EXPECT_EQ(shape_of("Conv", {{-1, 3, -1, -1}, {8, 3, 3, 3}}), "[?,8,?,?]");
}

TEST(ShapeInference, Pools) {
  EXPECT_EQ(
      shape_of(
          "MaxPool", {{1, 4, 7, 7}},
          {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", std::int64_t{1}}}),
      "[1,4,3,3]");
  EXPECT_EQ(
      shape_of(
          "AveragePool", {{1, 4, 8, 8}},
          {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", std::int64_t{1}}}),
      "[1,4,4,4]");
  EXPECT_EQ(shape_of("MaxPool", {{1, 4, 7, 7}}), "error");
  EXPECT_EQ(shape_of("GlobalAveragePool", {{-1, 4, -1, 7}}), "[?,4,1,1]");
  EXPECT_EQ(shape_of("GlobalAveragePool", {{1, 4}}), "error");
}

TEST(ShapeInference, Matrices) {
  EXPECT_EQ(shape_of("Gemm", {{-1, 20}, {20, 7}, {7}}), "[?,7]");
  EXPECT_EQ(shape_of("Gemm", {{20, 3}, {7, 20}},
                     {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}}),
            "[3,7]");
  EXPECT_EQ(shape_of("Gemm", {{3, 20}, {7, 20}}), "error");
  EXPECT_EQ(shape_of("Gemm", {{3, 20, 1}, {20, 7}}), "error");
  EXPECT_EQ(shape_of("Gemm", {{3, 20}, {20, 7}, {6}}), "error");
  EXPECT_EQ(shape_of("Gemm", {{1, 20}, {20, 7}, {2, 7}}), "error");
  EXPECT_EQ(shape_of("MatMul", {{5, 1, 3, 20}, {4, 20, 7}}), "[5,4,3,7]");
  EXPECT_EQ(shape_of("MatMul", {{20}, {20, 7}}), "[7]");
  EXPECT_EQ(shape_of("MatMul", {{3, 20}, {20}}), "[3]");
  EXPECT_EQ(shape_of("MatMul", {{20}, {20}}), "[]");
  EXPECT_EQ(shape_of("MatMul", {{}, {20}}), "error");
  EXPECT_EQ(shape_of("MatMul", {{3, 20}, {21, 7}}), "error");
}

TEST(ShapeInference, Elementwise) {
  EXPECT_EQ(shape_of("Add", {{2, 1, 5}, {4, 1}}), "[2,4,5]");
  EXPECT_EQ(shape_of("Add", {{-1, 4}, {1, 4}}), "[?,4]");
  EXPECT_EQ(shape_of("Mul", {{2, 3}, {4}}), "error");
  EXPECT_EQ(shape_of("Softmax", {{2, 3}}, axis(-2)), "[2,3]");
  EXPECT_EQ(shape_of("Softmax", {{2, 3}}, axis(2)), "error");
  EXPECT_EQ(shape_of("Max", {{2, 1}, {3}, {1, 1}}), "[2,3]");
  EXPECT_EQ(shape_of("BatchNormalization", {{2, 3, 4}, {3}, {3}, {3}, {3}}), "[2,3,4]");
  EXPECT_EQ(shape_of("BatchNormalization", {{2, 3, 4}, {3}, {3}, {2}, {3}}), "error");
}

TEST(ShapeInference, Reductions) {
  EXPECT_EQ(shape_of("ReduceMean", {{2, 3, 4, 5}}, {}, {{2, -1}}), "[2,3,1,1]");
  EXPECT_EQ(shape_of("ReduceMean", {{2, 3, 4}}, {{"keepdims", std::int64_t{0}}}, {{-3}}), "[3,4]");
  EXPECT_EQ(shape_of("ReduceMean", {{2, 3, 4}}), "[1,1,1]");
  EXPECT_EQ(shape_of("ReduceMean", {{2, 3}}, {{"noop_with_empty_axes", std::int64_t{1}}}), "[2,3]");
  EXPECT_EQ(shape_of("ReduceMean", {{2, 3}}, {}, {{2}}), "error");
}

TEST(ShapeInference, Reshapes) {
  const auto allow_zero = Attributes{{"allowzero", std::int64_t{1}}};
  EXPECT_EQ(shape_of("Reshape", {{2, 3, 4}}, {}, {{0, -1}}), "[2,12]");
  EXPECT_EQ(shape_of("Reshape", {{-1, 64, 1, 1}}, {}, {{-1, 64}}), "[?,64]");
  EXPECT_EQ(shape_of("Reshape", {{-1, 8, 8}}, {}, {{0, -1}}), "[?,64]");
  EXPECT_EQ(shape_of("Reshape", {{-1, 2, 3}}, {}, {{-1, 6}}), "[?,6]");
  EXPECT_EQ(shape_of("Reshape", {{2, 3, 4}}, {}, {{5, -1}}), "error");
  EXPECT_EQ(shape_of("Reshape", {{2, 3, 4}}, {}, {{-1, -1}}), "error");
  EXPECT_EQ(shape_of("Reshape", {{2, 3, 4}}, {}, {{2, -2}}), "error");
  EXPECT_EQ(shape_of("Reshape", {{2, 3, 4}}, {}, {{2, 3, 5}}), "error");
  EXPECT_EQ(shape_of("Reshape", {{2}}, {}, {{1, 1, 0}}), "error");
  EXPECT_EQ(shape_of("Reshape", {{0, 3}}, allow_zero, {{0, 7}}), "[0,7]");
  EXPECT_EQ(shape_of("Reshape", {{2, 3}}, {}, {{INT64_MAX, INT64_MAX}}), "error");
  EXPECT_EQ(shape_of("Flatten", {{-1, 3, 4}}), "[?,12]");
  EXPECT_EQ(shape_of("Flatten", {{2, 3, 4}}, axis(-1)), "[6,4]");
  EXPECT_EQ(shape_of("Flatten", {{2, 3, 4}}, axis(3)), "[24,1]");
  EXPECT_EQ(shape_of("Flatten", {{2, 3, 4}}, axis(4)), "error");
  EXPECT_EQ(shape_of("Squeeze", {{2, 1, 1}}, {}, {{-1}}), "[2,1]");
  EXPECT_EQ(shape_of("Squeeze", {{2, 1, 1}}), "[2]");
  EXPECT_EQ(shape_of("Squeeze", {{2, 1, 1}}, {}, {{0}}), "error");
  EXPECT_EQ(shape_of("Unsqueeze", {{2, 3}}, {}, {{-1, 0}}), "[1,2,3,1]");
  EXPECT_EQ(shape_of("Unsqueeze", {{2, 3}}, {}, {{0, 0}}), "error");
  EXPECT_EQ(shape_of("Transpose", {{2, 3, 4}}), "[4,3,2]");
  EXPECT_EQ(shape_of("Transpose", {{2, 3, 4}}, {{"perm", Ints{1, 2, 0}}}), "[3,4,2]");
  EXPECT_EQ(shape_of("Transpose", {{2, 3, 4}}, {{"perm", Ints{1, 1, 0}}}), "error");
  EXPECT_EQ(shape_of("Transpose", {{2, 3, 4}}, {{"perm", Ints{1, 0}}}), "error");
}

TEST(ShapeInference, SelectionAndJoining) {
  EXPECT_EQ(shape_of("Concat", {{2, 3}, {2, 4}}, axis(-1)), "[2,7]");
  EXPECT_EQ(shape_of("Concat", {{-1, 3}, {2, -1}}, axis(1)), "[2,?]");
  EXPECT_EQ(shape_of("Concat", {{2, 3}, {3, 4}}, axis(1)), "error");
  EXPECT_EQ(shape_of("Concat", {{2, 3}, {2}}, axis(0)), "error");
  EXPECT_EQ(shape_of("Concat", {{2, 3}, {2, 4}}), "error");
  EXPECT_EQ(shape_of("Gather", {{5, 6}}, axis(1), {{0, 2, -6}}), "[5,3]");
  EXPECT_EQ(shape_of("Gather", {{5, 6}}, axis(1), {{6}}), "error");
  EXPECT_EQ(shape_of("Pad", {{1, 2, 3}}, {}, {{0, 1, 2, 0, 3, -1}}), "[1,6,4]");
  EXPECT_EQ(shape_of("Pad", {{1, 2, 3}}, {}, {{0, 0, -2, 0, 0, -2}}), "error");
  EXPECT_EQ(shape_of("Pad", {{1, 2, 3}}, {}, {{0, 0, 0}}), "error");
  EXPECT_EQ(shape_of("Pad", {{1, 2, 3}}, {}, {{INT64_MAX, 0, 0, INT64_MAX, 0, 0}}), "error");
}

/// Extent of Python's range over the same slice.
std::int64_t slice_length(std::int64_t extent, std::int64_t start, std::int64_t end,
                          std::int64_t step) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < extent; ++i) {
    const auto at = step > 0 ? i : extent - 1 - i;
    auto first = start < 0 ? start + extent : start;
    auto last = end < 0 ? end + extent : end;
    first = step > 0 ? std::max<std::int64_t>(first, 0) : std::min(first, extent - 1);
    const bool inside = step > 0 ? at >= first && at < last : at <= first && at > last;
    if (inside && (at - first) % step == 0) ++count;
  }
  return count;
}

TEST(ShapeInference, SliceAgreesWithCounting) {
  for (std::int64_t extent = 1; extent <= 5; ++extent)
    for (std::int64_t start = -6; start <= 6; ++start)
      for (std::int64_t end = -11; end <= 6; ++end)
        for (const std::int64_t step : {-3, -2, -1, 1, 2, 3}) {
          // A start that is negative even after adding the extent is clamped to 0 going backwards.
          if (step < 0 && start + extent < 0) continue;
          EXPECT_EQ(shape_of("Slice", {{extent}}, {}, {{start}, {end}, {0}, {step}}),
                    to_string(Shape{slice_length(extent, start, end, step)}))
              << extent << " " << start << ":" << end << ":" << step;
        }
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{-1}, {INT64_MIN + 1}, {0}, {-1}}), "[9]");
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{INT64_MIN}, {INT64_MAX}, {0}, {INT64_MAX}}), "[1]");
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{INT64_MAX}, {INT64_MIN}, {0}, {INT64_MIN}}), "[1]");
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{0}, {1}, {0}, {0}}), "error");
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{0}, {1}, {1}}), "error");
  EXPECT_EQ(shape_of("Slice", {{9}}, {}, {{0, 0}, {1}}), "error");
  EXPECT_EQ(shape_of("Slice", {{-1, 9}}, {}, {{0, 0}, {INT64_MAX, 4}}), "[?,4]");
}

TEST(ShapeInference, AbsurdSizesAreErrors) {
  GraphBuilder b;
  const auto x = b.input("x", {std::int64_t{1} << 39, 1});
  const auto y = b.input("y", {1, std::int64_t{1} << 39});
  b.node("Add", {x, y}, "z");
  const auto status = infer_shapes(b.graph);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("z_node (Add)"), std::string::npos);
  GraphBuilder c;
  c.input("x", {std::int64_t{1} << 60});
  EXPECT_FALSE(infer_shapes(c.graph));
  EXPECT_EQ(shape_of("ConstantOfShape", {}, {}, {{INT64_MAX, INT64_MAX}}), "error");
  EXPECT_EQ(shape_of("ConstantOfShape", {}, {}, {{2, -1}}), "error");
}

TEST(ShapeInference, TypesFollowTheOperators) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 3});
  const auto cast = b.node("Cast", {x}, "cast", {{"to", std::int64_t{6}}});
  const auto shape = b.node("Shape", {x}, "shape");
  const auto scale = b.scalar("scale", 0.5F);
  const auto zero = b.constant("zero", Tensor::from<std::int8_t>({3}, {}));
  const auto q = b.node("QuantizeLinear", {x, scale, zero}, "q");
  const auto u = b.node("QuantizeLinear", {x, scale}, "u");
  const auto dq = b.node("DequantizeLinear", {q, scale, zero}, "dq");
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_EQ(b.graph.value(cast).dtype, DType::i32);
  EXPECT_EQ(b.graph.value(shape).dtype, DType::i64);
  EXPECT_EQ(b.graph.value(q).dtype, DType::i8);
  EXPECT_EQ(b.graph.value(u).dtype, DType::u8);
  EXPECT_EQ(b.graph.value(dq).dtype, DType::f32);
  b.node("Add", {x, cast}, "sum");
  EXPECT_FALSE(infer_shapes(b.graph));
  EXPECT_EQ(shape_of("Cast", {{2}}, {{"to", std::int64_t{99}}}), "error");
}

TEST(ShapeInference, ShapeArithmeticReachesReshape) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 16, 4, 4}, {"N", "", "", ""});
  const auto shape = b.node("Shape", {x}, "shape");
  const auto zero = b.constant("zero", Tensor::from<std::int64_t>({0}, {}));
  const auto batch = b.node("Gather", {shape, zero}, "batch", axis(0));
  const auto batch_list = b.node("Unsqueeze", {batch, b.ints("axes", {0})}, "batch_list");
  const auto rest = b.node("Slice", {shape, b.ints("s", {1}), b.ints("e", {4})}, "rest");
  const auto two = b.ints("two", {2});
  const auto scaled = b.node("Mul", {rest, two}, "scaled");
  const auto halved = b.node("Div", {scaled, two}, "halved");
  const auto target = b.node("Concat", {batch_list, b.ints("minus", {-1})}, "target", axis(0));
  const auto y = b.node("Reshape", {x, target}, "y");
  const auto same_target = b.node("Concat", {batch_list, halved}, "same_target", axis(0));
  const auto same = b.node("Reshape", {y, same_target}, "same");
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_EQ(*b.graph.value(y).shape, (Shape{-1, 256}));
  EXPECT_EQ(b.graph.value(y).dim_names, (std::vector<std::string>{"N", ""}));
  EXPECT_EQ(*b.graph.value(same).shape, (Shape{-1, 16, 4, 4}));
  const auto facts = infer_facts(b.graph);
  ASSERT_TRUE(facts);
  // The batch of the result is known to be that of the input.
  EXPECT_EQ((*facts)[index(same)].shape, (*facts)[index(x)].shape);
}

TEST(ShapeInference, UnknownOperatorsKeepDeclaredShapes) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 3});
  const auto y = b.node("Mystery", {x}, "y");
  const auto z = b.node("Relu", {y}, "z");
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_FALSE(b.graph.value(z).shape);
  b.graph.value(y).shape = Shape{4, -1};
  b.graph.value(y).dtype = DType::f32;
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_EQ(*b.graph.value(z).shape, (Shape{4, -1}));
}

TEST(ShapeInference, DeclaredShapesAreChecked) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 3});
  const auto y = b.node("Relu", {x}, "y");
  b.graph.value(y).shape = Shape{7, 3};
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_EQ(*b.graph.value(y).shape, (Shape{7, 3}));
  b.graph.value(y).shape = Shape{7, 4};
  EXPECT_FALSE(infer_shapes(b.graph));
  b.graph.value(y).shape = Shape{7, 3, 1};
  EXPECT_FALSE(infer_shapes(b.graph));
  b.graph.value(y).shape = std::nullopt;
  b.graph.value(y).dtype = DType::i8;
  EXPECT_FALSE(infer_shapes(b.graph));
  b.graph.value(x).shape = Shape{-5, 3};
  EXPECT_FALSE(infer_shapes(b.graph));
}

TEST(ShapeInference, ForGivenInputShapes) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 3, -1, 8});
  const auto w = b.weights("w", {4, 3, 3, 3});
  const auto y = b.node("Conv", {x, w}, "y");
  ASSERT_TRUE(infer_shapes(b.graph));
  const auto shapes = infer_shapes_for(b.graph, {{x, {5, 3, 10, 8}}});
  ASSERT_TRUE(shapes);
  EXPECT_EQ(*(*shapes)[index(y)], (Shape{5, 4, 8, 6}));
  EXPECT_EQ(*b.graph.value(y).shape, (Shape{-1, 4, -1, 6}));
  EXPECT_FALSE(infer_shapes_for(b.graph, {{x, {5, 2, 10, 8}}}));
  EXPECT_FALSE(infer_shapes_for(b.graph, {{x, {5, 3, 10}}}));
  EXPECT_FALSE(infer_shapes_for(b.graph, {{x, {5, 3, -4, 8}}}));
}

TEST(ShapeInference, MissingInputsDoNotCrash) {
  for (const auto* op : {"Conv",
                         "Gemm",
                         "MatMul",
                         "BatchNormalization",
                         "Relu",
                         "Clip",
                         "Softmax",
                         "Add",
                         "Concat",
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
                         "Identity",
                         "Dropout",
                         "QuantizeLinear",
                         "DequantizeLinear",
                         "Max",
                         "MaxPool",
                         "Cast"}) {
    GraphBuilder b;
    b.node(op, {}, "y", {{"axis", std::int64_t{0}}});
    (void)infer_shapes(b.graph);
  }
}

}  // namespace
}  // namespace octet

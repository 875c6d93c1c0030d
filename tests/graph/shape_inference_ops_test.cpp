// Types and shapes of operators, against expectations written by hand from the ONNX specification.

#include <gtest/gtest.h>

#include "graph/graph_builder.h"
#include "graph/op_schema.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

/// An input of the node: of this type and shape, or a constant.
struct In {
  DType dtype = DType::f32;
  Shape shape;
  std::optional<Tensor> constant;

  In(Shape extents, DType type = DType::f32) : dtype(type), shape(std::move(extents)) {}
  In(std::initializer_list<std::int64_t> extents) : shape(extents) {}
  In(Tensor tensor) : constant(std::move(tensor)) {}
};

In list(const Ints& values) {
  return Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())});
}
In reals(const std::vector<float>& values) {
  return Tensor::from<float>(values, {static_cast<std::int64_t>(values.size())});
}
In absent() { return Tensor(); }

/// "f32[2,3] i64[2]" for the outputs of one node, or "error".
std::string infer(const std::string& op, const std::vector<In>& inputs,
                  const Attributes& attributes = {}, int outputs = 1) {
  GraphBuilder b;
  Node node;
  node.op = op;
  node.name = "n";
  node.attributes = attributes;
  for (const auto& in : inputs) {
    if (!in.constant) {
      node.inputs.push_back(b.input("x", in.shape, {}, in.dtype));
    } else if (in.constant->empty()) {
      node.inputs.push_back(ValueId::none);
    } else {
      node.inputs.push_back(b.constant("c", *in.constant));
    }
  }
  for (int i = 0; i < outputs; ++i) node.outputs.push_back(b.graph.add_value({}));
  const auto made = node.outputs;
  b.graph.add_node(std::move(node));
  if (const auto status = infer_shapes(b.graph); !status) {
    EXPECT_NE(status.error().message.find("node n (" + op + ")"), std::string::npos)
        << status.error().message;
    return "error";
  }
  std::string text;
  for (const auto id : made) {
    const auto& value = b.graph.value(id);
    text += (text.empty() ? "" : " ") + std::string(name(value.dtype)) +
            (value.shape ? to_string(*value.shape) : std::string("?"));
  }
  return text;
}

Attributes number(const std::string& key, std::int64_t value) { return {{key, value}}; }
Attributes text(const std::string& key, const std::string& value) { return {{key, value}}; }

TEST(ShapeInferenceOps, EveryOperatorHasARule) {
  // Without inputs a rule leaves the output unknown or fails; what it may not do is set nothing
  // for well-formed inputs, so the simplest families are tried here with one shape for all.
  for (const auto* op :
       {"Abs",        "Ceil",     "Celu",  "Cos",       "Elu",        "Erf",
        "Exp",        "Gelu",     "Floor", "HardSwish", "Log",        "Mish",
        "Neg",        "Selu",     "Sign",  "Sin",       "Reciprocal", "Sqrt",
        "Softplus",   "Softsign", "Swish", "Tanh",      "Round",      "ThresholdedRelu",
        "LogSoftmax", "Trilu"}) {
    EXPECT_EQ(infer(op, {{2, -1, 4}}), "f32[2,?,4]") << op;
  }
  for (const auto* op : {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "PRelu"}) {
    EXPECT_EQ(infer(op, {{2, 3, 4}, {3, 1}}), "f32[2,3,4]") << op;
  }
  for (const auto* op : {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"}) {
    EXPECT_EQ(infer(op, {{2, 3, 1}, {5}}), "bool[2,3,5]") << op;
  }
  for (const auto* op : {"And", "Or", "Xor"}) {
    EXPECT_EQ(infer(op, {In{{2, 1}, DType::boolean}, In{{3}, DType::boolean}}), "bool[2,3]");
    EXPECT_EQ(infer(op, {{2, 1}, {3}}), "error");
  }
}

TEST(ShapeInferenceOps, ElementwiseTypes) {
  EXPECT_EQ(infer("Not", {In{{2}, DType::boolean}}), "bool[2]");
  EXPECT_EQ(infer("Not", {In{{2}, DType::i64}}), "error");
  EXPECT_EQ(infer("Pow", {{2}, In{{2}, DType::i64}}), "f32[2]");
  EXPECT_EQ(infer("Add", {{2}, In{{2}, DType::i64}}), "error");
  EXPECT_EQ(infer("Max", {{2}, In{{2}, DType::i64}}), "error");
  EXPECT_EQ(infer("PRelu", {{3, 1}, {2, 3, 1}}), "error");
  EXPECT_EQ(infer("PRelu", {{3, 1}, {3, 2}}), "error");
  EXPECT_EQ(infer("Where", {In{{3, 1}, DType::boolean}, {1, 4}, In{Shape{}}}), "f32[3,4]");
  EXPECT_EQ(infer("Where", {In{{3, 1}}, {1, 4}, In{Shape{}}}), "error");
  EXPECT_EQ(infer("CumSum", {{3, 4}, In(Tensor::from<std::int32_t>({-2}, {}))}), "f32[3,4]");
  EXPECT_EQ(infer("CumSum", {{3, 4}, In(Tensor::from<std::int32_t>({2}, {}))}), "error");
  EXPECT_EQ(infer("DynamicQuantizeLinear", {{2, -1}}, {}, 3), "u8[2,?] f32[] u8[]");
}

TEST(ShapeInferenceOps, Normalizations) {
  EXPECT_EQ(infer("LayerNormalization", {{2, -1, 8}, {8}, {8}}, {}, 3),
            "f32[2,?,8] f32[2,?,1] f32[2,?,1]");
  EXPECT_EQ(infer("LayerNormalization", {{2, 3, 8}, {3, 8}}, number("axis", 1), 2),
            "f32[2,3,8] f32[2,1,1]");
  EXPECT_EQ(infer("LayerNormalization", {{2, 3, 8}, {7}}), "error");
  EXPECT_EQ(infer("LayerNormalization", {{2, 3, 8}, {8}}, number("stash_type", 3)), "error");
  EXPECT_EQ(infer("InstanceNormalization", {{2, 3, 8}, {3}, {3}}), "f32[2,3,8]");
  EXPECT_EQ(infer("InstanceNormalization", {{2, 3, 8}, {3}, {4}}), "error");
  EXPECT_EQ(infer("GroupNormalization", {{2, 6, 8}, {6}, {6}}, number("num_groups", 3)),
            "f32[2,6,8]");
  EXPECT_EQ(infer("GroupNormalization", {{2, 6, 8}, {6}, {6}}, number("num_groups", 4)), "error");
}

TEST(ShapeInferenceOps, Convolutions) {
  EXPECT_EQ(infer("ConvTranspose", {{-1, 4, 5, 6}, {4, 3, 3, 3}}, {{"strides", Ints{2, 2}}}),
            "f32[?,3,11,13]");
  EXPECT_EQ(infer("ConvTranspose", {{1, 4, 5, 6}, {4, 3, 2, 2}}, number("group", 2)),
            "f32[1,6,6,7]");
  EXPECT_EQ(infer("ConvTranspose", {{1, 4, -1, 6}, {4, 3, 3, 3}}), "f32[1,3,?,8]");
  EXPECT_EQ(infer("ConvTranspose", {{1, 5, 5, 6}, {4, 3, 3, 3}}), "error");
  EXPECT_EQ(infer("ConvTranspose", {{1, 4, 5, 6}, {4, 3, 3, 3}}, number("group", 3)), "error");
  EXPECT_EQ(infer("ConvTranspose", {{1, 4, 5, 6}, {4, 3, 3, 3}, {4}}), "error");
  const In data{{1, 4, 5, 6}, DType::u8};
  const In weight{{8, 4, 3, 3}, DType::i8};
  const In zero = Tensor::from<std::uint8_t>({3}, {});
  EXPECT_EQ(infer("ConvInteger", {data, weight, zero}), "i32[1,8,3,4]");
  const In scale = Tensor::from<float>({1.0F}, {});
  const In weight_zero = Tensor::from<std::int8_t>({0}, {});
  EXPECT_EQ(infer("QLinearConv", {data, scale, zero, weight, scale, weight_zero, scale, zero}),
            "u8[1,8,3,4]");
  EXPECT_EQ(infer("MatMulInteger", {In{{2, 3, 4}, DType::u8}, In{{4, 5}, DType::i8}}),
            "i32[2,3,5]");
  EXPECT_EQ(infer("QLinearMatMul", {In{{3, 4}, DType::u8}, scale, zero, In{{4, 5}, DType::i8},
                                    scale, weight_zero, scale, weight_zero}),
            "i8[3,5]");
  EXPECT_EQ(infer("GlobalMaxPool", {{-1, 4, 5, 6}}), "f32[?,4,1,1]");
  EXPECT_EQ(infer("MaxPool", {{1, 4, 5, 6}}, {{"kernel_shape", Ints{2, 2}}}, 2),
            "f32[1,4,4,5] i64[1,4,4,5]");
}

TEST(ShapeInferenceOps, Reductions) {
  for (const auto* op : {"ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin",
                         "ReduceProd", "ReduceSum", "ReduceSumSquare"}) {
    EXPECT_EQ(infer(op, {{2, 3, 4}, list({0, -1})}), "f32[1,3,1]") << op;
    EXPECT_EQ(infer(op, {{2, 3, 4}, list({})}, number("keepdims", 0)), "f32[]") << op;
  }
  EXPECT_EQ(infer("ArgMax", {{2, 3, 4}}, number("axis", 1)), "i64[2,1,4]");
  EXPECT_EQ(
      infer("ArgMin", {{2, 3, 4}}, {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}}),
      "i64[2,3]");
  EXPECT_EQ(infer("ArgMax", {{2, 0}}, number("axis", 1)), "error");
  EXPECT_EQ(infer("TopK", {{2, 9}, list({3})}, {}, 2), "f32[2,3] i64[2,3]");
  EXPECT_EQ(infer("TopK", {{2, 9}, list({3})}, number("axis", 0), 2), "error");
  EXPECT_EQ(infer("TopK", {{2, 9}, In{{1}, DType::i64}}, {}, 2), "f32[2,?] i64[2,?]");
}

TEST(ShapeInferenceOps, CuttingAndRepeating) {
  EXPECT_EQ(infer("Split", {{7, 2}}, number("num_outputs", 3), 3), "f32[3,2] f32[3,2] f32[1,2]");
  EXPECT_EQ(infer("Split", {{2, 7}, list({1, 6})}, number("axis", -1), 2), "f32[2,1] f32[2,6]");
  EXPECT_EQ(infer("Split", {{2, 7}, list({1, 5})}, number("axis", -1), 2), "error");
  EXPECT_EQ(infer("Split", {{2, 7}, list({1, 5, 1})}, number("axis", -1), 2), "error");
  EXPECT_EQ(infer("Split", {{7, 2}}, number("num_outputs", 2), 3), "error");
  EXPECT_EQ(infer("Split", {{2}}, number("num_outputs", 4), 4), "error");
  EXPECT_EQ(infer("Split", {{-1, 6}}, {}, 2), "f32[?,6] f32[?,6]");
  EXPECT_EQ(infer("Expand", {{3, 1}, list({2, 1, 6})}), "f32[2,3,6]");
  EXPECT_EQ(infer("Expand", {{3, 1}, list({2, 6})}), "error");
  EXPECT_EQ(infer("Expand", {{3, 1}, list({-1, 6})}), "error");
  EXPECT_EQ(infer("Expand", {{3, 1}, In{{3}, DType::i64}}), "f32[?,3,?]");
  EXPECT_EQ(infer("Tile", {{2, -1, 3}, list({2, 1, 4})}), "f32[4,?,12]");
  EXPECT_EQ(infer("Tile", {{2, 3}, list({2})}), "error");
  EXPECT_EQ(infer("Tile", {{2, 3}, list({2, -1})}), "error");
  EXPECT_EQ(infer("Tile", {{2, 3}, list({INT64_MAX, 2})}), "error");
  EXPECT_EQ(infer("Trilu", {{3}}), "error");
  EXPECT_EQ(infer("OneHot", {In{{2, 3}, DType::i64}, list({5}), reals({0, 1})}), "f32[2,3,5]");
  EXPECT_EQ(infer("OneHot", {In{{2, 3}, DType::i64}, reals({5}), reals({0, 1})}, number("axis", 0)),
            "f32[5,2,3]");
}

TEST(ShapeInferenceOps, RangesHaveTheLengthOfALoop) {
  for (std::int64_t start = -3; start <= 3; ++start)
    for (std::int64_t limit = -7; limit <= 7; ++limit)
      for (const std::int64_t delta : {-3, -2, -1, 1, 2, 3}) {
        std::int64_t count = 0;
        for (auto i = start; delta > 0 ? i < limit : i > limit; i += delta) ++count;
        const auto scalar = [](std::int64_t v) { return In(Tensor::from<std::int64_t>({v}, {})); };
        EXPECT_EQ(infer("Range", {scalar(start), scalar(limit), scalar(delta)}),
                  "i64" + to_string(Shape{count}));
      }
  const auto real = [](float v) { return In(Tensor::from<float>({v}, {})); };
  EXPECT_EQ(infer("Range", {real(0.0F), real(1.0F), real(0.3F)}), "f32[4]");
  EXPECT_EQ(infer("Range", {real(0.0F), real(1.0F), real(0.0F)}), "error");
  EXPECT_EQ(infer("Range", {real(0.0F), real(1e30F), real(1e-9F)}), "error");
}

TEST(ShapeInferenceOps, Indices) {
  const In indices{{2, 1, 2}, DType::i64};
  EXPECT_EQ(infer("GatherElements", {{4, 5, 6}, indices}), "f32[2,1,2]");
  EXPECT_EQ(infer("GatherElements", {{4, 5}, indices}), "error");
  EXPECT_EQ(infer("GatherND", {{4, 5, 6}, indices}), "f32[2,1,6]");
  EXPECT_EQ(infer("GatherND", {{2, 5, 6}, indices}, number("batch_dims", 1)), "f32[2,1]");
  EXPECT_EQ(infer("GatherND", {{3, 5, 6}, indices}, number("batch_dims", 1)), "error");
  EXPECT_EQ(infer("GatherND", {{4}, indices}), "error");
  EXPECT_EQ(infer("ScatterND", {{4, 5, 6}, indices, {2, 1, 6}}), "f32[4,5,6]");
  EXPECT_EQ(infer("ScatterND", {{4, 5, 6}, indices, {2, 1, 5}}), "error");
  EXPECT_EQ(infer("ScatterElements", {{4, 5, 6}, indices, {2, 1, 2}}), "f32[4,5,6]");
  EXPECT_EQ(infer("ScatterElements", {{4, 5, 6}, indices, {2, 2, 2}}), "error");
}

TEST(ShapeInferenceOps, Images) {
  EXPECT_EQ(infer("DepthToSpace", {{-1, 8, 3, 5}}, number("blocksize", 2)), "f32[?,2,6,10]");
  EXPECT_EQ(infer("DepthToSpace", {{1, 6, 3, 5}}, number("blocksize", 2)), "error");
  EXPECT_EQ(infer("SpaceToDepth", {{1, 2, 6, 10}}, number("blocksize", 2)), "f32[1,8,3,5]");
  EXPECT_EQ(infer("SpaceToDepth", {{1, 2, 6, 9}}, number("blocksize", 2)), "error");
  EXPECT_EQ(infer("Resize", {{-1, 3, 5, 7}, absent(), reals({1, 1, 2, 1.5F})}), "f32[?,3,10,10]");
  EXPECT_EQ(infer("Resize", {{1, 3, 5, 7}, absent(), absent(), list({1, 3, 4, 4})}),
            "f32[1,3,4,4]");
  EXPECT_EQ(
      infer("Resize", {{-1, 3, 5, 7}, absent(), reals({}), list({4, 4})}, {{"axes", Ints{2, -1}}}),
      "f32[?,3,4,4]");
  EXPECT_EQ(infer("Resize", {{1, 3, 5, 7}}), "error");
  EXPECT_EQ(infer("Resize", {{1, 3, 5, 7}, absent(), reals({1, 1, 2})}), "error");
  EXPECT_EQ(infer("Resize", {{1, 3, 5, 7}, absent(), reals({1, 1, 2, -1})}), "error");
}

TEST(ShapeInferenceOps, Recurrent) {
  const In x{5, 2, 3};
  EXPECT_EQ(infer("LSTM", {x, {1, 16, 3}, {1, 16, 4}}, number("hidden_size", 4), 3),
            "f32[5,1,2,4] f32[1,2,4] f32[1,2,4]");
  auto attributes = text("direction", "bidirectional");
  attributes.emplace("layout", std::int64_t{1});
  EXPECT_EQ(infer("GRU", {{2, -1, 3}, {2, 12, 3}, {2, 12, 4}}, attributes, 2),
            "f32[2,?,2,4] f32[2,2,4]");
  EXPECT_EQ(infer("GRU", {x, {1, 16, 3}, {1, 16, 4}}, number("hidden_size", 4), 2), "error");
  EXPECT_EQ(infer("LSTM", {x, {1, 16, 5}, {1, 16, 4}}, {}, 1), "error");
  EXPECT_EQ(infer("LSTM", {x, {1, 16, 3}, {1, 16, 4}}, text("direction", "up"), 1), "error");
}

TEST(ShapeInferenceOps, Einsum) {
  const auto einsum = [](const std::string& equation, const std::vector<In>& inputs) {
    return infer("Einsum", inputs, text("equation", equation));
  };
  EXPECT_EQ(einsum("bhid,bhjd->bhij", {{2, 4, 5, 8}, {2, 4, 6, 8}}), "f32[2,4,5,6]");
  EXPECT_EQ(einsum("...ij,...jk", {{7, 1, 2, 3}, {4, 3, 5}}), "f32[7,4,2,5]");
  EXPECT_EQ(einsum("b a", {{2, 3}}), "f32[3,2]");
  EXPECT_EQ(einsum("ii", {{3, 3}}), "f32[]");
  EXPECT_EQ(einsum("ii->i", {{3, 3}}), "f32[3]");
  EXPECT_EQ(einsum("i,j->ij", {{1}, {3}}), "f32[1,3]");
  EXPECT_EQ(einsum("ij,ij->", {{1, 3}, {-1, 3}}), "f32[]");
  EXPECT_EQ(einsum("ij,jk->ik", {{-1, 3}, {3, 5}}), "f32[?,5]");
  for (const auto* bad : {"ij", "ij,jk,kl->il", "ij,jk->iz", "ij,jk->ii", "i?,jk", "ijk,jk->i",
                          "......ij,jk", "ij,jk->ik->i"}) {
    EXPECT_EQ(einsum(bad, {{2, 3}, {3, 5}}), "error") << bad;
  }
  EXPECT_EQ(einsum("ij,jk", {{2, 3}, {4, 5}}), "error");
}

TEST(ShapeInferenceOps, RanksAreLimited) {
  EXPECT_EQ(infer("Relu", {In(Tensor::zeros(DType::f32, Shape(64, 1)))}),
            "f32" + to_string(Shape(64, 1)));
  EXPECT_EQ(infer("Unsqueeze", {In(Tensor::zeros(DType::f32, Shape(64, 1))), list({0})}), "error");
}

std::int64_t macs(const std::string& op, const std::vector<Shape>& shapes,
                  const Attributes& attributes) {
  GraphBuilder b;
  std::vector<ValueId> ids;
  for (const auto& shape : shapes) ids.push_back(b.input("x", shape));
  b.node(op, ids, "y", attributes);
  EXPECT_TRUE(infer_shapes(b.graph));
  return node_macs(b.graph, b.graph.node(static_cast<NodeId>(0)));
}

TEST(OpSchema, MacsOfOneBatchItem) {
  EXPECT_EQ(macs("ConvTranspose", {{-1, 4, 5, 6}, {4, 3, 3, 2}}, number("group", 2)),
            4 * 5 * 6 * 3 * 3 * 2);
  EXPECT_EQ(macs("Einsum", {{2, 4, 5, 8}, {2, 4, 6, 8}}, text("equation", "bhid,bhjd->bhij")),
            4 * 5 * 6 * 8);
  EXPECT_EQ(macs("LSTM", {{5, 2, 3}, {1, 16, 3}, {1, 16, 4}}, {}), 5 * 16 * (3 + 4));
  EXPECT_EQ(macs("MatMulInteger", {{2, 3, 4}, {4, 5}}, {}), 3 * 4 * 5);
}

}  // namespace
}  // namespace octet

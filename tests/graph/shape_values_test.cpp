// Numbers that inference follows from shapes to the inputs that take shapes, as exporters write
// such arithmetic.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "graph/graph_builder.h"
#include "graph/partial_numbers.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

Attributes axis(std::int64_t value) { return {{"axis", value}}; }
Attributes to(std::int64_t code) { return {{"to", code}}; }

constexpr std::int64_t onnx_f32 = 1;
constexpr std::int64_t onnx_i64 = 7;

/// What inference knows of an integer value: "3 ? 4", extents as "dim".
std::string known(const GraphBuilder& b, ValueId id) {
  const auto facts = infer_facts(b.graph);
  if (!facts) return facts.error().message;
  const auto& integers = (*facts)[index(id)].integers;
  if (!integers) return "nothing";
  std::string text;
  for (const auto& element : integers->elements) {
    text += text.empty() ? "" : " ";
    text += element.is_known()                         ? std::to_string(element.value)
            : element.kind == PartialInt::Kind::extent ? "dim"
                                                       : "?";
  }
  return text;
}

std::string shape_text(GraphBuilder& b, ValueId id) {
  const auto status = infer_shapes(b.graph);
  if (!status) return status.error().message;
  return b.graph.value(id).shape ? to_string(*b.graph.value(id).shape) : "unknown";
}

ValueId scalar(GraphBuilder& b, const std::string& name, std::int64_t value) {
  return b.constant(name, Tensor::from<std::int64_t>({value}, {}));
}

TEST(ShapeValues, UpsamplingThroughFloatAsPyTorchWritesIt) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 3, 5, 7}, {"N"});
  const auto shape = b.node("Shape", {x}, "shape");
  std::vector<ValueId> sizes;
  for (const auto i : {2, 3}) {
    const auto tag = std::to_string(i);
    const auto extent = b.node("Gather", {shape, scalar(b, "i" + tag, i)}, "extent" + tag);
    const auto real = b.node("Cast", {extent}, "real" + tag, to(onnx_f32));
    const auto scaled = b.node("Mul", {real, b.scalar("factor" + tag, 1.5F)}, "scaled" + tag);
    const auto floor = b.node("Floor", {scaled}, "floor" + tag);
    const auto whole = b.node("Cast", {floor}, "whole" + tag, to(onnx_i64));
    sizes.push_back(b.node("Unsqueeze", {whole, b.ints("ax" + tag, {0})}, "list" + tag));
  }
  const auto lead = b.node("Slice", {shape, b.ints("s", {0}), b.ints("e", {2})}, "lead");
  const auto all = b.node("Concat", {lead, sizes[0], sizes[1]}, "all", axis(0));
  const auto y = b.node("Resize", {x, ValueId::none, ValueId::none, all}, "y");
  EXPECT_EQ(known(b, all), "dim 3 7 10");
  EXPECT_EQ(shape_text(b, y), "[?,3,7,10]");
  EXPECT_EQ(b.graph.value(y).dim_names, (std::vector<std::string>{"N", "", "", ""}));
}

TEST(ShapeValues, ExpandWithMinusOneAsPyTorchWritesIt) {
  // expand(-1, 4, -1): a Where takes the input's extent in place of -1... stated as 1.
  GraphBuilder b;
  const auto x = b.input("x", {-1, 1, 6}, {"N"});
  const auto shape = b.node("Shape", {x}, "shape");
  const auto batch = b.node("Slice", {shape, b.ints("s", {0}), b.ints("e", {1})}, "batch");
  const auto wanted = b.node("Concat", {batch, b.ints("rest", {4, -1})}, "wanted", axis(0));
  const auto ones = b.node("ConstantOfShape", {b.ints("three", {3})}, "ones",
                           {{"value", Tensor::from<std::int64_t>({1}, {1})}});
  const auto minus = b.node("Mul", {ones, b.ints("m", {-1})}, "minus");
  const auto unset = b.node("Equal", {wanted, minus}, "unset");
  const auto target = b.node("Where", {unset, ones, wanted}, "target");
  const auto y = b.node("Expand", {x, target}, "y");
  EXPECT_EQ(known(b, target), "dim 4 1");
  EXPECT_EQ(shape_text(b, y), "[?,4,6]");
  const auto facts = infer_facts(b.graph);
  EXPECT_EQ((*facts)[index(y)].shape->front(), (*facts)[index(x)].shape->front());
}

TEST(ShapeValues, PositionsOfATransformer) {
  GraphBuilder b;
  const auto ids = b.input("ids", {-1, -1}, {"N", "T"}, DType::i64);
  const auto shape = b.node("Shape", {ids}, "shape", {{"start", std::int64_t{1}}});
  const auto length = b.node("Squeeze", {shape}, "length");
  const auto range = b.node("Range", {scalar(b, "zero", 0), length, scalar(b, "one", 1)}, "range");
  const auto table = b.weights("table", {512, 8});
  const auto y = b.node("Gather", {table, range}, "y");
  EXPECT_EQ(shape_text(b, y), "[?,8]");
  EXPECT_EQ(b.graph.value(y).dim_names, (std::vector<std::string>{"T", ""}));
}

TEST(ShapeValues, ArithmeticOnExtents) {
  GraphBuilder b;
  const auto x = b.input("x", {-1, 12}, {"N"});
  const auto shape = b.node("Shape", {x}, "shape");
  EXPECT_EQ(known(b, b.node("Mod", {shape, b.ints("a", {1, 5})}, "mod")), "? 2");
  EXPECT_EQ(known(b, b.node("Sub", {shape, b.ints("b", {0, 5})}, "sub")), "dim 7");
  EXPECT_EQ(known(b, b.node("Neg", {shape}, "neg")), "? -12");
  EXPECT_EQ(known(b, b.node("Min", {shape, b.ints("c", {0, 5})}, "min")), "0 5");
  EXPECT_EQ(known(b, b.node("Max", {shape, b.ints("d", {0, 5})}, "max")), "dim 12");
  EXPECT_EQ(known(b, b.node("Div", {shape, b.ints("e", {1, 5})}, "div")), "dim 2");
  EXPECT_EQ(known(b, b.node("Div", {shape, b.ints("f", {0, 0})}, "by_zero")), "? ?");
  const auto keep = Attributes{{"keepdims", std::int64_t{0}}};
  EXPECT_EQ(known(b, b.node("ReduceProd", {b.ints("g", {2, 3, 7})}, "product", keep)), "42");
  EXPECT_EQ(known(b, b.node("ReduceProd", {shape, b.ints("ax", {0})}, "dynamic", keep)), "?");
  EXPECT_EQ(known(b, b.node("Tile", {shape, b.ints("h", {2})}, "tile")), "dim 12 dim 12");
  EXPECT_EQ(known(b, b.node("Expand", {shape, b.ints("i", {2, 2})}, "expand")), "dim 12 dim 12");
  EXPECT_EQ(known(b, b.node("Range", {scalar(b, "j", 5), scalar(b, "k", -2), scalar(b, "l", -3)},
                            "range")),
            "5 2 -1");
}

TEST(ShapeValues, SplitPartsAreKnown) {
  GraphBuilder b;
  const auto list = b.ints("list", {2, 3, 4, 5});
  Node node;
  node.op = "Split";
  node.inputs = {list, b.ints("parts", {1, 3})};
  node.outputs = {b.graph.add_value({}), b.graph.add_value({})};
  const auto parts = node.outputs;
  b.graph.add_node(std::move(node));
  EXPECT_EQ(known(b, parts[0]), "2");
  EXPECT_EQ(known(b, parts[1]), "3 4 5");
}

TEST(ShapeValues, LongResultsAreNotFollowed) {
  GraphBuilder b;
  const auto fill = Attributes{{"value", Tensor::from<std::int64_t>({7}, {1})}};
  const auto small = b.node("ConstantOfShape", {b.ints("s", {4096})}, "small", fill);
  const auto large = b.node("ConstantOfShape", {b.ints("l", {1 << 20, 1 << 20})}, "large", fill);
  const auto range =
      b.node("Range", {scalar(b, "a", 0), scalar(b, "b", std::int64_t{1} << 39), scalar(b, "c", 1)},
             "range");
  const auto expand = b.node("Expand", {small, b.ints("e", {1 << 20, 4096})}, "expand");
  const auto tile = b.node("Tile", {small, b.ints("t", {1 << 20})}, "tile");
  EXPECT_NE(known(b, small), "nothing");
  for (const auto id : {large, range, expand, tile}) EXPECT_EQ(known(b, id), "nothing");
  EXPECT_EQ(shape_text(b, tile), to_string(Shape{std::int64_t{1} << 32}));
}

/// Results of the operator on float32, computed in float32.
float in_float(const std::string& op, float a, float b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  return a / b;
}

TEST(PartialNumbers, FloatArithmeticIsThatOfFloat32) {
  std::mt19937 random(7);
  for (const auto* op : {"Add", "Sub", "Mul", "Div"}) {
    for (int i = 0; i < 2000; ++i) {
      const auto a =
          std::ldexp(static_cast<float>(random() >> 8), static_cast<int>(random() % 40) - 30);
      const auto b =
          std::ldexp(static_cast<float>(random() >> 8), static_cast<int>(random() % 40) - 30);
      const auto result = combine_numbers(op, DType::f32, real_number(static_cast<double>(a)),
                                          real_number(static_cast<double>(b)));
      ASSERT_TRUE(result.is_real());
      EXPECT_EQ(static_cast<float>(result.real()), in_float(op, a, b))
          << op << " " << a << " " << b;
    }
  }
}

TEST(PartialNumbers, IntegersKeepWithinTheirType) {
  const auto combined = [](const char* op, DType dtype, std::int64_t a, std::int64_t b) {
    return combine_numbers(op, dtype, known_number(a), known_number(b));
  };
  EXPECT_EQ(combined("Mul", DType::i32, 1 << 20, 1 << 20), PartialInt{});
  EXPECT_EQ(combined("Mul", DType::i64, 1 << 20, 1 << 20), known_number(std::int64_t{1} << 40));
  EXPECT_EQ(combined("Add", DType::i64, INT64_MAX, 1), PartialInt{});
  EXPECT_EQ(combined("Div", DType::i64, INT64_MIN, -1), PartialInt{});
  EXPECT_EQ(combined("Mod", DType::i64, INT64_MIN, -1), PartialInt{});
  EXPECT_EQ(combined("Div", DType::i64, -7, 2), known_number(-3));
  EXPECT_EQ(combined("Mod", DType::i64, -7, 3), known_number(2));
  EXPECT_EQ(combined("FMod", DType::i64, -7, 3), known_number(-1));
  EXPECT_EQ(map_number("Neg", DType::i64, known_number(INT64_MIN)), PartialInt{});
  EXPECT_EQ(cast_number(DType::i32, known_number(std::int64_t{1} << 31)), PartialInt{});
  EXPECT_EQ(cast_number(DType::i64, real_number(-2.7)), known_number(-2));
  EXPECT_EQ(cast_number(DType::i64, real_number(1e30)), PartialInt{});
  EXPECT_EQ(cast_number(DType::i64, real_number(std::nan(""))), PartialInt{});
}

TEST(PartialNumbers, ComparisonsOfExtents) {
  const PartialInt extent{PartialInt::Kind::extent, -2};
  const PartialInt other{PartialInt::Kind::extent, -3};
  EXPECT_EQ(compare_numbers("Equal", extent, known_number(-1)), known_number(0));
  EXPECT_EQ(compare_numbers("Equal", extent, extent), known_number(1));
  EXPECT_EQ(compare_numbers("Equal", extent, other), PartialInt{});
  EXPECT_EQ(compare_numbers("Equal", extent, known_number(1)), PartialInt{});
  EXPECT_EQ(compare_numbers("GreaterOrEqual", extent, known_number(0)), known_number(1));
  EXPECT_EQ(compare_numbers("Less", extent, known_number(0)), known_number(0));
  EXPECT_EQ(compare_numbers("Greater", extent, known_number(0)), PartialInt{});
  const auto nan = real_number(std::nan(""));
  EXPECT_EQ(compare_numbers("LessOrEqual", nan, real_number(1)), known_number(0));
}

}  // namespace
}  // namespace octet

#include "graph/widen.h"

#include <gtest/gtest.h>

#include <ostream>

#include "graph/graph_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet {

void PrintTo(DType dtype, std::ostream* out) { *out << name(dtype); }

namespace {

using testing::GraphBuilder;

/// 1.0, -2.0, 0.5 in the two narrow types.
Tensor halves(DType dtype) {
  const std::uint16_t f16[] = {0x3C00, 0xC000, 0x3800};
  const std::uint16_t bf16[] = {0x3F80, 0xC000, 0x3F00};
  Tensor tensor(dtype, {3});
  std::copy_n(dtype == DType::f16 ? f16 : bf16, 3, tensor.mutable_data<std::uint16_t>());
  return tensor;
}

class Widen : public ::testing::TestWithParam<DType> {};

TEST_P(Widen, InsideIsFloatAndTheEdgesKeepTheirType) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 3}, {}, GetParam());
  const auto w = b.constant("w", halves(GetParam()));
  const auto sum = b.node("Add", {x, w}, "sum");
  const auto y = b.node("Relu", {sum}, "y");
  const auto z = b.node("Neg", {y}, "z");
  b.graph.value(y).dtype = GetParam();
  b.output(y);
  b.output(z);
  ASSERT_TRUE(widen_halves(b.graph));
  ASSERT_TRUE(verify(b.graph));
  ASSERT_TRUE(infer_shapes(b.graph));
  const auto& graph = b.graph;
  EXPECT_EQ(graph.value(x).dtype, GetParam());
  EXPECT_EQ(graph.value(y).dtype, GetParam());
  EXPECT_EQ(graph.value(z).dtype, GetParam());
  EXPECT_EQ(graph.value(sum).dtype, DType::f32);
  EXPECT_EQ(graph.inputs, std::vector<ValueId>{x});
  EXPECT_EQ(graph.outputs, (std::vector<ValueId>{y, z}));
  const auto values = graph.constant(w)->values<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{1, -2, 0.5F}));
  for (const auto* output : {"y", "z"}) EXPECT_TRUE(testing::maker_of(graph, output).is("Cast"));
  // Neg reads what Relu makes, not the narrow copy of it.
  const auto& cast = testing::maker_of(graph, "z");
  const auto& neg = graph.node(graph.producers()[index(cast.input(0))]);
  EXPECT_EQ(graph.value(neg.input(0)).dtype, DType::f32);
}

TEST_P(Widen, CastsAndTensorAttributes) {
  GraphBuilder b;
  const std::int64_t code = GetParam() == DType::f16 ? 10 : 16;
  const auto x = b.input("x", {3});
  Tensor one(GetParam(), {1});
  one.mutable_data<std::uint16_t>()[0] = GetParam() == DType::f16 ? 0x3C00 : 0x3F80;
  const auto narrow = b.node("Cast", {x}, "narrow", {{"to", code}});
  const auto fill = b.node("ConstantOfShape", {b.ints("s", {3})}, "fill", {{"value", one}});
  const auto constant = b.node("Constant", {}, "constant", {{"value", halves(GetParam())}});
  const auto sum = b.node("Add", {narrow, fill}, "sum");
  const auto more = b.node("Add", {sum, constant}, "more");
  const auto y = b.node("Cast", {more}, "y", {{"to", std::int64_t{1}}});
  b.output(y);
  ASSERT_TRUE(infer_shapes(b.graph));
  EXPECT_EQ(b.graph.value(more).dtype, GetParam());
  ASSERT_TRUE(widen_halves(b.graph));
  ASSERT_TRUE(infer_shapes(b.graph));
  for (const auto id : {narrow, fill, constant, more, y}) {
    EXPECT_EQ(b.graph.value(id).dtype, DType::f32);
  }
  EXPECT_EQ(testing::maker_of(b.graph, "fill").attribute<Tensor>("value")->data<float>()[0], 1.0F);
}

TEST_P(Widen, ConstantThatIsAnOutput) {
  GraphBuilder b;
  const auto w = b.constant("w", halves(GetParam()));
  const auto y = b.node("Relu", {w}, "y");
  b.output(w);
  b.output(y);
  ASSERT_TRUE(widen_halves(b.graph));
  ASSERT_TRUE(verify(b.graph));
  EXPECT_EQ(b.graph.constant(w)->dtype(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Types, Widen, ::testing::Values(DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST(WidenNothing, LeavesOtherGraphsAlone) {
  GraphBuilder b;
  b.output(b.node("Relu", {b.input("x", {2})}, "y"));
  const auto slots = b.graph.value_slots();
  ASSERT_TRUE(widen_halves(b.graph));
  EXPECT_EQ(b.graph.value_slots(), slots);
  EXPECT_FALSE(b.graph.value(b.graph.outputs[0]).shape);
}

}  // namespace
}  // namespace octet

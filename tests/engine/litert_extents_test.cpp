// Rules tflite and xnnpack where extents are known only at run time: which kernels LiteRT then has.
// Oracle: the codes of the same model with known extents (tests/parity has LiteRT's own).

#include <gtest/gtest.h>

#include "engine/integer/integer_program.h"
#include "engine/integer/placement.h"
#include "engine/integer_model_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

using Codes = std::vector<int>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

const Shape extents = {2, 6, 9, 7};
const Shape open_batch = {dynamic_dim, 6, 9, 7};
const Shape open_image = {dynamic_dim, 6, dynamic_dim, dynamic_dim};

/// Height and width of x times seven, as a file computes them.
ValueId larger(ModelBuilder& b, ValueId x) {
  const auto integers = [&](ValueId value) {
    b.model.graph.value(value).dtype = DType::i64;
    return value;
  };
  const auto shape = integers(b.node("Shape", {x}));
  const auto sizes = integers(b.node("Slice", {shape, b.ints("from", {2}), b.ints("to", {4})}));
  return integers(b.node("Mul", {sizes, b.ints("seven", {7, 7})}));
}

/// y: x with seven times its height and width, by sizes that are computed where the input's are
/// open.
QuantizedGraph resize(const Shape& input, Rule rule, float scale = 0) {
  ModelBuilder b(1);
  b.model.plan.rule = rule;
  const auto x = b.quantize(b.input("x", input), -1, 1.3);
  Attributes attributes{{"mode", std::string("linear")},
                        {"coordinate_transformation_mode", std::string("half_pixel")}};
  std::vector<ValueId> inputs = {x};
  if (scale != 0) {
    inputs.push_back(ValueId::none);
    inputs.push_back(b.constant("scales", Tensor::from<float>({1, 1, scale, scale}, {4})));
  } else {
    attributes["axes"] = std::vector<std::int64_t>{2, 3};
    const bool open = input[2] == dynamic_dim;
    inputs.insert(inputs.end(),
                  {ValueId::none, ValueId::none, open ? larger(b, x) : b.ints("sizes", {63, 49})});
  }
  b.output(b.share(b.node("Resize", inputs, attributes), x));
  return b.model;
}

QuantizedGraph transposed_conv(const Shape& input, Rule rule) {
  ModelBuilder b(1);
  b.model.plan.rule = rule;
  const auto x = b.quantize(b.input("x", input), -1, 1.3);
  const auto w = b.constant("weight", b.random_tensor({6, 5, 2, 2}, -0.7F, 0.7F));
  Quantization q;
  q.scheme.symmetry = Symmetry::symmetric;
  q.params = {{0.75F / 127}, {0}, -1};
  b.model.plan.values[w] = q;
  const Attributes attributes{{"strides", std::vector<std::int64_t>{2, 2}}};
  b.output(b.quantize(b.node("ConvTranspose", {x, w}, attributes), -3, 3));
  return b.model;
}

/// The output's codes, the same from both engines.
Codes codes(QuantizedGraph model) {
  ModelBuilder random(7);
  const auto input = random.random_tensor(extents, -1.2F, 1.5F);
  EXPECT_TRUE(infer_shapes(model.graph));
  expect_simulation_equals_integer(model, {input});
  const auto program = compile_integer(model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  const auto& name = model.graph.value(model.graph.outputs[0]).name;
  return observe(**program, model.graph, {input}).values.at(name).codes;
}

Role role(QuantizedGraph model) {
  EXPECT_TRUE(infer_shapes(model.graph));
  const auto placements = place_nodes(model);
  EXPECT_TRUE(placements);
  return (*placements)[index(model.graph.producers()[index(model.graph.outputs[0])])].role;
}

TEST(LitertExtents, AnOpenBatchChangesNothing) {
  for (const auto rule : {Rule::tflite, Rule::xnnpack}) {
    EXPECT_EQ(role(resize(open_batch, rule)), Role::resample);
    EXPECT_EQ(codes(resize(open_batch, rule)), codes(resize(extents, rule)));
  }
}

TEST(LitertExtents, TheDelegateDoesNotTakeAComputedSize) {
  const auto built_in = codes(resize(extents, Rule::tflite));
  EXPECT_NE(codes(resize(extents, Rule::xnnpack)), built_in);
  EXPECT_EQ(codes(resize(open_image, Rule::xnnpack)), built_in);
  EXPECT_EQ(codes(resize(open_image, Rule::tflite)), built_in);
  EXPECT_EQ(codes(resize(open_image, Rule::xnnpack, 7)), built_in);
}

TEST(LitertExtents, AScaleThatMayNotGiveTheSizeStaysFloat) {
  EXPECT_EQ(role(resize(open_image, Rule::xnnpack, 1.5F)), Role::floating);
  EXPECT_EQ(role(resize({2, 6, 8, 6}, Rule::xnnpack, 1.5F)), Role::resample);
  EXPECT_EQ(role(resize(extents, Rule::xnnpack, 1.5F)), Role::floating);
}

TEST(LitertExtents, TheDelegateDoesNotTakeAComputedOutputShape) {
  EXPECT_EQ(codes(transposed_conv(open_image, Rule::tflite)),
            codes(transposed_conv(extents, Rule::tflite)));
  const auto open = codes(transposed_conv(open_image, Rule::xnnpack));
  EXPECT_NE(open, codes(transposed_conv(extents, Rule::xnnpack)));
  EXPECT_NE(open, codes(transposed_conv(extents, Rule::tflite)));
  EXPECT_EQ(open, codes(transposed_conv(open_batch, Rule::xnnpack)));
}

}  // namespace
}  // namespace octet::testing

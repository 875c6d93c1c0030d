// 16-bit activations by rules tflite and xnnpack, accumulating operators. Oracles: codes that
// LiteRT 2.3.0 gave for the same layers, and each engine for the other.

#include <gtest/gtest.h>

#include "engine/integer/integer_program.h"
#include "engine/integer/placement.h"
#include "engine/integer/wide_values.h"
#include "engine/integer_model_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr float input_scale = 0.00371F;
constexpr float output_scale = 0.00523F;

using Codes = std::vector<int>;

Tensor image_of(const Codes& codes, Shape shape, float scale) {
  Tensor image(DType::f32, std::move(shape));
  for (std::int64_t i = 0; i < image.size(); ++i) {
    image.mutable_data<float>()[i] = scale * static_cast<float>(codes[static_cast<std::size_t>(i)]);
  }
  return image;
}

Codes codes_in(const Tensor& image, float scale) {
  const auto codes = wide_codes(image, sixteen_bits(scale));
  EXPECT_TRUE(codes);
  const auto values = codes->values<std::int16_t>();
  return {values.begin(), values.end()};
}

/// Both engines; the codes of the only output.
Codes run(const QuantizedGraph& model, const std::vector<Tensor>& inputs) {
  expect_simulation_equals_integer(model, inputs);
  const auto program = compile_integer(model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  return codes_in(observe(**program, model.graph, inputs).outputs.at(0), output_scale);
}

ValueId weight(ModelBuilder& b, const Shape& shape, std::vector<float> scales, int code) {
  const auto id = b.constant("weight", Tensor::zeros(DType::f32, shape));
  Quantization q;
  q.params.scale = std::move(scales);
  q.params.zero_point.assign(q.params.scale.size(), 0);
  q.params.axis = q.params.scale.size() > 1 ? 0 : -1;
  b.model.plan.values[id] = q;
  Tensor codes(DType::i8, shape);
  std::fill_n(codes.mutable_data<std::int8_t>(), codes.size(), static_cast<std::int8_t>(code));
  b.model.plan.payloads[id] = codes;
  return id;
}

/// A layer whose weights are 0: its accumulators are its biases.
Codes of_biases(const std::string& op, Rule rule) {
  const std::vector<std::int64_t> accumulators = {
      167677130581, 169292239490, 8425316284, -117756936624, -245229189763, -64118635869,
      2388551,      -3071130,     -12379541,  -15258033,     -16743147,     -15141179};
  const std::vector<float> scales = {0x1.0ea908p-23F, 0x1.95ebdp-24F,  0x1.38b504p-20F,
                                     0x1.d23076p-24F, 0x1.6ba736p-24F, 0x1.48be72p-22F,
                                     0x1.0275c8p-7F,  0x1.0350e4p-8F,  0x1.20dcfep-10F,
                                     0x1.19135cp-10F, 0x1.c5a664p-12F, 0x1.f86cb6p-11F};
  ModelBuilder b;
  b.model.plan.rule = rule;
  const bool conv = op == "Conv";
  const auto x = b.input("x", conv ? Shape{1, 1, 1, 1} : Shape{1, 1});
  b.model.plan.values[x] = sixteen_bits(input_scale);
  const auto w = weight(b, conv ? Shape{12, 1, 1, 1} : Shape{12, 1}, scales, 0);
  const auto bias = b.constant("bias", Tensor::zeros(DType::f32, {12}));
  Quantization q;
  q.scheme = {64, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::full};
  q.params = {{1}, {0}, -1};
  q.storage = DType::i64;
  b.model.plan.values[bias] = q;
  b.model.plan.payloads[bias] = Tensor::from<std::int64_t>(accumulators, {12});
  std::map<std::string, Attribute, std::less<>> attributes;
  if (!conv) attributes["transB"] = std::int64_t{1};
  const auto y = b.node(op, {x, w, bias}, attributes);
  b.model.plan.values[y] = sixteen_bits(output_scale);
  b.output(y);
  return run(b.model, {Tensor::zeros(DType::f32, b.model.graph.value(x).shape.value())});
}

TEST(LitertWide, SumsBecomeCodesAsLiteRT) {
  for (const auto rule : {Rule::tflite, Rule::xnnpack}) {
    EXPECT_EQ(of_biases("Conv", rule), (Codes{14992, 11350, 6962, -9067, -14729, -13926, 13364,
                                              -8620, -9677, -11605, -5139, -10334}));
    EXPECT_EQ(of_biases("Gemm", rule), (Codes{14991, 11350, 6962, -9067, -14729, -13926, 13364,
                                              -8620, -9677, -11605, -5138, -10334}));
  }
}

/// The optimized kernel has another formula where there is no int64 bias.
TEST(LitertWide, FullyConnectedWithoutBiasAsLiteRT) {
  const Codes x = {-31744, -31257, -30899, -30054, 30183, 30541, 31028, 31386, -31900, -1, 31000};
  const auto result = [&](Rule rule) {
    ModelBuilder b;
    b.model.plan.rule = rule;
    const auto in = b.input("x", {11, 1});
    b.model.plan.values[in] = sixteen_bits(input_scale);
    const auto y = b.node("Gemm", {in, weight(b, {1, 1}, {0x1.c31ae8p-9F}, 127)},
                          {{"transB", std::int64_t{1}}});
    b.model.plan.values[y] = sixteen_bits(output_scale);
    b.output(y);
    return run(b.model, {image_of(x, {11, 1}, input_scale)});
  };
  EXPECT_EQ(result(Rule::tflite),
            (Codes{-9843, -9692, -9581, -9319, 9358, 9469, 9620, 9731, -9891, 0, 9612}));
  EXPECT_EQ(result(Rule::xnnpack),
            (Codes{-9842, -9691, -9580, -9318, 9359, 9470, 9621, 9732, -9891, 0, 9612}));
}

TEST(LitertWide, ProductsAsLiteRT) {
  const Codes a = {26444, -14979, -9076,  24880, -20520, -28560,
                   -8264, 11742,  -24757, 24254, -10417, -17871};
  const Codes c = {2913,  25916,  25161,  24392, -12684, -31555, 18228,  13598,
                   17758, -32690, -30287, 220,   -10804, -4151,  28265,  -19448,
                   1833,  -11473, -13438, 20068, -22727, -12029, -24984, -23001};
  constexpr float right_scale = 0x1.3b5866p-16F;
  for (const auto rule : {Rule::tflite, Rule::xnnpack}) {
    ModelBuilder b;
    b.model.plan.rule = rule;
    const auto x = b.input("a", {2, 2, 3});
    const auto y = b.input("b", {2, 3, 4});
    b.model.plan.values[x] = sixteen_bits(input_scale);
    b.model.plan.values[y] = sixteen_bits(right_scale);
    const auto z = b.node("MatMul", {x, y});
    b.model.plan.values[z] = sixteen_bits(output_scale);
    b.output(z);
    EXPECT_EQ(
        run(b.model, {image_of(a, {2, 2, 3}, input_scale), image_of(c, {2, 3, 4}, right_scale)}),
        (Codes{1411, 19396, 8896, 5858, -2326, 29679, 14893, 4287, 8979, 2632, 3029, 12877, 1667,
               3117, 16960, -3596}));
  }
}

TEST(LitertWide, FreshValuesAreRoundedAsQuantizeDoes) {
  const auto q = sixteen_bits(0.25F);
  const auto values = Tensor::from<float>({0.125F, 0.375F, -0.125F, -0.375F, 1e9F}, {5});
  const auto codes = [&](Rule rule) {
    const auto image = fake_quantize_by(rule, values, q);
    EXPECT_TRUE(image);
    return codes_in(*image, 0.25F);
  };
  EXPECT_EQ(codes(Rule::tflite), (Codes{1, 2, -1, -2, 32767}));
  EXPECT_EQ(codes(Rule::xnnpack), (Codes{0, 2, 0, -2, 32767}));
  EXPECT_EQ(codes(Rule::onnx), (Codes{0, 2, 0, -2, 32767}));
}

void widen_bias(ModelBuilder& b, ValueId y) {
  const auto id = b.model.graph.node(b.model.graph.producers()[index(y)]).input(2);
  auto& q = b.model.plan.values.at(id);
  const auto codes = quantize(*b.model.graph.constant(id), q.params, q.scheme, DType::i32);
  ASSERT_TRUE(codes);
  const auto wide = to_int64(*codes);
  ASSERT_TRUE(wide);
  q.scheme.bits = 64;
  q.storage = DType::i64;
  b.model.plan.payloads[id] = Tensor::from<std::int64_t>(*wide, codes->shape());
}

QuantizedGraph network(Rule rule) {
  ModelBuilder b(3);
  b.model.plan.rule = rule;
  const std::vector<std::int64_t> around = {1, 1, 1, 1};
  const auto wide = [&](ValueId value, float scale) {
    b.model.plan.values[value] = sixteen_bits(scale);
    return value;
  };
  const auto layer = [&](ValueId y) {
    widen_bias(b, y);
    return y;
  };
  const auto x = wide(b.input("x", {2, 6, 9, 7}), 2e-4F);
  const auto c =
      wide(b.node("Relu",
                  {layer(b.conv(x, {8, 3, 3, 3}, {{"pads", around}, {"group", std::int64_t{2}}}))}),
           4e-4F);
  const auto d = wide(layer(b.conv(c, {8, 1, 3, 3},
                                   {{"pads", around},
                                    {"strides", std::vector<std::int64_t>{2, 1}},
                                    {"group", std::int64_t{8}}})),
                      5e-4F);
  const auto w = b.constant("weight", b.random_tensor({8, 5, 2, 2}, -0.7F, 0.7F));
  Quantization q;
  q.params = {{0.75F / 127}, {0}, -1};
  b.model.plan.values[w] = q;
  const auto t =
      wide(b.node("ConvTranspose", {d, w}, {{"strides", std::vector<std::int64_t>{2, 2}}}), 6e-4F);
  const auto f = wide(b.node("Flatten", {t}, {{"axis", std::int64_t{3}}}), 6e-4F);
  const auto h = wide(layer(b.gemm(f, 12, 14)), 5e-4F);
  const auto turned = wide(b.node("Transpose", {h}), 5e-4F);
  b.output(wide(b.node("MatMul", {turned, h}), 2e-2F));
  return b.model;
}

TEST(LitertWide, SimulationEqualsIntegerEngineWithAnyKernels) {
  for (const auto rule : {Rule::tflite, Rule::xnnpack}) {
    const auto model = network(rule);
    auto inferred = model;
    ASSERT_TRUE(infer_shapes(inferred.graph));
    const auto placements = place_nodes(inferred);
    ASSERT_TRUE(placements);
    int integer = 0;
    for (const auto& placement : *placements) {
      EXPECT_NE(placement.role, Role::floating);
      integer += placement.role == Role::accumulate || placement.role == Role::product;
    }
    EXPECT_EQ(integer, 5);
    ModelBuilder random(9);
    const auto input = random.random_tensor({2, 6, 9, 7}, -7, 7);
    EXPECT_EQ(expect_simulation_equals_integer(model, {input}), 8);
    expect_any_kernels_give_the_same(model, {input});
  }
}

}  // namespace
}  // namespace octet::testing

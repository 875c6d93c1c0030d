// Rules tflite and xnnpack in the integer engine and in the simulation, accumulating operators.
// Oracles: codes that LiteRT 2.3.0 gave for the same layers, and each engine for the other.

#include <gtest/gtest.h>

#include "engine/integer/integer_program.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

constexpr float input_scale = 0.0371F;
constexpr float output_scale = 0.0523F;
constexpr int output_zero_point = 7;

Quantization eight_bits(float scale, int zero_point, DType storage) {
  Quantization q;
  q.params = {{scale}, {zero_point}, -1};
  q.storage = storage;
  q.origin = Origin::imported;
  return q;
}

/// A layer of one input element of code -11, which is its zero point: its accumulators are its
/// biases.
struct BiasLayer {
  std::vector<std::int32_t> accumulators;
  std::vector<float> weight_scales;  ///< one, or one for each accumulator
  int weight_zero_point = 0;
  DType storage = DType::i8;
  DType weight_storage = storage;
};

std::vector<int> codes_of(const std::string& op, const BiasLayer& layer, Rule rule) {
  ModelBuilder b;
  const auto outputs = static_cast<std::int64_t>(layer.accumulators.size());
  const bool image = op == "Conv";
  const auto x = b.input("x", image ? Shape{1, 1, 1, 1} : Shape{1, 1});
  b.model.plan.values[x] = eight_bits(input_scale, -11, layer.storage);
  const Shape shape = image ? Shape{outputs, 1, 1, 1} : Shape{outputs, 1};
  const auto w = b.constant("weight", Tensor::zeros(DType::f32, shape));
  const std::size_t scales = layer.weight_scales.size();
  auto weight = eight_bits(1, layer.weight_zero_point, layer.weight_storage);
  weight.params = {layer.weight_scales, std::vector<std::int32_t>(scales, layer.weight_zero_point),
                   scales > 1 ? 0 : -1};
  b.model.plan.values[w] = weight;
  const auto bias = b.constant("bias", Tensor::zeros(DType::f32, {outputs}));
  auto wide = eight_bits(1, 0, DType::i32);
  wide.scheme.bits = 32;
  b.model.plan.values[bias] = wide;
  b.model.plan.payloads[bias] = Tensor::from<std::int32_t>(layer.accumulators, {outputs});
  const auto y = op == "Gemm" ? b.node(op, {x, w, bias}, {{"transB", std::int64_t{1}}})
                              : b.node(op, {x, w, bias});
  b.model.plan.values[y] = eight_bits(output_scale, output_zero_point, layer.storage);
  b.output(y);
  b.model.plan.rule = rule;
  const Tensor input = Tensor::zeros(DType::f32, b.model.graph.value(x).shape.value());
  expect_simulation_equals_integer(b.model, {input});
  const auto program = compile_integer(b.model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  return observe(**program, b.model.graph, {input}).values.at(b.model.graph.value(y).name).codes;
}

/// Accumulators on which the formulas differ; scales are near k / 1024 of the output's.
const BiasLayer per_channel{
    {4992, -21197, -24192, -26453, 40191, 21674, -1946, -67073, 18304, 9932, -54529, -14465, -9143,
     -73217, -13239, -513},
    {0x1.68e254p-8F, 0x1.c31aeap-8F, 0x1.68e254p-8F, 0x1.0ea9cp-8F, 0x1.68e254p-9F, 0x1.0ea9cp-8F,
     0x1.c31aeap-8F, 0x1.68e254p-10F, 0x1.68e254p-8F, 0x1.c31aeap-8F, 0x1.68e254p-9F,
     0x1.68e254p-8F, 0x1.3bc60ap-7F, 0x1.68e254p-10F, 0x1.3bc60ap-7F, 0x1.68e254p-10F}};

BiasLayer per_tensor(int weight_zero_point, DType storage) {
  return {{-31915, 20650, -36010, -37035, 31914, -26795, -6314, 2218, 13482, -7338, 32597, 20650,
           36010, -24746, -15872, -31573},
          {0x1.0ea9cp-8F},
          weight_zero_point,
          storage};
}

using Codes = std::vector<int>;

TEST(LitertRule, ConvolutionsAsLiteRT) {
  EXPECT_EQ(codes_of("Conv", per_channel, Rule::tflite),
            (Codes{27, -97, -88, -71, 85, 71, -3, -59, 79, 56, -100, -50, -56, -65, -84, 6}));
  EXPECT_EQ(codes_of("Conv", per_channel, Rule::xnnpack),
            (Codes{27, -97, -87, -70, 85, 70, -3, -59, 79, 55, -100, -50, -56, -65, -84, 6}));
}

/// XNNPACK takes no weights of 4 bits: LiteRT's optimized kernel has them, which rounds ties up.
TEST(LitertRule, ConvolutionsByWeightsOfFourBitsAsLiteRT) {
  auto layer = per_channel;
  layer.weight_storage = DType::i4;
  EXPECT_EQ(codes_of("Conv", layer, Rule::tflite), codes_of("Conv", per_channel, Rule::tflite));
  EXPECT_EQ(codes_of("Conv", layer, Rule::xnnpack),
            (Codes{27, -96, -87, -70, 85, 71, -2, -59, 79, 56, -100, -50, -55, -65, -83, 6}));
}

TEST(LitertRule, FullyConnectedAsLiteRT) {
  EXPECT_EQ(codes_of("Gemm", per_channel, Rule::tflite),
            (Codes{26, -97, -87, -70, 85, 70, -3, -59, 78, 55, -100, -50, -56, -65, -84, 6}));
  EXPECT_EQ(codes_of("Gemm", per_channel, Rule::xnnpack),
            (Codes{27, -97, -87, -70, 85, 70, -3, -59, 79, 55, -100, -50, -56, -65, -84, 6}));
}

TEST(LitertRule, WeightsWithZeroPointsAsLiteRT) {
  EXPECT_EQ(codes_of("Conv", per_tensor(3, DType::u8), Rule::tflite),
            (Codes{-87, 68, -99, -102, 101, -72, -12, 14, 47, -15, 103, 68, 113, -66, -40, -86}));
  EXPECT_EQ(codes_of("Conv", per_tensor(3, DType::u8), Rule::xnnpack),
            (Codes{-87, 67, -98, -102, 100, -72, -11, 13, 46, -14, 102, 67, 112, -65, -40, -85}));
  EXPECT_EQ(codes_of("Gemm", per_tensor(3, DType::i8), Rule::tflite),
            (Codes{-87, 67, -98, -102, 100, -72, -11, 13, 46, -14, 102, 67, 112, -65, -40, -85}));
  EXPECT_EQ(codes_of("Gemm", per_tensor(3, DType::i8), Rule::xnnpack),
            (Codes{-86, 68, -98, -101, 101, -71, -11, 14, 47, -14, 103, 68, 113, -65, -39, -85}));
}

/// Zero points for the weight of the node that makes `y`, as old uint8 files have them.
ValueId unsigned_weight(ModelBuilder& b, ValueId y, int zero_point) {
  const auto weight = b.model.graph.node(b.model.graph.producers()[index(y)]).input(1);
  auto& quantization = b.model.plan.values.at(weight);
  quantization.storage = DType::u8;
  quantization.scheme = {8, Symmetry::asymmetric, Granularity::per_tensor, 0, CodeRange::full};
  quantization.params.zero_point = {zero_point};
  return y;
}

ValueId transposed_conv(ModelBuilder& b, ValueId x, Shape shape) {
  const auto w = b.constant("weight", b.random_tensor(std::move(shape), -0.7F, 0.7F));
  auto q = eight_bits(0.75F / 127, 0, DType::i8);
  q.scheme.symmetry = Symmetry::symmetric;
  b.model.plan.values[w] = q;
  return b.node("ConvTranspose", {x, w}, {{"strides", std::vector<std::int64_t>{2, 2}}});
}

const std::vector<std::int64_t> around = {1, 1, 1, 1};

/// Every accumulating operator, with and without zero points of weights.
QuantizedGraph network(unsigned seed, Rule rule) {
  ModelBuilder b(seed);
  b.model.plan.rule = rule;
  const auto x = b.quantize(b.input("x", {2, 6, 9, 7}), -1, 1.3);
  const auto c = b.quantize(b.node("Relu", {b.conv(x, {8, 6, 3, 3}, {{"pads", around}})}), -.1, 6);
  const auto d = b.quantize(
      unsigned_weight(b,
                      b.conv(c, {8, 1, 3, 3}, {{"pads", around}, {"group", std::int64_t{8}}},
                             Granularity::per_tensor),
                      -128),
      -3, 4);
  const auto g =
      b.quantize(unsigned_weight(b,
                                 b.conv(d, {20, 4, 3, 3},
                                        {{"group", std::int64_t{2}},
                                         {"dilations", std::vector<std::int64_t>{2, 2}},
                                         {"pads", std::vector<std::int64_t>{2, 2, 2, 2}}},
                                        Granularity::per_tensor),
                                 37),
                 -5, 5);
  const auto t = b.quantize(transposed_conv(b, g, {20, 5, 3, 2}), -4, 5);
  const auto v = b.quantize(unsigned_weight(b, transposed_conv(b, t, {5, 3, 2, 2}), 100), -3, 6);
  const auto f = b.share(b.node("Flatten", {v}, {{"axis", std::int64_t{3}}}), v);
  const auto h = b.quantize(b.gemm(f, 12, 28), -3, 3);
  const auto matrix = b.constant("matrix", b.random_tensor({12, 9}, -1, 1));
  b.model.plan.values[matrix] = eight_bits(1.0F / 127, seed % 2 == 0 ? 3 : 0, DType::i8);
  const auto m = b.quantize(b.node("MatMul", {h, matrix}), -3, 3);
  const auto turned = b.share(b.node("Transpose", {h}), h);
  const auto p = b.quantize(b.node("MatMul", {turned, m}), -40, 35);
  const auto symmetric = b.node("Identity", {m});
  b.model.plan.values[symmetric] = eight_bits(3.0F / 127, 0, DType::i8);
  b.output(b.quantize(b.node("MatMul", {turned, symmetric}), -40, 35));
  b.output(p);
  return b.model;
}

constexpr Rule both_rules[] = {Rule::tflite, Rule::xnnpack};

TEST(LitertRule, SimulationEqualsIntegerEngine) {
  for (const auto rule : both_rules) {
    for (unsigned seed = 1; seed <= 4; ++seed) {
      ModelBuilder random(seed + 100);
      const auto input = random.random_tensor({2, 6, 9, 7}, -1.2F, 1.5F);
      EXPECT_EQ(expect_simulation_equals_integer(network(seed, rule), {input}), 13);
    }
  }
}

TEST(LitertRule, AnyKernelsAndThreadsGiveTheSame) {
  ModelBuilder random(7);
  const auto input = random.random_tensor({2, 6, 9, 7}, -1.2F, 1.5F);
  for (const auto rule : both_rules) {
    const auto model = network(5, rule);
    expect_any_kernels_give_the_same(model, {input});
  }
}

/// Whose rows of accumulators take more than one block.
TEST(LitertRule, LargeLayersGoBlockByBlock) {
  for (const auto rule : both_rules) {
    ModelBuilder b(2);
    b.model.plan.rule = rule;
    const auto x = b.quantize(b.input("x", {3, 8, 60, 50}), -1, 1.3);
    const auto c = b.quantize(b.conv(x, {32, 8, 1, 1}, {}), -1, 1);
    const auto d = b.quantize(
        unsigned_weight(b, b.conv(c, {9, 32, 3, 3}, {{"pads", around}}, Granularity::per_tensor),
                        -128),
        -3, 4);
    b.output(d);
    EXPECT_EQ(
        expect_simulation_equals_integer(b.model, {b.random_tensor({3, 8, 60, 50}, -1.2F, 1.5F)}),
        3);
  }
}

TEST(LitertRule, BoundsOfActivations) {
  // 6 / scale is 2.5, 1 / scale a tie too: away from zero, or with the zero point to even.
  Quantization output = eight_bits(2.4F, 0, DType::i8);
  ModelBuilder b(1);
  const auto x = b.quantize(b.input("x", {1, 4, 4, 4}), -1, 1);
  const auto dense = b.conv(x, {4, 4, 1, 1}, {});
  const auto depthwise = b.conv(x, {4, 1, 1, 1}, {{"group", std::int64_t{4}}});
  const auto producers = b.model.graph.producers();
  const auto bound = [&](Rule rule, ValueId value, int zero_point) {
    b.model.plan.rule = rule;
    output.params.zero_point = {zero_point};
    return litert_bound(b.model, producers[index(value)], 6, output) - zero_point;
  };
  EXPECT_EQ(bound(Rule::tflite, dense, 0), 3);
  EXPECT_EQ(bound(Rule::tflite, dense, 5), 3);
  EXPECT_EQ(bound(Rule::xnnpack, dense, 0), 2);
  EXPECT_EQ(bound(Rule::xnnpack, dense, 5), 3);
  unsigned_weight(b, depthwise, 0);
  EXPECT_EQ(bound(Rule::tflite, depthwise, 0), 3);
  EXPECT_EQ(bound(Rule::xnnpack, depthwise, 0), 2);
  EXPECT_EQ(bound(Rule::xnnpack, depthwise, 5), 3);
}

TEST(LitertRule, OnlyTheseRulesTakeZeroPointsOfWeights) {
  for (const auto rule : {Rule::onnx, Rule::openvino, Rule::tflite, Rule::xnnpack}) {
    ModelBuilder b(1);
    b.model.plan.rule = rule;
    const auto x = b.quantize(b.input("x", {1, 4, 4, 4}), -1, 1);
    const auto y = unsigned_weight(b, b.conv(x, {4, 4, 1, 1}, {}, Granularity::per_tensor), 9);
    b.output(b.quantize(y, -1, 1));
    const auto placements = place_nodes(b.model);
    ASSERT_TRUE(placements);
    const auto node = b.model.graph.producers()[index(y)];
    EXPECT_EQ((*placements)[index(node)].role == Role::accumulate, is_litert(rule));
  }
}

}  // namespace
}  // namespace octet::testing

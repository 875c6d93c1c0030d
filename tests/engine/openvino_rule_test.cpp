// Rule openvino in the integer engine and in the simulation. Oracles: loops of their own over the
// formulas of arithmetic/openvino.h, and each engine for the other.

#include <gtest/gtest.h>

#include "arithmetic/dynamic.h"
#include "arithmetic/openvino.h"
#include "arithmetic/quantize.h"
#include "engine/integer/integer_program.h"
#include "engine/integer/openvino_placement.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

class OpenvinoModel : public ModelBuilder {
 public:
  explicit OpenvinoModel(unsigned seed) : ModelBuilder(seed) { model.plan.rule = Rule::openvino; }

  /// Leaves the bias of the last node float, as the target does.
  ValueId unquantized_bias(ValueId y) {
    const auto bias = model.graph.node(model.graph.producers()[index(y)]).input(2);
    model.plan.values.erase(bias);
    model.plan.payloads.erase(bias);
    return y;
  }
};

/// x -> conv -> Relu r; conv a -> conv b; b + r -> Relu -> AveragePool -> GlobalAveragePool ->
/// Gemm -> Gemm
QuantizedGraph residual(unsigned seed, double low) {
  OpenvinoModel b(seed);
  const auto x = b.quantize(b.input("x", {2, 8, 9, 7}), -1, 1.3);
  const auto c = b.unquantized_bias(
      b.conv(x, {16, 8, 3, 3}, {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}}));
  const auto r = b.quantize(b.node("Relu", {c}), low, 6);
  const auto a = b.quantize(
      b.unquantized_bias(
          b.conv(r, {16, 1, 3, 3},
                 {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}, {"group", std::int64_t{16}}})),
      -4, 5);
  const auto s = b.unquantized_bias(b.conv(a, {16, 16, 1, 1}, {}));
  const auto t = b.quantize(b.node("Relu", {b.node("Add", {s, r})}), low, 9);
  const auto p = b.quantize(
      b.node("AveragePool", {t}, {{"kernel_shape", std::vector<std::int64_t>{3, 3}}}), 0, 5);
  const auto g = b.quantize(b.node("GlobalAveragePool", {p}), 0, 4);
  const auto f = b.share(b.node("Flatten", {g}), g);
  const auto h = b.quantize(b.unquantized_bias(b.gemm(f, 12, 16)), -3, 3);
  b.output(b.unquantized_bias(b.gemm(h, 5, 12)));
  return b.model;
}

TEST(OpenvinoRule, SimulationEqualsIntegerEngine) {
  for (const double low : {0.0, -0.7}) {
    for (unsigned seed = 1; seed <= 4; ++seed) {
      ModelBuilder random(seed + 100);
      const auto model = residual(seed, low);
      EXPECT_EQ(expect_simulation_equals_integer(model,
                                                 {random.random_tensor({2, 8, 9, 7}, -1.5F, 1.5F)}),
                10);
    }
  }
}

TEST(OpenvinoRule, AnyKernelsAndThreadsGiveTheSame) {
  ModelBuilder random(7);
  const auto model = residual(5, -0.7);
  const auto input = random.random_tensor({2, 8, 9, 7}, -1.5F, 1.5F);
  expect_any_kernels_give_the_same(model, {input});
}

/// A 1x1 convolution on one pixel per image, against sums made here.
TEST(OpenvinoRule, BiasIsFloatAndZeroPointComesBeforeRounding) {
  constexpr std::int64_t rows = 400;
  OpenvinoModel b(3);
  const auto x = b.quantize(b.input("x", {rows, 3, 1, 1}), -1, 1.55);
  const auto c = b.unquantized_bias(b.conv(x, {4, 3, 1, 1}, {}));
  const auto y = b.quantize(c, -2, 1.7);
  b.output(y);
  const auto program = compile_integer(b.model);
  ASSERT_TRUE(program) << program.error().message;
  const auto input = b.random_tensor({rows, 3, 1, 1}, -1, 1.5F);
  const auto seen = observe(**program, b.model.graph, {input});

  const Graph& graph = b.model.graph;
  const Node& node = graph.node(graph.producers()[index(c)]);
  const auto& in = b.model.plan.find(x)->params;
  const auto& out = b.model.plan.find(y)->params;
  const auto& weight = b.model.plan.find(node.input(1))->params;
  const auto codes = constant_codes(b.model, {graph.producers()[index(c)], 1});
  ASSERT_TRUE(codes);
  const auto in_line = openvino::quantize_line(in.scale[0], in.zero_point[0] + 128);
  const float low = out.scale[0] * static_cast<float>(-(out.zero_point[0] + 128));
  const float high = out.scale[0] * static_cast<float>(127 - out.zero_point[0]);
  const float ratio = 255.0F / (high - low);
  const float shift = -low * 255.0F / (high - low);
  const auto& name = graph.value(y).name;
  int onnx_differs = 0;
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t o = 0; o < 4; ++o) {
      std::int32_t acc = 0;
      for (std::int64_t i = 0; i < 3; ++i) {
        const auto q = openvino::quantize(input.data<float>()[n * 3 + i], in_line, 0, 255) - 128;
        acc += (q - in.zero_point[0]) * codes->data<std::int8_t>()[o * 3 + i];
      }
      const float bias = graph.constant(node.input(2))->data<float>()[o];
      const float m = in.scale[0] * weight.scale[static_cast<std::size_t>(o)];
      const float real = static_cast<float>(acc) * m + bias;
      const float code = std::nearbyint(std::fma(real, ratio, shift));
      const int want = static_cast<int>(std::min(255.0F, std::max(0.0F, code))) - 128;
      EXPECT_EQ(seen.values.at(name).codes[static_cast<std::size_t>(n * 4 + o)], want);
      const float truncated = std::round(bias / m) * m;
      onnx_differs += truncated != bias;
    }
  }
  EXPECT_GT(onnx_differs, 0);  // an int32 bias would have been another number
}

TEST(OpenvinoRule, MovedOperandFollowsTheNeighbours) {
  OpenvinoModel b(1);
  const auto x = b.quantize(b.input("x", {1, 4, 4, 4}), -1, 1);
  const auto c1 = b.quantize(b.conv(x, {4, 4, 1, 1}, {}), -1, 1);
  const auto c2 = b.quantize(b.conv(c1, {4, 4, 1, 1}, {}), -1, 1);
  const auto pooled =
      b.share(b.node("MaxPool", {c1}, {{"kernel_shape", std::vector<std::int64_t>{1, 1}}}), c1);
  const auto first = b.quantize(b.node("Add", {c1, c2}), -1, 1);          // c1 has other readers
  const auto second = b.quantize(b.node("Add", {pooled, first}), -1, 1);  // pooled has moved
  b.output(second);
  const auto producers = b.model.graph.producers();
  const auto one = openvino_moved_operand(b.model, producers[index(first)]);
  EXPECT_EQ(one.input, 1);
  EXPECT_TRUE(one.own_code);
  const auto two = openvino_moved_operand(b.model, producers[index(second)]);
  EXPECT_EQ(two.input, 1);
  EXPECT_TRUE(two.own_code);
  ModelBuilder random(9);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {random.random_tensor({1, 4, 4, 4}, -1, 1)}),
            6);
}

TEST(OpenvinoRule, SumNeedsOneRealOperandOfTheSameShape) {
  OpenvinoModel b(1);
  const auto x = b.quantize(b.input("x", {1, 4, 4, 4}), -1, 1);
  const auto wide = b.input("y", {1, 4, 4, 4});
  const auto narrow = b.input("z", {1, 4, 1, 1});
  const auto fits = b.node("Add", {x, wide});
  const auto broadcast = b.node("Add", {x, narrow});
  const auto reals = b.node("Add", {wide, narrow});
  const auto producers = b.model.graph.producers();
  EXPECT_TRUE(is_openvino_sum(b.model, producers[index(fits)]));
  EXPECT_FALSE(is_openvino_sum(b.model, producers[index(broadcast)]));
  EXPECT_FALSE(is_openvino_sum(b.model, producers[index(reals)]));
  b.model.plan.rule = Rule::onnx;
  EXPECT_FALSE(is_openvino_sum(b.model, producers[index(fits)]));
}

}  // namespace
}  // namespace octet::testing

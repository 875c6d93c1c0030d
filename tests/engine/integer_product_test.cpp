// MatMul of two quantized values: attention.

#include <gtest/gtest.h>

#include <cmath>

#include "engine/integer/integer_program.h"
#include "engine/integer_model_builder.h"
#include "engine/simulation/simulation_program.h"
#include "kernels/conv.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

double code_of(float x, const QuantParams& q) {
  const double code = std::nearbyint(static_cast<double>(x / q.scale[0])) + q.zero_point[0];
  return std::fmin(std::fmax(code, -128.0), 127.0) - q.zero_point[0];
}

/// ONNX QLinearMatMul on [B,H,M,K] x [1,H,K,N], as codes.
TEST(IntegerProduct, EqualsQLinearMatMulOnEveryIsa) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 3, 7, 33}), -1, 2);
  const auto y = b.quantize(b.input("y", {1, 3, 33, 70}), -3, 1);
  const auto z = b.quantize(b.node("MatMul", {x, y}), -30, 40);
  b.output(z);
  const auto a = b.random_tensor({2, 3, 7, 33}, -1.2F, 2.2F);
  const auto c = b.random_tensor({1, 3, 33, 70}, -3.3F, 1.1F);
  const auto& qa = b.model.plan.values.at(x).params;
  const auto& qb = b.model.plan.values.at(y).params;
  const auto& qz = b.model.plan.values.at(z).params;
  std::vector<int> want;
  const float multiplier = (qa.scale[0] * qb.scale[0]) / qz.scale[0];
  for (std::int64_t n = 0; n < 2; ++n)
    for (std::int64_t h = 0; h < 3; ++h)
      for (std::int64_t i = 0; i < 7; ++i)
        for (std::int64_t j = 0; j < 70; ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < 33; ++k) {
            sum += code_of(a.data<float>()[((n * 3 + h) * 7 + i) * 33 + k], qa) *
                   code_of(c.data<float>()[(h * 33 + k) * 70 + j], qb);
          }
          const float scaled = static_cast<float>(sum) * multiplier;
          const double code = std::nearbyint(static_cast<double>(scaled)) + qz.zero_point[0];
          want.push_back(static_cast<int>(std::fmin(std::fmax(code, -128.0), 127.0)));
        }
  for (const auto isa : kernels::all_isas) {
    if (!kernels::isa_available(isa)) continue;
    const auto program = compile_integer(b.model, {std::string(kernels::name(isa))});
    ASSERT_TRUE(program) << program.error().message;
    for (const int threads : {1, 2}) {
      const auto name = b.model.graph.value(z).name;
      EXPECT_EQ(observe(**program, b.model.graph, {a, c}, threads).values.at(name).codes, want);
    }
  }
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {a, c}), 3);
}

TEST(IntegerProduct, BroadcastsConstantsAndGivesFloats) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 5, 12}), -1, 2);
  const auto matrix = b.quantize(b.constant("m", b.random_tensor({12, 9}, 0, 3)), 0, 3);
  b.output(b.node("MatMul", {x, matrix}));  // u8 weights with a zero point
  const auto left = b.quantize(b.constant("l", b.random_tensor({4, 5}, -1, 3)), -1, 3);
  const auto mixed = b.quantize(b.node("MatMul", {left, x}), -20, 30);
  b.output(mixed);
  const auto four = b.quantize(b.input("four", {2, 1, 4, 12}), -1, 1);
  const auto flipped = b.quantize(b.node("Transpose", {x}, {{"perm", Ints{0, 2, 1}}}), -1, 2);
  b.output(b.quantize(b.node("MatMul", {four, flipped}), -9, 9));
  const auto input = b.random_tensor({3, 5, 12}, -1, 2);
  const auto other = b.random_tensor({2, 1, 4, 12}, -1, 1);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input, other}), 6);
}

/// Q, K, V projections, heads, scores, probabilities, context; and a feed-forward block.
TEST(IntegerProduct, AttentionBlockEqualsTheSimulation) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 6, 16}), -2, 2);
  const auto projected = [&] {
    const auto w = b.constant("w", b.random_tensor({16, 16}, -0.5F, 0.5F));
    Quantization q;
    q.scheme = {8, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::narrow};
    q.params = {{0.5F / 127}, {0}, -1};
    b.model.plan.values[w] = q;
    const auto bias = b.quantize(b.constant("b", b.random_tensor({16}, -0.5F, 0.5F)), -1, 1);
    const auto y = b.quantize(b.node("MatMul", {x, w}), -6, 6);
    return b.quantize(b.node("Add", {y, bias}), -6, 6);
  };
  const auto heads = [&](ValueId v, const Ints& perm) {
    const auto split = b.share(b.node("Reshape", {v, b.ints("heads", {0, 0, 4, 4})}), v);
    return b.share(b.node("Transpose", {split}, {{"perm", perm}}), v);
  };
  const auto q = heads(projected(), {0, 2, 1, 3});
  const auto k = heads(projected(), {0, 2, 3, 1});
  const auto v = heads(projected(), {0, 2, 1, 3});
  auto scores = b.quantize(b.node("MatMul", {q, k}), -30, 30);
  const auto root = b.constant("root", Tensor::from<float>({2}, {}));
  scores = b.quantize(b.node("Div", {scores, root}), -15, 15);
  const auto probabilities = b.quantize(b.node("Softmax", {scores}), 0, 1);
  auto context = b.quantize(b.node("MatMul", {probabilities, v}), -6, 6);
  context = b.share(b.node("Transpose", {context}, {{"perm", Ints{0, 2, 1, 3}}}), context);
  context = b.share(b.node("Reshape", {context, b.ints("join", {0, 0, 16})}), context);
  b.output(b.quantize(b.node("Add", {context, x}), -7, 7));
  const auto input = b.random_tensor({2, 6, 16}, -2, 2);
  EXPECT_GE(expect_simulation_equals_integer(b.model, {input}), 17);
  const auto program = compile_integer(b.model);
  ASSERT_TRUE(program);
  auto session = (*program)->session();
  (*session)->set_profiling(true);
  ASSERT_TRUE((*session)->run(std::vector<Tensor>{input}));
  for (const auto& step : (*session)->step_times()) {
    if (step.kernel.starts_with("float")) {
      EXPECT_EQ(step.op, "Softmax");
    }
  }
}

}  // namespace
}  // namespace octet::testing

#include "engine/simulation/simulation_program.h"

#include <gtest/gtest.h>

#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

TEST(Simulation, BoundsTheAccumulatorFromTheRealWeights) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 2});
  Quantization q;
  q.params = {{0.5F}, {-28}, -1};  // codes reach 127 + 28 = 155 above zero, 100 below
  b.model.plan.values[x] = q;
  const auto w = b.constant("w", Tensor::from<float>({1, -2, 3, 4}, {2, 2}));
  Quantization weight;
  weight.scheme = {8, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::narrow};
  weight.params = {{1}, {0}, -1};
  b.model.plan.values[w] = weight;
  const auto bias = b.constant("b", Tensor::from<float>({-500, 10}, {2}));
  Quantization bias_q;
  bias_q.scheme.bits = 32;
  bias_q.params = {{0.5F}, {0}, -1};
  bias_q.storage = DType::i32;
  b.model.plan.values[bias] = bias_q;
  const auto y = b.quantize(b.node("Gemm", {x, w, bias}, {{"transB", std::int64_t{1}}}), -10, 10);
  b.output(y);
  const auto simulation = compile_simulation(b.model);
  ASSERT_TRUE(simulation) << simulation.error().message;
  ASSERT_EQ(simulation->layers.size(), 1U);
  // Channel 0: 3 * 155; channel 1: 7 * 155. The bias, of 1000 units, is added in integers.
  EXPECT_EQ(simulation->layers[0].accumulator_bound, 1085);
  EXPECT_TRUE(simulation->layers[0].exact);
}

TEST(Simulation, CountsLayersThatFloatCannotHold) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {1, 2000}), 0, 1);
  const auto w = b.constant("w", Tensor::from<float>(std::vector<float>(2000, 1.0F), {2000, 1}));
  Quantization weight;
  weight.scheme = {8, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::narrow};
  weight.params = {{1.0F / 127}, {0}, -1};
  b.model.plan.values[w] = weight;
  b.output(b.quantize(b.node("MatMul", {x, w}), 0, 3000));
  const auto simulation = compile_simulation(b.model);
  ASSERT_TRUE(simulation) << simulation.error().message;
  EXPECT_EQ(simulation->layers[0].accumulator_bound, std::int64_t{2000} * 127 * 255);
  EXPECT_FALSE(simulation->layers[0].exact);
}

}  // namespace
}  // namespace octet::testing

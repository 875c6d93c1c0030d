#include "analysis/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "engine/simulation/simulation_program.h"
#include "graph/graph_builder.h"
#include "graph/quantizations.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr int sample_count = 12;

Tensor sample(int i) { return GraphBuilder::pseudo_random({1, 4, 6, 6}, 100 + i); }

Result<std::int64_t> samples(const Graph&, std::int64_t limit, const BatchVisitor& visit) {
  const auto count = std::min<std::int64_t>(limit, sample_count);
  for (int i = 0; i < count; ++i) {
    Batch batch;
    batch.first = i;
    batch.indices = {i};
    batch.inputs = {sample(i)};
    OCTET_TRY(visit(0, batch));
  }
  return count;
}

/// conv a, Relu, conv b and their residual sum, mean over pixels, Gemm to 5 scores.
QuantizedGraph residual(int bits_of_b = 8) {
  GraphBuilder b;
  const Attributes same = {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}};
  const auto x = b.input("x", {dynamic_dim, 4, 6, 6});
  const auto wa = b.weights("wa", {4, 4, 3, 3}, 1);
  const auto wb = b.weights("wb", {4, 4, 3, 3}, 2);
  const auto wc = b.weights("wc", {5, 4}, 3);
  const auto a = b.node("Relu", {b.node("Conv", {x, wa}, "a_sum", same)}, "a");
  const auto c = b.node("Conv", {a, wb}, "c", same);
  const auto sum = b.node("Add", {a, c}, "sum");
  const auto mean = b.node("GlobalAveragePool", {sum}, "mean");
  const auto flat = b.node("Flatten", {mean}, "flat");
  const auto y = b.node("Gemm", {flat, wc}, "y", {{"transB", std::int64_t{1}}});
  b.output(y);
  EXPECT_TRUE(infer_shapes(b.graph));
  QuantizedGraph model{std::move(b.graph), {}};
  model.plan.values[x] = activation(-1, 1);
  model.plan.values[a] = activation(0, 8);
  model.plan.values[c] = activation(-20, 20);
  model.plan.values[sum] = activation(-20, 28);
  model.plan.values[mean] = activation(-20, 28);
  model.plan.values[flat] = model.plan.values[mean];
  model.plan.values[y] = activation(-20, 20);
  model.plan.values[wa] = weight(8);
  model.plan.values[wb] = weight(bits_of_b);
  model.plan.values[wc] = weight(8);
  return model;
}

Sensitivity measured(const QuantizedGraph& model) {
  auto found = measure_sensitivity(model, samples, 64);
  EXPECT_TRUE(found) << found.error().message;
  return found ? *found : Sensitivity{};
}

TEST(Sensitivity, SharedPrefixesGiveWhatWholeRunsGive) {
  const auto model = residual();
  const auto layers = integer_layers(model);
  ASSERT_TRUE(layers) << layers.error().message;
  ASSERT_EQ(layers->size(), 5U);  // the Flatten moves codes
  EXPECT_EQ((*layers)[0].nodes.size(), 2U);
  for (const auto& layer : *layers) {
    const auto without = plan_without(model, std::span(&layer, 1));
    ASSERT_TRUE(without);
    const std::vector<PlanTrial> trials = {{"alone", plan_alone(model, layer), TrialBase::floating},
                                           {"without", *without, TrialBase::quantized}};
    const auto shared = run_trials(model, trials, samples, 64);
    ASSERT_TRUE(shared) << shared.error().message;
    for (std::size_t i = 0; i < trials.size(); ++i) {
      const auto whole = run_trials({model.graph, trials[i].plan}, {}, samples, 64);
      ASSERT_TRUE(whole);
      EXPECT_EQ(shared->trials[i].noise, whole->quantized.noise) << layer.name;
      EXPECT_EQ(shared->trials[i].kl, whole->quantized.kl) << layer.name;
    }
  }
}

TEST(Sensitivity, ErrorOfTheWholeIsThatOfTheSimulation) {
  const auto model = residual();
  const auto simulated = compile_simulation(model);
  const auto floating = compile_float(model.graph);
  ASSERT_TRUE(simulated && floating);
  const auto a = (*floating)->session();
  const auto b = simulated->program->session();
  double signal = 0;
  double noise = 0;
  for (int i = 0; i < sample_count; ++i) {
    const std::vector<Tensor> inputs = {sample(i)};
    const auto x = (*a)->run(inputs);
    const auto y = (*b)->run(inputs);
    ASSERT_TRUE(x && y);
    for (std::int64_t k = 0; k < 5; ++k) {
      const double wanted = x->front().data<float>()[k];
      signal += wanted * wanted;
      noise += std::pow(wanted - static_cast<double>(y->front().data<float>()[k]), 2);
    }
  }
  EXPECT_NEAR(measured(model).quantized.noise, noise / signal, 0.02 * noise / signal);
}

TEST(Sensitivity, TheLayerOfFewBitsCostsMost) {
  const auto found = measured(residual(3));
  ASSERT_EQ(found.layers.size(), 5U);
  const auto& worst = found.layers[1];
  EXPECT_EQ(worst.layer.name, "c_node");
  for (const auto& layer : found.layers) {
    if (layer.layer.name == "c_node") continue;
    EXPECT_GT(worst.alone_quantized_error, 10 * layer.alone_quantized_error) << layer.layer.name;
    EXPECT_GT(worst.left_float_gain, 10 * layer.left_float_gain) << layer.layer.name;
  }
  EXPECT_LT(worst.left_float.error(), 0.1 * found.quantized.error());
}

TEST(Sensitivity, LeftFloatAsKeepFloatDoes) {
  const auto model = residual();
  const auto layers = integer_layers(model);
  ASSERT_TRUE(layers);
  const auto plan = plan_without(model, std::span(&(*layers)[1], 1));
  ASSERT_TRUE(plan);
  const auto coded = [&](const char* name) {
    return plan->values.contains(model.graph.find_value(name));
  };
  EXPECT_FALSE(coded("wb"));
  EXPECT_FALSE(coded("c"));
  // Nothing quantizes the operands of the sum for its sake, and so on up to what the Gemm reads.
  EXPECT_FALSE(coded("sum"));
  EXPECT_FALSE(coded("a"));
  EXPECT_TRUE(coded("flat"));
  EXPECT_TRUE(coded("wa"));
  EXPECT_TRUE(coded("x"));
}

}  // namespace
}  // namespace octet::testing

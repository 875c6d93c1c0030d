#include "training/batch_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/integer_model_builder.h"
#include "graph/shape_inference.h"
#include "training/network.h"

namespace octet::testing {
namespace {

/// Conv -> Relu -> Conv -> GlobalAveragePool, weights per channel.
QuantizedGraph two_layers() {
  ModelBuilder b(5);
  const auto x = b.quantize(b.input("x", {dynamic_dim, 3, 6, 6}), -1, 1);
  const std::map<std::string, Attribute, std::less<>> same = {
      {"pads", std::vector<std::int64_t>{1, 1, 1, 1}}};
  const auto y = b.quantize(b.node("Relu", {b.conv(x, {4, 3, 3, 3}, same)}), 0, 2);
  b.output(b.node("GlobalAveragePool", {b.conv(y, {5, 4, 3, 3}, same)}));
  EXPECT_TRUE(infer_shapes(b.model.graph).has_value());
  return b.model;
}

FakeQuantGraph normalized(const QuantizedGraph& model) {
  auto trained = insert_fake_quant(model);
  EXPECT_TRUE(trained.has_value());
  insert_batch_norm(model, *trained);
  return *trained;
}

struct Run {
  std::vector<float> scores;
  std::map<NodeId, gradient::BatchMoments> moments;
};

Run run(const Network& network, gradient::Mode mode, const Parameters& parameters) {
  constexpr std::int64_t samples = 4;
  const auto tape = network.tape(samples, mode);
  EXPECT_TRUE(tape.has_value()) << tape.error().message;
  EXPECT_TRUE((*tape)->update(parameters).has_value());
  auto session = (*tape)->session();
  const Tensor input = ModelBuilder(9).random_tensor({samples, 3, 6, 6}, -1, 1);
  const auto scores = (*session)->forward(std::span(&input, 1));
  EXPECT_TRUE(scores.has_value()) << scores.error().message;
  const auto values = scores->front().values<float>();
  return {{values.begin(), values.end()}, (*session)->take_moments()};
}

void expect_near(const std::vector<float>& got, const std::vector<float>& wanted, float bound) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], bound) << i;
}

TEST(BatchNorm, BeginsAsTheIdentityInInference) {
  const auto model = two_layers();
  const auto trained = normalized(model);
  ASSERT_EQ(trained.normalized.size(), 2U);
  const auto plain = insert_fake_quant(model);
  const auto without = Network::make(model.graph, *plain);
  const auto with = Network::make(model.graph, trained);
  ASSERT_TRUE(with.has_value()) << with.error().message;
  const auto expected = run(*without, gradient::Mode::inference, {}).scores;
  expect_near(run(*with, gradient::Mode::inference, {}).scores, expected, 1e-5F);
}

TEST(BatchNorm, NormalizingByWhatItSeesKeepsTheFunctionOfTheBatch) {
  const auto model = two_layers();
  const auto network = Network::make(model.graph, normalized(model));
  auto parameters = network->initial_parameters();
  const auto before = run(*network, gradient::Mode::inference, parameters);
  normalize(network->graph(), network->normalized(), before.moments, parameters);
  const auto after = run(*network, gradient::Mode::training, parameters);
  // But for variances, which are noted unbiased.
  expect_near(after.scores, before.scores, 2e-2F);
  // Now the layers give about unit variance.
  for (const auto& [node, moments] : after.moments) {
    for (const double variance : moments.variance) EXPECT_NEAR(variance, 1, 0.05);
  }
}

TEST(BatchNorm, FoldsIntoScalesAndBiasesWithTheSameCodes) {
  const auto model = two_layers();
  const auto trained = normalized(model);
  const auto network = Network::make(model.graph, trained);
  auto parameters = network->initial_parameters();
  ModelBuilder random(7);
  for (const auto& layer : trained.normalized) {
    const Shape channels = parameters.at(layer.gamma).shape();
    parameters[layer.gamma] = random.random_tensor(channels, -2, 2);
    parameters[layer.beta] = random.random_tensor(channels, -1, 1);
    parameters[layer.mean] = random.random_tensor(channels, -1, 1);
    parameters[layer.variance] = random.random_tensor(channels, 0.5F, 3);
  }
  const auto expected = run(*network, gradient::Mode::inference, parameters).scores;

  auto adopted = model;
  ASSERT_TRUE(adopt_parameters(adopted, trained, parameters).has_value());
  for (const auto& layer : trained.normalized) {
    const auto& q = model.plan.values.at(layer.weight);
    const auto codes = quantize(*model.graph.constant(layer.weight), q.params, q.scheme, DType::i8);
    const auto before = codes->values<std::int8_t>();
    const auto after = adopted.plan.payloads.at(layer.weight).values<std::int8_t>();
    for (std::size_t i = 0; i < after.size(); ++i)
      EXPECT_EQ(std::abs(after[i]), std::abs(before[i]));
  }
  const auto folded = insert_fake_quant(adopted);
  const auto plain = Network::make(adopted.graph, *folded);
  // Equal but for what the next layer reads, which rounds otherwise by a step here and there; a
  // wrong factor, sign or mean would move scores by far more.
  expect_near(run(*plain, gradient::Mode::inference, {}).scores, expected, 0.1F);
}

TEST(BatchNorm, LeavesLayersWithOneScaleAlone) {
  ModelBuilder b(5);
  const auto x = b.quantize(b.input("x", {dynamic_dim, 3, 6, 6}), -1, 1);
  const auto y = b.conv(x, {4, 3, 3, 3}, {}, Granularity::per_tensor);
  b.output(b.node("GlobalAveragePool", {b.quantize(y, -2, 2)}));
  EXPECT_TRUE(normalized(b.model).normalized.empty());
}

}  // namespace
}  // namespace octet::testing

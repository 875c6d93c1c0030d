// Statistics from BatchNormalization alone, against the moments of the distributions they state.

#include <cmath>

#include "passes/data_free.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

const std::vector<InputRange> pixels = {{{-1}, {1}}};

ValueId batch_norm(GraphBuilder& b, ValueId x, const std::string& name,
                   const std::vector<float>& gamma, const std::vector<float>& beta) {
  const Shape shape = {static_cast<std::int64_t>(gamma.size())};
  const std::vector<float> zeros(gamma.size(), 0.0F);
  const std::vector<float> ones(gamma.size(), 1.0F);
  return b.node("BatchNormalization",
                {x, b.constant(name + "_gamma", Tensor::from<float>(gamma, shape)),
                 b.constant(name + "_beta", Tensor::from<float>(beta, shape)),
                 b.constant(name + "_mean", Tensor::from<float>(zeros, shape)),
                 b.constant(name + "_var", Tensor::from<float>(ones, shape))},
                name);
}

Result<Statistics> statistics_of(Graph& graph, const std::vector<std::string>& names) {
  OCTET_TRY(simplify(graph));
  std::vector<ValueId> values;
  for (const auto& name : names) values.push_back(graph.find_value(name));
  return data_free_sources(pixels, ObserverKind::mse).statistics(graph, values);
}

TEST(DataFree, MomentsBehindActivationsSumsAndLayers) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto conv = b.node("Conv", {x, b.weights("w1", {2, 2, 1, 1})}, "c1");
  const auto normal = batch_norm(b, conv, "n1", {1, 2}, {0, -1});
  const auto relu = b.node("Relu", {normal}, "relu");
  const auto clip = b.node("Clip", {normal, b.scalar("low", 0), b.scalar("high", 1)}, "clip");
  const auto sum = b.node("Add", {relu, clip}, "sum");
  const auto w = b.constant("w2", Tensor::from<float>({2, -1}, {1, 2, 1, 1}));
  b.output(b.node("Conv", {sum, w, b.constant("b2", Tensor::from<float>({3}, {1}))}, "y"));
  const auto statistics = statistics_of(b.graph, {"x", "relu", "clip", "sum", "y"});
  ASSERT_TRUE(statistics) << statistics.error().message;
  // Integrals of the normal density, by the trapezoidal rule.
  const auto mean_of = [](double mean, double deviation, double high) {
    double sum = 0;
    constexpr int steps = 400000;
    for (int i = 0; i <= steps; ++i) {
      const double z = -10 + 20.0 * i / steps;
      const double value = std::min(std::max(mean + deviation * z, 0.0), high);
      sum += value * std::exp(-0.5 * z * z) / std::sqrt(2 * std::acos(-1.0)) * 20 / steps;
    }
    return sum;
  };
  const auto mean = [&](const std::string& name, std::size_t c) {
    return statistics->values.at(name).means.mean(c);
  };
  const double relu_means[] = {mean_of(0, 1, 1e9), mean_of(-1, 2, 1e9)};
  const double clip_means[] = {mean_of(0, 1, 1), mean_of(-1, 2, 1)};
  for (const std::size_t c : {0U, 1U}) {
    EXPECT_NEAR(mean("relu", c), relu_means[c], 0.01);
    EXPECT_NEAR(mean("clip", c), clip_means[c], 0.01);
    EXPECT_NEAR(mean("sum", c), relu_means[c] + clip_means[c], 0.01);
  }
  EXPECT_NEAR(mean("y", 0),
              3 + 2 * (relu_means[0] + clip_means[0]) - (relu_means[1] + clip_means[1]), 0.03);
  EXPECT_EQ(statistics->values.at("clip").histogram.maximum(), 1.0F);
  EXPECT_EQ(statistics->values.at("relu").histogram.minimum(), 0.0F);
  EXPECT_EQ(statistics->values.at("x").histogram.maximum(), 1.0F);
}

TEST(DataFree, ProfilesHaveTheMomentsOfClippedNormals) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto conv = b.node("Conv", {x, b.weights("w1", {2, 2, 1, 1})}, "c1");
  b.output(b.node("Relu", {batch_norm(b, conv, "n1", {1, 3}, {0, 0})}, "relu"));
  ASSERT_TRUE(simplify(b.graph));
  const auto relu = b.graph.find_value("relu");
  const auto profiles =
      data_free_sources(pixels, ObserverKind::mse).profiles(b.graph, {{relu, 0, 1e30F}});
  ASSERT_TRUE(profiles);
  const auto& profile = profiles->at(relu);
  const double pi = std::acos(-1.0);
  for (const std::size_t c : {0U, 1U}) {
    const double deviation = c == 0 ? 1 : 3;
    EXPECT_NEAR(profile.mean[c], deviation / std::sqrt(2 * pi), 1e-9);
    EXPECT_NEAR(profile.variance[c], deviation * deviation * (0.5 - 1 / (2 * pi)), 1e-9);
    EXPECT_NEAR(profile.inside[c], 0.5, 1e-12);
    EXPECT_EQ(profile.minimum[c], 0);
  }
}

TEST(DataFree, SaysWhatItCannotKnow) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 2, 4, 4});
  const auto conv = b.node("Conv", {x, b.weights("w1", {2, 2, 1, 1})}, "c1");
  b.output(b.node("Conv", {b.node("Relu", {conv}, "relu"), b.weights("w2", {2, 2, 1, 1})}, "y"));
  auto graph = b.graph;
  const auto statistics = statistics_of(graph, {"relu"});
  ASSERT_FALSE(statistics);
  EXPECT_NE(statistics.error().message.find("c1_node"), std::string::npos)
      << statistics.error().message;
  EXPECT_NE(statistics.error().message.find("BatchNormalization"), std::string::npos);

  const auto unknown =
      data_free_sources({}, ObserverKind::mse).statistics(graph, {graph.find_value("x")});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("input x"), std::string::npos) << unknown.error().message;
}

}  // namespace
}  // namespace octet

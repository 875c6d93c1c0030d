// Bias correction with feedback: behind quantized layers the mean of every channel is what it is in
// float.

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/quantize_fixture.h"
#include "passes/sample_runs.h"

namespace octet {
namespace {

using testing::GraphBuilder;

constexpr int sample_count = 24;
const Shape image = {1, 8, 12, 12};

/// Each image three times: one of three samples measures means, the others judge. Means are large.
std::vector<Tensor> sample(int i) {
  auto tensor = GraphBuilder::pseudo_random(image, 500 + i / 3);
  float* values = tensor.mutable_data<float>();
  for (std::int64_t k = 0; k < tensor.size(); ++k) values[k] = 0.7F + 0.3F * values[k];
  return {std::move(tensor)};
}

/// Ranges reach `inner` times the largest value, those of outputs so far that nothing is cut off.
QuantizeSources sources_of_samples(float inner) {
  QuantizeSources sources;
  sources.samples = testing::samples_of(sample_count, sample);
  // What calibrate() does, without a Dataset.
  sources.statistics = [inner](const Graph& graph,
                               const std::vector<ValueId>& values) -> Result<Statistics> {
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    OCTET_ASSIGN(const auto session, program->session());
    Statistics statistics;
    statistics.observer = ObserverKind::minmax;
    TapRequest taps{values, [&](const TapView& view) {
                      auto& seen = statistics.values[graph.value(view.value).name];
                      const float reach = (graph.is_output(view.value)  ? 1.5F
                                           : graph.is_input(view.value) ? 1.0F
                                                                        : inner) *
                                          *std::max_element(view.values.begin(), view.values.end());
                      seen.histogram.observe_range(std::vector<float>{-reach, reach});
                      seen.means.observe(view);
                    }};
    for (int i = 0; i < sample_count; ++i) OCTET_TRY(session->run(sample(i), &taps));
    return statistics;
  };
  return sources;
}

Graph network() {
  GraphBuilder b;
  auto y = b.input("x", image);
  for (int k = 0; k < 4; ++k) {
    const auto name = std::to_string(k);
    y = b.node("Conv", {y, b.weights("w" + name, {8, 8, 1, 1}, k + 1), b.weights("b" + name, {8})},
               "c" + name);
    if (k < 3) y = b.node("Relu", {y}, "a" + name);
  }
  b.output(y);
  return b.graph;
}

std::vector<double> output_means(const Program& program) {
  const auto session = program.session();
  ChannelMeans means;
  for (int i = 0; i < sample_count; ++i) {
    const auto outputs = (*session)->run(sample(i));
    EXPECT_TRUE(outputs) << outputs.error().message;
    TapView view;
    view.shape = (*outputs)[0].shape();
    view.values = (*outputs)[0].values<float>();
    means.observe(view);
  }
  std::vector<double> all;
  for (std::size_t c = 0; c < means.channels(); ++c) all.push_back(means.mean(c));
  return all;
}

constexpr float cut = 0.4F;  ///< cuts off much of what layers give, which moves means

QuantizedGraph quantized(const Graph& graph, bool refine, int bits = 8, float inner = cut) {
  QuantizeOptions options;
  options.weight_bits = bits;
  options.refine_bias = refine;
  QuantizeReport report;
  auto model = quantize_static(graph, options, sources_of_samples(inner), report);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : QuantizedGraph{};
}

/// Largest difference of an output channel's mean from float, in steps of the output's codes.
double worst_shift(bool refine) {
  const auto exact = output_means(*compile_float(network()).value());
  const auto model = quantized(network(), refine);
  const auto found = output_means(*compile_integer(model).value());
  const auto step =
      static_cast<double>(model.plan.find(model.graph.outputs[0])->params.scale.front());
  double worst = 0;
  for (std::size_t c = 0; c < exact.size(); ++c) {
    worst = std::max(worst, std::abs(found[c] - exact[c]) / step);
  }
  return worst;
}

TEST(RefineBias, BringsMeansBackBehindQuantizedLayers) {
  EXPECT_GT(worst_shift(false), 2);
  // What is left is how the outputs' codes fall.
  EXPECT_LT(worst_shift(true), 0.1);
}

TEST(RefineBias, StaysOutWhereItGainsNothing) {
  const auto without = quantized(network(), false, 8, 1.0F);
  const auto with = quantized(network(), true, 8, 1.0F);
  for (const auto& [id, codes] : without.plan.payloads) {
    const auto& other = with.plan.payloads.at(id);
    EXPECT_TRUE(std::equal(codes.raw(), codes.raw() + codes.bytes(), other.raw()));
  }
}

TEST(RefineBias, TouchesOnlyBiases) {
  const auto without = quantized(network(), false);
  const auto with = quantized(network(), true);
  int biases = 0;
  ASSERT_EQ(without.plan.payloads.size(), with.plan.payloads.size());
  for (const auto& [id, codes] : without.plan.payloads) {
    const auto& other = with.plan.payloads.at(id);
    const bool same = std::equal(codes.raw(), codes.raw() + codes.bytes(), other.raw());
    EXPECT_TRUE(same || codes.dtype() == DType::i32) << without.graph.value(id).name;
    biases += same ? 0 : 1;
  }
  EXPECT_GT(biases, 0);
  for (const auto& [id, quantization] : without.plan.values) {
    EXPECT_EQ(quantization.params.scale, with.plan.values.at(id).params.scale);
    EXPECT_EQ(quantization.params.zero_point, with.plan.values.at(id).params.zero_point);
  }
}

TEST(OutputDistance, IsZeroForTheReferenceAndGrowsWithCoarserWeights) {
  const auto graph = network();
  const auto samples = read_samples(sources_of_samples(1).samples, graph, 8);
  ASSERT_TRUE(samples);
  EXPECT_EQ(samples->size(), 8U);
  const auto error = OutputDistance::against(graph, *samples);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->of({graph, {}}).value(), 0);
  const double fine = error->of(quantized(graph, false, 8, 1)).value();
  const double coarse = error->of(quantized(graph, false, 3, 1)).value();
  EXPECT_GT(fine, 0);
  EXPECT_GT(coarse, 10 * fine);
}

TEST(FellSurely, AsksForAGainOnManySamples) {
  const std::vector<double> before(60, 1.0);
  const auto fall_by = [&](double share) { return std::vector<double>(60, 1 - share); };
  EXPECT_TRUE(fell_surely(before, fall_by(0.1)));
  EXPECT_FALSE(fell_surely(before, fall_by(0.03)));
  // Two samples make a gain of 10 % on average; the others lose.
  auto after = fall_by(-0.02);
  after[3] = after[7] = -2.5;
  EXPECT_FALSE(fell_surely(before, after));
}

TEST(Ranges, EndAtTheClampBehindALayer) {
  GraphBuilder b;
  auto y = b.node("Conv", {b.input("x", image), b.weights("w", {8, 8, 1, 1})}, "c");
  y = b.node("Clip", {y, b.scalar("low", 0), b.scalar("high", 0.5F)}, "clip");
  b.output(b.node("Conv", {y, b.weights("w2", {8, 8, 1, 1})}, "y"));
  const auto model = quantized(b.graph, false, 8, 1);
  const auto* quantization = model.plan.find(model.graph.find_value("clip"));
  ASSERT_NE(quantization, nullptr);
  EXPECT_NEAR(range_maximum(quantization->params, quantization->scheme), 0.5, 0.005);
}

}  // namespace
}  // namespace octet

// Bias correction with feedback: behind quantized layers the mean of every channel is what it is in
// float.

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;

constexpr int sample_count = 24;
const Shape image = {1, 8, 12, 12};

/// Each image three times: one of three samples measures means, the others judge.
std::vector<Tensor> sample(int i) { return {GraphBuilder::pseudo_random(image, 500 + i / 3)}; }

QuantizeSources sources_of_samples() {
  QuantizeSources sources;
  sources.samples = [](const Graph&, std::int64_t limit,
                       const BatchVisitor& visit) -> Result<std::int64_t> {
    for (int i = 0; i < sample_count && i < limit; ++i) {
      Batch batch;
      batch.first = i;
      batch.inputs = sample(i);
      OCTET_TRY(visit(0, batch));
    }
    return std::min<std::int64_t>(sample_count, limit);
  };
  // What calibrate() does, without a Dataset.
  sources.statistics = [](const Graph& graph,
                          const std::vector<ValueId>& values) -> Result<Statistics> {
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    OCTET_ASSIGN(const auto session, program->session());
    Statistics statistics;
    statistics.observer = ObserverKind::minmax;
    TapRequest taps{values, [&](const TapView& view) {
                      auto& seen = statistics.values[graph.value(view.value).name];
                      seen.histogram.observe(view.values);
                      // Room for the noise of 3-bit weights, so that nothing is cut off.
                      const float reach =
                          1.5F * *std::max_element(view.values.begin(), view.values.end());
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

/// Largest difference of an output channel's mean from float, in steps of the bias of the channel.
double worst_shift(bool refine) {
  QuantizeOptions options;
  options.weight_bits = 3;
  options.activation_bits = 8;
  options.refine_bias = refine;
  QuantizeReport report;
  auto graph = network();
  const auto exact = output_means(*compile_float(graph).value());
  const auto model = quantize_static(graph, options, sources_of_samples(), report);
  EXPECT_TRUE(model) << model.error().message;
  const auto found = output_means(*compile_integer(*model).value());
  const auto last = model->graph.producers()[index(model->graph.outputs[0])];
  const auto& steps = model->plan.find(model->graph, {last, 2})->params.scale;
  double worst = 0;
  for (std::size_t c = 0; c < exact.size(); ++c) {
    worst = std::max(worst, std::abs(found[c] - exact[c]) / static_cast<double>(steps[c]));
  }
  return worst;
}

TEST(RefineBias, BringsMeansBackBehindQuantizedLayers) {
  const double before = worst_shift(false);
  const double after = worst_shift(true);
  EXPECT_GT(before, 2);
  // What is left is that biases are rounded, and how the outputs' codes fall.
  EXPECT_LT(after, 0.6);
}

}  // namespace
}  // namespace octet

// Ranges chosen by what the layers that read a value make of its error.

#include <algorithm>

#include "engine/float/float_program.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;

constexpr int sample_count = 16;
const Shape image = {1, 2, 8, 16};
constexpr float outlier = 6;

/// Channel 0 lies in [-1, 1]; channel 1 is 0 but for one element of some images.
std::vector<Tensor> sample(int i) {
  auto tensor = GraphBuilder::pseudo_random(image, 700 + i);
  float* values = tensor.mutable_data<float>();
  std::fill(values + 128, values + 256, 0.0F);
  if (i % 8 == 0) values[128 + 5 * i] = outlier;
  return {std::move(tensor)};
}

QuantizeSources sources_of_samples() {
  QuantizeSources sources;
  sources.samples = testing::samples_of(sample_count, sample);
  sources.statistics = [](const Graph& graph,
                          const std::vector<ValueId>& values) -> Result<Statistics> {
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    OCTET_ASSIGN(const auto session, program->session());
    Statistics statistics;
    statistics.observer = ObserverKind::mse;
    const TapRequest taps{values, [&](const TapView& view) {
                            auto& seen = statistics.values[graph.value(view.value).name];
                            seen.histogram.observe(view.values);
                            seen.means.observe(view);
                          }};
    for (int i = 0; i < sample_count; ++i) OCTET_TRY(session->run(sample(i), &taps));
    return statistics;
  };
  return sources;
}

/// A 1x1 convolution that weighs both channels so.
Graph network(float first, float second) {
  GraphBuilder b;
  const auto x = b.input("x", image);
  const auto w = b.constant("w", Tensor::from<float>({first, second}, {1, 2, 1, 1}));
  b.output(b.node("Conv", {x, w}, "y"));
  return b.graph;
}

double reach(const Graph& graph, bool choose) {
  QuantizeOptions options;
  options.choose_ranges = choose;
  options.activation_bits = 3;  // few enough for clipping to pay
  QuantizeReport report;
  const auto model = quantize_static(graph, options, sources_of_samples(), report);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return 0;
  const auto* quantization = model->plan.find(model->graph.find_value("x"));
  return static_cast<double>(range_maximum(quantization->params, quantization->scheme));
}

TEST(ChooseRanges, FollowsWhatTheReaderWeighs) {
  // The same values, and so the same statistics.
  EXPECT_EQ(reach(network(1, 1), false), reach(network(0.01F, 1), false));
  EXPECT_LT(reach(network(1, 0), true), 5);
  EXPECT_NEAR(reach(network(0.01F, 1), true), outlier, 0.5);
}

TEST(ChooseRanges, CountsTheActivationBehindALayer) {
  GraphBuilder b;
  const auto x = b.input("x", image);
  const auto w = b.constant("w", Tensor::from<float>({0.01F, 1}, {1, 2, 1, 1}));
  auto y = b.node("Conv", {x, w}, "c");
  y = b.node("Clip", {y, b.scalar("low", -1), b.scalar("high", 1)}, "y");
  b.output(y);
  // Behind the Clip an outlier is 1 as well.
  EXPECT_LT(reach(b.graph, true), 5);
}

}  // namespace
}  // namespace octet

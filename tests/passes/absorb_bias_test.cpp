// High-bias absorption leaves the float function as it was where inputs stay above what was taken
// away, and touches the biases alone.

#include <cmath>
#include <set>

#include "engine/float/float_program.h"
#include "passes/passes.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;

constexpr int sample_count = 12;
constexpr std::int64_t channels = 8;
const Shape image = {1, 3, 6, 6};

std::vector<Tensor> sample(int i) { return {GraphBuilder::pseudo_random(image, 100 + i)}; }

SampleSource samples() { return testing::samples_of(sample_count, sample); }

struct Variant {
  std::string activation = "Relu";
  std::string second = "Sigmoid";  ///< behind the second convolution
  bool padded = false;             ///< the convolution that reads the activation
  std::string pool = {};           ///< between the two
  bool counts_padding = false;     ///< of an average pooling
  std::string other_reader = {};   ///< of the activation: "conv", "padded", "add", "output"
};

ValueId activate(GraphBuilder& b, const std::string& kind, ValueId x, const std::string& name) {
  if (kind != "Clip") return b.node(kind, {x}, name);
  return b.node(kind, {x, b.scalar(name + "_min", 0), b.scalar(name + "_max", 6)}, name);
}

/// Convolution, activation, convolution, and a classifier.
Graph network(const Variant& v) {
  GraphBuilder b;
  Tensor bias(DType::f32, {channels});
  std::fill_n(bias.mutable_data<float>(), channels, 3.5F);
  bias.mutable_data<float>()[0] = 0.1F;
  bias.mutable_data<float>()[channels - 1] = 9;
  const auto x = b.input("x", image);
  const auto c1 =
      b.node("Conv", {x, b.weights("w1", {channels, 3, 1, 1}, 1), b.constant("b1", bias)}, "c1");
  const auto a1 = activate(b, v.activation, c1, "a1");
  auto y = a1;
  if (!v.pool.empty()) {
    y = b.node(v.pool, {a1}, "p1",
               {{"kernel_shape", Ints{3, 3}},
                {"pads", Ints{1, 1, 1, 1}},
                {"count_include_pad", std::int64_t{v.counts_padding ? 1 : 0}}});
  }
  const Ints pads = v.padded ? Ints{1, 1, 1, 1} : Ints{0, 0, 0, 0};
  y = b.node("Conv",
             {y, b.weights("w2", {channels, channels, 3, 3}, 2), b.weights("b2", {channels})}, "c2",
             {{"pads", pads}});
  y = b.node("GlobalAveragePool", {b.node(v.second, {y}, "a2")}, "gap");
  if (v.other_reader == "output") b.output(a1);
  if (v.other_reader == "add" || v.other_reader == "conv" || v.other_reader == "padded") {
    const Ints other_pads = v.other_reader == "padded" ? Ints{1, 1, 1, 1} : Ints{0, 0, 0, 0};
    const auto z =
        v.other_reader == "add"
            ? b.node("Add", {a1, b.node("Conv", {x, b.weights("w3", {channels, 3, 1, 1})}, "c3")},
                     "sum")
            : b.node("Conv", {a1, b.weights("w3", {channels, channels, 3, 3}, 3)}, "c3",
                     {{"pads", other_pads}});
    y = b.node("Add", {y, b.node("GlobalAveragePool", {z}, "gap3")}, "both");
  }
  y = b.node("Flatten", {y}, "flat");
  b.output(b.node("Gemm", {y, b.weights("w4", {5, channels}, 4), b.weights("b4", {5})}, "y",
                  {{"transB", std::int64_t{1}}}));
  auto graph = b.graph;
  EXPECT_TRUE(simplify(graph));
  return graph;
}

Graph absorbed(const Graph& graph, const QuantizeSources& sources) {
  QuantizeOptions options;
  options.absorb_bias = true;
  QuantizeReport report;
  PassContext context{{graph, {}}, options, *find_target("onnxruntime"), sources, report};
  const auto status = passes::absorb_bias(context);
  EXPECT_TRUE(status) << status.error().message;
  return std::move(context.model.graph);
}

QuantizeSources with_samples() { return {{}, {}, samples()}; }

/// Means and variances of the samples alone, as if BatchNormalization had kept them.
QuantizeSources with_moments() {
  QuantizeSources sources;
  sources.profiles = [](const Graph& graph, const std::vector<ProfileRequest>& requests) {
    auto profiles = profile_channels(graph, requests, samples(), sample_count);
    for (auto& [id, profile] : *profiles) profile.samples = 0;
    return profiles;
  };
  return sources;
}

std::vector<float> value_of(Graph graph, const std::string& value, int i) {
  graph.outputs = {graph.find_value(value)};
  graph.remove_dead_nodes();
  const auto program = compile_float(graph);
  EXPECT_TRUE(program) << program.error().message;
  const auto outputs = (*(*program)->session())->run(sample(i));
  EXPECT_TRUE(outputs) << outputs.error().message;
  const auto values = (*outputs)[0].values<float>();
  return {values.begin(), values.end()};
}

void expect_same_function(const Graph& before, const Graph& after, int count = sample_count) {
  for (int i = 0; i < count; ++i) {
    const auto expected = value_of(before, "y", i);
    const auto got = value_of(after, "y", i);
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(expected.size(), got.size());
    for (std::size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], expected[k], 1e-5F * largest);
  }
}

std::vector<float> constant(const Graph& graph, const std::string& name) {
  const auto values = graph.constant(graph.find_value(name))->values<float>();
  return {values.begin(), values.end()};
}

/// Names of the constants that differ; new ones have no name here.
std::set<std::string> changed(const Graph& before, const Graph& after) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < before.value_slots(); ++i) {
    const auto& value = before.value(static_cast<ValueId>(i));
    if (value.is_constant() && value.dtype == DType::f32 &&
        constant(before, value.name) != constant(after, value.name)) {
      names.insert(value.name);
    }
  }
  return names;
}

std::vector<float> least_of_c1(const Graph& graph) {
  std::vector<float> least(channels, 1e30F);
  for (int i = 0; i < sample_count; ++i) {
    const auto values = value_of(graph, "c1", i);
    for (std::size_t k = 0; k < values.size(); ++k) {
      float& of_channel = least[k / (values.size() / channels)];
      of_channel = std::min(of_channel, values[k]);
    }
  }
  return least;
}

class AbsorbBias : public ::testing::TestWithParam<std::string> {};

TEST_P(AbsorbBias, LeavesTheFunctionOnAllSamples) {
  Variant variant;
  variant.activation = GetParam();
  const auto before = network(variant);
  const auto after = absorbed(before, with_samples());
  EXPECT_EQ(changed(before, after), (std::set<std::string>{"b1", "b2"}));
  expect_same_function(before, after);
  // What was taken away is the least value of each channel, where it is above zero.
  const auto least = least_of_c1(before);
  const auto left = least_of_c1(after);
  EXPECT_LT(least[0], 0);
  EXPECT_EQ(left[0], least[0]);
  for (std::size_t c = 1; c + 1 < channels; ++c) {
    EXPECT_GT(least[c], 0.5);
    EXPECT_NEAR(left[c], 0, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, AbsorbBias, ::testing::Values("Relu", "Clip"),
                         [](const auto& info) { return info.param; });

TEST(AbsorbBias, AChannelThatReachesTheBoundOfAClipStays) {
  Variant variant;
  variant.activation = "Clip";
  const auto before = network(variant);
  const auto after = absorbed(before, with_samples());
  EXPECT_EQ(constant(after, "b1")[channels - 1], 9);
  variant.activation = "Relu";
  EXPECT_LT(constant(absorbed(network(variant), with_samples()), "b1")[channels - 1], 8);
}

TEST(AbsorbBias, WithoutSamplesTakesThreeDeviationsBelowTheMean) {
  const auto before = network({});
  const auto after = absorbed(before, with_moments());
  const auto c1 = before.find_value("c1");
  const auto profiles = profile_channels(before, {{c1}}, samples(), sample_count);
  ASSERT_TRUE(profiles);
  const auto& profile = profiles->at(c1);
  const auto was = constant(before, "b1");
  const auto is = constant(after, "b1");
  int inside = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    const double shift = std::max(0.0, profile.mean[c] - 3 * std::sqrt(profile.variance[c]));
    EXPECT_NEAR(was[c] - is[c], shift, 1e-5);
    inside += profile.minimum[c] >= shift || shift == 0 ? 1 : 0;
  }
  // No sample is below that here, so the function is the same.
  ASSERT_EQ(inside, channels);
  EXPECT_LT(is[3], was[3] - 0.5);
  expect_same_function(before, after);
}

TEST(AbsorbBias, MovesTheMomentsAlong) {
  auto before = network({});
  auto& value = before.value(before.find_value("c1"));
  value.moments = ChannelMoments{std::vector<float>(channels, 4), std::vector<float>(channels, 1)};
  const auto after = absorbed(before, with_samples());
  const auto& moments = *after.value(after.find_value("c1")).moments;
  const auto was = constant(before, "b1");
  const auto is = constant(after, "b1");
  for (std::size_t c = 0; c < channels; ++c) {
    EXPECT_NEAR(4 - moments.mean[c], was[c] - is[c], 1e-5);
    EXPECT_EQ(moments.stddev[c], 1);
  }
}

TEST(AbsorbBias, WhatIsPaddedTakesNone) {
  const auto before = network({.padded = true});
  EXPECT_TRUE(changed(before, absorbed(before, with_samples())).empty());
}

TEST(AbsorbBias, PoolingHandsItOnUnlessItCountsPadding) {
  for (const auto* pool : {"MaxPool", "AveragePool"}) {
    Variant variant;
    variant.pool = pool;
    const auto before = network(variant);
    const auto after = absorbed(before, with_samples());
    EXPECT_EQ(changed(before, after), (std::set<std::string>{"b1", "b2"}));
    expect_same_function(before, after);
  }
  const auto before = network({.pool = "AveragePool", .counts_padding = true});
  EXPECT_TRUE(changed(before, absorbed(before, with_samples())).empty());
}

TEST(AbsorbBias, AClassifierBehindGlobalPoolingTakesItToo) {
  const auto before = network({.second = "Relu"});
  const auto after = absorbed(before, with_samples());
  EXPECT_EQ(changed(before, after), (std::set<std::string>{"b1", "b2", "b4"}));
  expect_same_function(before, after);
}

TEST(AbsorbBias, AllReadersTakeTheirShareOrNone) {
  const auto before = network({.other_reader = "conv"});
  const auto after = absorbed(before, with_samples());
  expect_same_function(before, after);
  EXPECT_NE(after.find_value("c3_node_bias"), ValueId::none) << "c3 had no bias and needs one";
  for (const auto* reader : {"padded", "add", "output"}) {
    const auto other = network({.other_reader = reader});
    EXPECT_TRUE(changed(other, absorbed(other, with_samples())).empty()) << reader;
  }
}

TEST(AbsorbBias, NarrowsTheRangeThatIsQuantized) {
  const auto graph = network({});
  double range[2] = {};
  for (const bool absorb : {false, true}) {
    QuantizeOptions options;
    options.absorb_bias = absorb;
    options.observer = ObserverKind::minmax;
    QuantizeReport report;
    const auto statistics = [](const Graph& now, const std::vector<ValueId>& values) {
      Statistics all;
      all.observer = ObserverKind::minmax;
      const auto program = compile_float(now, values);
      const auto session = (*program)->session();
      TapRequest taps{values, [&](const TapView& view) {
                        all.values[now.value(view.value).name].histogram.observe_range(view.values);
                      }};
      for (int i = 0; i < sample_count; ++i) EXPECT_TRUE((*session)->run(sample(i), &taps));
      return Result<Statistics>(std::move(all));
    };
    const auto model = quantize_static(graph, options, {statistics, {}, samples()}, report);
    ASSERT_TRUE(model) << model.error().message;
    const auto& plan = model->plan.values.at(model->graph.find_value("a1"));
    range[absorb ? 1 : 0] = static_cast<double>(plan.params.scale[0]);
  }
  EXPECT_LT(range[1], 0.7 * range[0]);
}

}  // namespace
}  // namespace octet

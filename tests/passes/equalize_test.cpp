// Equalization leaves the float function as it was, touches nothing it does not own, and lowers the
// noise that it models; the search ends where nothing is left to gain.

#include <cmath>

#include "engine/float/float_program.h"
#include "passes/passes.h"
#include "passes/quantize_fixture.h"
#include "passes/scale_classes.h"
#include "passes/scale_search.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;

constexpr int sample_count = 8;
const Shape image = {1, 3, 6, 6};

std::vector<Tensor> sample(int i) { return {GraphBuilder::pseudo_random(image, 100 + i)}; }

QuantizeSources sources_of_samples() {
  QuantizeSources sources;
  sources.samples = [](const Graph&, std::int64_t limit,
                       const BatchVisitor& visit) -> Result<std::int64_t> {
    const auto count = std::min<std::int64_t>(limit, sample_count);
    for (std::int64_t i = 0; i < count; ++i) {
      Batch batch;
      batch.first = i;
      batch.inputs = sample(static_cast<int>(i));
      OCTET_TRY(visit(0, batch));
    }
    return count;
  };
  sources.profiles = [samples = sources.samples](const Graph& graph,
                                                 const std::vector<ProfileRequest>& requests) {
    return profile_channels(graph, requests, samples, sample_count);
  };
  return sources;
}

/// Output of the float engine for sample i.
std::vector<float> output_of(const Graph& graph, int i) {
  const auto program = compile_float(graph);
  EXPECT_TRUE(program) << program.error().message;
  const auto session = (*program)->session();
  const auto outputs = (*session)->run(sample(i));
  EXPECT_TRUE(outputs) << outputs.error().message;
  const auto values = (*outputs)[0].values<float>();
  return {values.begin(), values.end()};
}

/// Weights whose output channels differ by factors of up to 1000.
ValueId uneven(GraphBuilder& b, const std::string& name, const Shape& shape, int seed) {
  auto tensor = GraphBuilder::pseudo_random(shape, seed);
  const auto inner = tensor.size() / shape[0];
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const auto power = static_cast<double>((i / inner * 7 + seed) % 4) - 2;
    tensor.mutable_data<float>()[i] *= static_cast<float>(std::pow(10.0, power));
  }
  return b.constant(name, std::move(tensor));
}

ValueId activation(GraphBuilder& b, const std::string& kind, ValueId x, const std::string& name,
                   std::int64_t channels) {
  if (kind == "PRelu") return b.node(kind, {x, b.weights(name + "_slope", {channels, 1, 1})}, name);
  if (kind == "Clip") {
    return b.node(kind, {x, b.scalar(name + "_min", 0), b.scalar(name + "_max", 6)}, name);
  }
  return kind.empty() ? x : b.node(kind, {x}, name);
}

/// Pointwise, depthwise, pointwise with a residual Add, global pooling, Gemm.
Graph network(const std::string& kind) {
  GraphBuilder b;
  const auto x = b.input("x", image);
  auto y = b.node("Conv", {x, uneven(b, "w1", {8, 3, 3, 3}, 1), b.weights("b1", {8})}, "c1",
                  {{"pads", Ints{1, 1, 1, 1}}});
  y = activation(b, kind, y, "a1", 8);
  auto z = b.node("Conv", {y, uneven(b, "w2", {8, 1, 3, 3}, 2), b.weights("b2", {8})}, "c2",
                  {{"pads", Ints{1, 1, 1, 1}}, {"group", std::int64_t{8}}});
  z = activation(b, kind, z, "a2", 8);
  z = b.node("Conv", {z, uneven(b, "w3", {8, 8, 1, 1}, 3)}, "c3");
  z = b.node("Add", {y, z}, "sum");
  z = b.node("GlobalAveragePool", {z}, "pool");
  z = b.node("Flatten", {z}, "flat");
  b.output(b.node("Gemm", {z, uneven(b, "w4", {5, 8}, 4), b.weights("b4", {5})}, "y",
                  {{"transB", std::int64_t{1}}}));
  auto graph = b.graph;
  EXPECT_TRUE(simplify(graph));
  return graph;
}

struct Run {
  QuantizeReport report;
  Graph graph;
};

Run equalized(const Graph& graph) {
  QuantizeOptions options;
  options.equalize = true;
  options.weight_granularity = Granularity::per_tensor;
  const auto sources = sources_of_samples();
  Run run;
  PassContext context{
      {graph, {}}, options, *find_target("onnxruntime"), sources, run.report, {}, {}, {}, {}, {}};
  const auto status = passes::equalize(context);
  EXPECT_TRUE(status) << status.error().message;
  run.graph = std::move(context.model.graph);
  return run;
}

bool same_constant(const Graph& a, const Graph& b, const std::string& value) {
  const auto x = a.constant(a.find_value(value))->values<float>();
  const auto y = b.constant(b.find_value(value))->values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

class Equalize : public ::testing::TestWithParam<std::string> {};

TEST_P(Equalize, LeavesTheFunction) {
  const auto graph = network(GetParam());
  const auto after = equalized(graph).graph;
  EXPECT_FALSE(same_constant(graph, after, "w2")) << "nothing was scaled";
  for (int i = 0; i < sample_count; ++i) {
    const auto expected = output_of(graph, i);
    const auto got = output_of(after, i);
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(expected.size(), got.size());
    for (std::size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], expected[k], 1e-5F * largest);
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, Equalize,
                         ::testing::Values("", "Relu", "LeakyRelu", "PRelu", "Clip"),
                         [](const auto& info) {
                           return info.param.empty() ? std::string("Linear") : info.param;
                         });

TEST(Equalize, TouchesOnlyWeightsAndBiases) {
  const auto graph = network("PRelu");
  const auto after = equalized(graph).graph;
  ASSERT_EQ(graph.node_slots(), after.node_slots());
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    EXPECT_EQ(graph.node(id).op, after.node(id).op);
    EXPECT_EQ(graph.node(id).inputs, after.node(id).inputs);
    EXPECT_EQ(graph.node(id).outputs, after.node(id).outputs);
  }
  EXPECT_TRUE(same_constant(graph, after, "a1_slope"));
  EXPECT_TRUE(same_constant(graph, after, "b4")) << "the output's channels are not to be scaled";
}

TEST(Equalize, ChannelsAtTheBoundOfAClipStay) {
  GraphBuilder b;
  const auto x = b.input("x", image);
  const auto w = uneven(b, "w1", {8, 3, 1, 1}, 1);
  auto y = b.node("Conv", {x, w}, "c1");
  y = activation(b, "Clip", y, "a1", 8);
  b.output(b.node("Conv", {y, uneven(b, "w2", {4, 8, 1, 1}, 2)}, "y"));
  auto graph = b.graph;
  ASSERT_TRUE(simplify(graph));
  const auto profiles = sources_of_samples().profiles(graph, {{graph.find_value("a1"), 0, 6}});
  ASSERT_TRUE(profiles);
  const auto& profile = profiles->at(graph.find_value("a1"));
  const auto after = equalized(graph).graph;
  const auto before_rows = graph.constant(graph.find_value("w1"))->values<float>();
  const auto rows = after.constant(after.find_value("w1"))->values<float>();
  int bound = 0;
  int scaled = 0;
  for (std::size_t c = 0; c < 8; ++c) {
    const bool same = std::equal(rows.begin() + static_cast<std::ptrdiff_t>(3 * c),
                                 rows.begin() + static_cast<std::ptrdiff_t>(3 * c + 3),
                                 before_rows.begin() + static_cast<std::ptrdiff_t>(3 * c));
    if (profile.maximum[c] >= 6) {
      ++bound;
      EXPECT_TRUE(same) << "channel " << c;
    } else {
      scaled += same ? 0 : 1;
    }
  }
  EXPECT_GT(bound, 0);
  EXPECT_GT(scaled, 0);
}

TEST(ScaleClasses, WhatDoesNotCommuteWithScalesStays) {
  for (const std::string op : {"Sigmoid", "Tanh", "Softplus"}) {
    GraphBuilder b;
    const auto x = b.input("x", image);
    const auto y = b.node(op, {b.node("Conv", {x, b.weights("w1", {8, 3, 1, 1})}, "c1")}, "a1");
    b.output(b.node("Conv", {y, b.weights("w2", {4, 8, 1, 1})}, "y"));
    ASSERT_TRUE(simplify(b.graph));
    EXPECT_TRUE(scale_classes(b.graph).empty()) << op;
  }
  // Somebody outside sees the value.
  GraphBuilder b;
  const auto x = b.input("x", image);
  const auto y = b.node("Conv", {x, b.weights("w1", {8, 3, 1, 1})}, "c1");
  b.output(y);
  b.output(b.node("Conv", {y, b.weights("w2", {4, 8, 1, 1})}, "y"));
  ASSERT_TRUE(simplify(b.graph));
  EXPECT_TRUE(scale_classes(b.graph).empty());
}

TEST(ScaleClasses, ResidualSumsShareTheirScales) {
  const auto classes = scale_classes(network("Relu"));
  ASSERT_EQ(classes.size(), 2U);
  // a1, c3, sum, pool and flat belong together; between the depthwise layers a2 is on its own.
  EXPECT_EQ(classes[0].makers.size(), 2U);
  EXPECT_EQ(classes[0].readers.size(), 2U);
  EXPECT_EQ(classes[1].makers.size(), 1U);
}

/// Three layers with weights of even size.
ScaleProblem even_problem(bool per_channel) {
  ScaleProblem problem;
  for (int k = 0; k < 2; ++k) {
    problem.classes.push_back({std::vector<double>(12, -10.0), std::vector<double>(12, 10.0)});
  }
  for (int k = 0; k < 3; ++k) {
    NoisyLayer layer;
    layer.in = k - 1;
    layer.out = k < 2 ? k : -1;
    layer.outputs = 12;
    layer.inputs = 12;
    layer.per_channel = per_channel;
    const auto weights = GraphBuilder::pseudo_random({12, 12}, 40 + k);
    for (int i = 0; i < 144; ++i) layer.magnitude.push_back(std::abs(weights.data<float>()[i]));
    for (int i = 0; i < 12; ++i) {
      layer.importance.push_back(1.0 + 0.1 * i);
      layer.variance.push_back(0.5 + 0.05 * i);
    }
    problem.layers.push_back(std::move(layer));
  }
  for (int k = 0; k < 2; ++k) {
    problem.values.push_back(
        {k, 255, std::vector<double>(12, 2.0 + k), std::vector<double>(12, 0.5)});
  }
  return problem;
}

/// The same problem as seen after the scales were applied.
ScaleProblem scaled(ScaleProblem problem, const std::vector<std::vector<double>>& log_scales) {
  const auto of = [&](int k, std::int64_t c) {
    return k < 0 ? 0.0 : log_scales[static_cast<std::size_t>(k)][static_cast<std::size_t>(c)];
  };
  for (auto& layer : problem.layers) {
    for (std::int64_t o = 0; o < layer.outputs; ++o) {
      for (std::int64_t i = 0; i < layer.inputs; ++i) {
        auto& size = layer.magnitude[static_cast<std::size_t>(o * layer.inputs + i)];
        size *= static_cast<float>(std::exp(of(layer.out, o) - of(layer.in, i)));
      }
      layer.importance[static_cast<std::size_t>(o)] *= std::exp(-2 * of(layer.out, o));
    }
    for (std::int64_t i = 0; i < layer.inputs; ++i) {
      layer.variance[static_cast<std::size_t>(i)] *= std::exp(2 * of(layer.in, i));
    }
  }
  for (auto& value : problem.values) {
    for (std::size_t c = 0; c < value.magnitude.size(); ++c) {
      const double scale = of(value.scale_class, static_cast<std::int64_t>(c));
      value.magnitude[c] *= std::exp(scale);
      value.importance[c] *= std::exp(-2 * scale);
    }
  }
  return problem;
}

/// The even problem with channels scaled by up to 100.
ScaleProblem uneven_problem(bool per_channel) {
  std::vector<std::vector<double>> log_scales(2);
  for (int k = 0; k < 2; ++k) {
    for (int c = 0; c < 12; ++c) {
      log_scales[static_cast<std::size_t>(k)].push_back(std::log(10.0) * ((c * 2 + k) % 5 - 2));
    }
  }
  return scaled(even_problem(per_channel), log_scales);
}

class ScaleSearch : public ::testing::TestWithParam<bool> {};

TEST_P(ScaleSearch, FindsBackToEvenChannels) {
  const auto even = search_scales(even_problem(GetParam()));
  const auto uneven = search_scales(uneven_problem(GetParam()));
  ASSERT_TRUE(even);
  ASSERT_TRUE(uneven);
  EXPECT_LT(even->noise_after, even->noise_before);
  EXPECT_GT(uneven->noise_before, 100 * even->noise_before);
  EXPECT_NEAR(uneven->noise_after / even->noise_after, 1, 0.05);
}

TEST_P(ScaleSearch, StatesTheNoiseOfWhatItFound) {
  const auto problem = uneven_problem(GetParam());
  const auto first = search_scales(problem);
  ASSERT_TRUE(first);
  const auto second = search_scales(scaled(problem, first->log_scales));
  ASSERT_TRUE(second);
  EXPECT_NEAR(second->noise_before / first->noise_after, 1, 1e-3);
  EXPECT_GT(second->noise_after, 0.95 * first->noise_after);
}

TEST_P(ScaleSearch, KeepsToTheBounds) {
  auto problem = uneven_problem(GetParam());
  for (std::size_t c = 0; c < 12; c += 2) {
    problem.classes[0].lowest[c] = problem.classes[0].highest[c] = 0;
    problem.classes[1].highest[c] = 0.25;
  }
  const auto found = search_scales(problem);
  ASSERT_TRUE(found);
  for (std::size_t c = 0; c < 12; c += 2) {
    EXPECT_EQ(found->log_scales[0][c], 0);
    EXPECT_LE(found->log_scales[1][c], 0.25);
  }
  EXPECT_LT(found->noise_after, found->noise_before);
}

INSTANTIATE_TEST_SUITE_P(Steps, ScaleSearch, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("PerChannel") : std::string("PerTensor");
});

}  // namespace
}  // namespace octet

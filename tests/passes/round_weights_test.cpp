// Learned rounding as a pass: what it changes, and what it does for the model.

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/layer_bits.h"
#include "passes/quantize_fixture.h"
#include "passes/sample_store.h"

namespace octet {
namespace {

using testing::GraphBuilder;
using testing::Ints;

constexpr int sample_count = 64;
const Shape sample_shape = {1, 4, 9, 9};

Tensor sample(int i) { return GraphBuilder::pseudo_random(sample_shape, 100 + i); }

/// Convolutions around a residual sum, a depthwise one, and a classifier.
Graph network() {
  GraphBuilder b;
  const Ints same{1, 1, 1, 1};
  auto x = b.input("x", sample_shape);
  x = b.node("Conv", {x, b.weights("w0", {16, 4, 3, 3}), b.weights("b0", {16})}, "c0",
             {{"pads", same}});
  const auto stem = b.node("Relu", {x}, "r0");
  x = b.node("Conv", {stem, b.weights("w1", {16, 16, 3, 3}, 2), b.weights("b1", {16}, 3)}, "c1",
             {{"pads", same}});
  x = b.node("Relu", {x}, "r1");
  x = b.node("Conv", {x, b.weights("w2", {16, 16, 3, 3}, 4)}, "c2", {{"pads", same}});
  x = b.node("Add", {x, stem}, "sum");
  x = b.node("Relu", {x}, "r2");
  x = b.node("Conv", {x, b.weights("w3", {16, 1, 3, 3}, 5)}, "c3",
             {{"pads", same}, {"group", std::int64_t{16}}});
  x = b.node("Conv", {x, b.weights("w4", {24, 16, 1, 1}, 6)}, "c4");
  x = b.node("Relu", {x}, "r4");
  x = b.node("GlobalAveragePool", {x}, "p");
  x = b.node("Flatten", {x}, "f");
  b.output(b.node("Gemm", {x, b.weights("w5", {24, 10}, 7), b.weights("b5", {10}, 8)}, "y"));
  return b.graph;
}

StatisticsSource statistics() { return testing::statistics_over(sample_count, sample); }

SampleSource samples() {
  return testing::samples_of(sample_count, [](int i) { return std::vector<Tensor>{sample(i)}; });
}

QuantizeOptions options(bool learn) {
  QuantizeOptions options;
  options.observer = ObserverKind::minmax;
  options.weight_bits = 4;
  options.edge_weight_bits = 8;
  options.depthwise_weight_bits = 8;
  options.learn_rounding = learn;
  return options;
}

QuantizedGraph quantized(const QuantizeOptions& options) {
  QuantizeReport report;
  const QuantizeSources sources{statistics(), {}, samples()};
  auto model = quantize_static(network(), options, sources, report);
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : QuantizedGraph{};
}

/// Sum of square errors of the outputs on samples that were not calibrated on.
double output_error(const QuantizedGraph& model) {
  const auto graph = network();
  const auto reference = compile_float(graph);
  const auto program = compile_integer(model);
  EXPECT_TRUE(reference && program);
  const auto wanted_by = (*reference)->session();
  const auto given_by = (*program)->session();
  double error = 0;
  for (int i = 0; i < 20; ++i) {
    const std::vector<Tensor> inputs{sample(1000 + i)};
    const auto wanted = (*wanted_by)->run(inputs);
    const auto given = (*given_by)->run(inputs);
    for (std::int64_t k = 0; k < 10; ++k) {
      const double e = static_cast<double>((*wanted)[0].data<float>()[k]) -
                       static_cast<double>((*given)[0].data<float>()[k]);
      error += e * e;
    }
  }
  return error;
}

TEST(RoundWeights, TheModelComesNearerToTheFloatOne) {
  EXPECT_LT(output_error(quantized(options(true))), 0.5 * output_error(quantized(options(false))));
}

TEST(RoundWeights, OwnsWeightsAndBiasesAlone) {
  const auto before = quantized(options(false));
  const auto after = quantized(options(true));
  ASSERT_EQ(before.graph.value_slots(), after.graph.value_slots());
  std::set<ValueId> weights, biases;
  for (std::size_t i = 0; i < after.graph.node_slots(); ++i) {
    const Node& node = after.graph.node(static_cast<NodeId>(i));
    if (!node.alive || !is_layer(after.graph, node)) continue;
    weights.insert(node.input(1));
    biases.insert(node.input(2));
  }
  int changed = 0;
  for (const auto& [id, quantization] : after.plan.values) {
    const auto& other = before.plan.values.at(id);
    EXPECT_EQ(quantization.scheme, other.scheme);
    EXPECT_EQ(quantization.storage, other.storage);
    if (weights.contains(id) || biases.contains(id)) continue;
    EXPECT_EQ(quantization, other) << after.graph.value(id).name;
  }
  for (const auto& [id, payload] : after.plan.payloads) {
    const bool same = identical(payload, before.plan.payloads.at(id));
    changed += same ? 0 : 1;
    EXPECT_TRUE(same || weights.contains(id) || biases.contains(id));
  }
  EXPECT_GT(changed, 6);
  // The float weights stay what they were: the codes alone are decided.
  for (const auto id : weights) {
    EXPECT_TRUE(identical(*after.graph.constant(id), *before.graph.constant(id)));
  }
}

TEST(RoundWeights, GivesTheSameModelForAnyNumberOfThreads) {
  const int before = thread_count();
  set_thread_count(1);
  const auto one = quantized(options(true));
  set_thread_count(3);
  const auto three = quantized(options(true));
  set_thread_count(before);
  EXPECT_EQ(one.plan.values, three.plan.values);
  for (const auto& [id, payload] : one.plan.payloads) {
    EXPECT_TRUE(identical(payload, three.plan.payloads.at(id)));
  }
}

TEST(RoundWeights, WithoutSamplesSaysSo) {
  QuantizeReport report;
  const auto model = quantize_static(network(), options(true), statistics(), report);
  ASSERT_TRUE(model);
  ASSERT_FALSE(report.notes.empty());
  EXPECT_NE(report.notes.back().find("no samples"), std::string::npos);
}

/// Between roundings and the file nothing may change a code that was decided.
TEST(RoundWeights, LargeBiasesLeaveTheDecidedCodes) {
  auto graph = network();
  // A channel whose weights are tiny beside its bias: its scale must be raised for int32.
  Tensor& weight = *graph.value(graph.find_value("w1")).constant;
  for (std::int64_t i = 0; i < 16 * 9; ++i) weight.mutable_data<float>()[i] *= 1e-9F;
  graph.value(graph.find_value("b1")).constant->mutable_data<float>()[0] = 0.9F;
  auto wanted = options(true);
  wanted.refine_bias = true;
  QuantizeReport report;
  const QuantizeSources sources{statistics(), {}, samples()};
  const auto model = quantize_static(graph, wanted, sources, report);
  ASSERT_TRUE(model) << model.error().message;
  int raised = 0;
  for (const auto& note : report.notes) {
    EXPECT_EQ(note.find("not rounded by samples"), std::string::npos) << note;
    raised += note.find("c1_node: weight scale raised") != std::string::npos ? 1 : 0;
  }
  // Once, for nearest rounding: what was decided later had room.
  EXPECT_EQ(raised, 1);
  const auto bias = model->graph.find_value("b1");
  const auto& codes = model->plan.payloads.at(bias);
  EXPECT_LE(std::abs(static_cast<double>(codes.data<std::int32_t>()[0])), 0x1.0p30);
}

TEST(RoundWeights, BiasRefinementLeavesItsLayersAlone) {
  auto wanted = options(true);
  const auto before = quantized(wanted);
  wanted.refine_bias = true;
  const auto after = quantized(wanted);
  for (const auto& [id, payload] : before.plan.payloads) {
    EXPECT_TRUE(identical(payload, after.plan.payloads.at(id))) << before.graph.value(id).name;
  }
}

/// Samples that are kept and samples that are read again are the same samples.
TEST(SampleStore, SweepsAllSamplesWhetherKeptOrNot) {
  const auto graph = network();
  const auto program = compile_float(graph);
  ASSERT_TRUE(program);
  const auto source = samples();
  std::vector<std::vector<float>> seen[2];
  for (const bool keep : {false, true}) {
    SampleStore store(source, graph, 16, keep ? std::size_t{1} << 20 : 4000);
    const auto count = store.read();
    ASSERT_TRUE(count);
    EXPECT_EQ(*count, 16);
    EXPECT_EQ(store.kept(), keep);
    auto& outputs = seen[keep ? 1 : 0];
    outputs.resize(16);
    ASSERT_TRUE(store.sweep(**program, graph.outputs, [&](std::int64_t i, const TapView& view) {
      outputs[static_cast<std::size_t>(i)].assign(view.values.begin(), view.values.end());
    }));
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0][7].size(), 10U);
}

TEST(WeightBits, FirstLastAndDepthwiseLayersHaveTheirOwn) {
  const auto graph = network();
  auto wanted = options(false);
  wanted.edge_weight_bits = 7;
  wanted.depthwise_weight_bits = 6;
  const auto bits = layer_bits(graph, wanted);
  ASSERT_TRUE(bits);
  std::map<std::string, int> by_name;
  for (std::size_t i = 0; i < bits->size(); ++i) {
    by_name[graph.node(static_cast<NodeId>(i)).name] = (*bits)[i].weights;
  }
  EXPECT_EQ(by_name.at("c0_node"), 7);
  EXPECT_EQ(by_name.at("c1_node"), 4);
  EXPECT_EQ(by_name.at("c3_node"), 6);
  EXPECT_EQ(by_name.at("c4_node"), 4);
  EXPECT_EQ(by_name.at("y_node"), 7);
  EXPECT_EQ(by_name.at("r0_node"), 0);
}

}  // namespace
}  // namespace octet

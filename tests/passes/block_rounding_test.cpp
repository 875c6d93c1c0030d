// Learned rounding by blocks: which blocks there are, and what is decided in them.

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/blocks.h"
#include "passes/layer_bits.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::GraphBuilder;
using testing::Ints;

constexpr int sample_count = 40;
constexpr std::int64_t channels = 8;
const Shape sample_shape = {1, 4, 7, 7};

Tensor sample(int i) { return GraphBuilder::pseudo_random(sample_shape, 100 + i); }

/// A block between a stem and a classifier; `exit` is what the block gives.
struct Network {
  GraphBuilder b;
  ValueId exit = ValueId::none;

  ValueId conv(ValueId x, const std::string& name, int seed, std::int64_t out = channels,
               std::int64_t kernel = 3, std::int64_t groups = 1) {
    Attributes attributes{{"group", groups}};
    if (kernel == 3) attributes["pads"] = Ints{1, 1, 1, 1};
    const auto weight = b.weights(name + "_w", {out, channels / groups, kernel, kernel}, seed);
    return b.node("Conv", {x, weight, b.weights(name + "_b", {out}, seed + 50)}, name, attributes);
  }
  ValueId relu(ValueId x, const std::string& name) { return b.node("Relu", {x}, name); }
  ValueId clip(ValueId x, const std::string& name) {
    const auto low = b.scalar(name + "_low", 0);
    return b.node("Clip", {x, low, b.scalar(name + "_high", 6)}, name);
  }
};

ValueId residual(Network& n, ValueId x, int seed) {
  const auto y = n.conv(n.relu(n.conv(x, "c1", seed), "r1"), "c2", seed + 1);
  return n.relu(n.b.node("Add", {y, x}, "sum"), "exit");
}

ValueId with_relu6(Network& n, ValueId x, int seed) {
  return n.clip(n.conv(n.clip(n.conv(x, "c1", seed), "r1"), "c2", seed + 1), "exit");
}

ValueId with_depthwise(Network& n, ValueId x, int seed) {
  const auto y = n.clip(n.conv(x, "c1", seed, channels, 1), "r1");
  const auto z = n.clip(n.conv(y, "d", seed + 1, channels, 3, channels), "r2");
  return n.clip(n.conv(z, "c2", seed + 2, channels, 1), "exit");
}

ValueId with_branch(Network& n, ValueId x, int seed) {
  const auto left = n.relu(n.conv(x, "c1", seed), "r1");
  const auto right = n.relu(n.conv(x, "c2", seed + 1, channels, 1), "r2");
  return n.relu(n.b.node("Add", {left, n.conv(right, "c3", seed + 2)}, "sum"), "exit");
}

ValueId without_gradient(Network& n, ValueId x, int seed) {
  const auto y = n.b.node("Selu", {n.conv(x, "c1", seed)}, "r1");
  return n.b.node("Add", {n.conv(y, "c2", seed + 1), x}, "exit");
}

using BlockMaker = ValueId (*)(Network&, ValueId, int);

Network network(BlockMaker block, int seed = 1) {
  Network n;
  auto& b = n.b;
  const auto x = b.input("x", sample_shape);
  const auto stem = b.node("Conv", {x, b.weights("stem_w", {channels, 4, 3, 3})}, "stem",
                           {{"pads", Ints{1, 1, 1, 1}}});
  n.exit = block(n, n.relu(stem, "entry"), seed);
  const auto pooled = b.node("GlobalAveragePool", {n.exit}, "p");
  const auto flat = b.node("Flatten", {pooled}, "f");
  b.output(b.node("Gemm", {flat, b.weights("last_w", {channels, 10}, 7)}, "y"));
  return n;
}

StatisticsSource statistics() { return testing::statistics_over(sample_count, sample); }

testing::Quantized quantized(const Graph& graph, RoundingScope scope, int bits = 2) {
  QuantizeOptions options;
  options.observer = ObserverKind::minmax;
  options.weight_bits = bits;
  options.edge_weight_bits = 8;
  options.depthwise_weight_bits = 8;
  options.learn_rounding = true;
  options.rounding_scope = scope;
  testing::Quantized result;
  const QuantizeSources sources{statistics(), {}, testing::samples_of(sample_count, [](int i) {
                                  return std::vector<Tensor>{sample(i)};
                                })};
  auto model = quantize_static(graph, options, sources, result.report);
  EXPECT_TRUE(model) << model.error().message;
  if (model) result.model = std::move(*model);
  return result;
}

/// Sum of squared errors of a value on the calibration samples, on the integer engine.
double error_at(const Graph& original, const QuantizedGraph& model, const std::string& value) {
  auto reference_graph = original;
  reference_graph.outputs = {reference_graph.find_value(value)};
  auto given_model = model;
  given_model.graph.outputs = {given_model.graph.find_value(value)};
  given_model.graph.remove_dead_nodes();
  const auto reference = compile_float(reference_graph);
  const auto program = compile_integer(given_model);
  EXPECT_TRUE(reference && program);
  const auto wanted_by = (*reference)->session();
  const auto given_by = (*program)->session();
  double error = 0;
  for (int i = 0; i < sample_count; ++i) {
    const std::vector<Tensor> inputs{sample(i)};
    const auto wanted = (*wanted_by)->run(inputs);
    const auto given = (*given_by)->run(inputs);
    for (std::int64_t k = 0; k < (*wanted)[0].size(); ++k) {
      const double e = static_cast<double>((*wanted)[0].data<float>()[k]) -
                       static_cast<double>((*given)[0].data<float>()[k]);
      error += e * e;
    }
  }
  return error;
}

std::vector<Block> blocks_of(const Graph& graph) {
  std::set<NodeId> layers;
  const auto order = graph.topological_order();
  for (const auto id : *order) {
    const Node& node = graph.node(id);
    const bool edge = node.name == "stem_node" || node.name == "y_node";
    if (is_layer(graph, node) && !is_depthwise(graph, node) && !edge) layers.insert(id);
  }
  return find_blocks(graph, *order, layers);
}

TEST(FindBlocks, LieBetweenValuesThroughWhichAllPathsLead) {
  for (const auto block : {residual, with_relu6, with_depthwise, with_branch}) {
    const auto n = network(block);
    const auto found = blocks_of(n.b.graph);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(n.b.graph.value(found[0].entry).name, "entry");
    EXPECT_EQ(n.b.graph.value(found[0].exit).name, "exit");
    EXPECT_EQ(found[0].layers.size(), block == with_branch ? 3U : 2U);
  }
}

TEST(FindBlocks, OfAChainHaveTwoLayersEach) {
  Network n;
  auto x = n.b.input("x", {1, channels, 7, 7});
  for (int i = 0; i < 5; ++i) {
    x = n.relu(n.conv(x, "c" + std::to_string(i), i), "r" + std::to_string(i));
  }
  n.b.output(x);
  const auto found = blocks_of(n.b.graph);
  ASSERT_EQ(found.size(), 2U);
  const auto name = [&](ValueId id) { return n.b.graph.value(id).name; };
  EXPECT_EQ(name(found[0].entry), "x");
  EXPECT_EQ(name(found[0].exit), "r1");
  EXPECT_EQ(name(found[1].entry), "r1");
  EXPECT_EQ(name(found[1].exit), "r3");
  EXPECT_EQ(found[1].nodes.size(), 4U);
}

TEST(FindBlocks, AreNotWholeNetworksWithoutCuts) {
  Network n;
  auto x = n.b.input("x", {1, channels, 7, 7});
  const auto first = x;
  for (int i = 0; i < 9; ++i) x = n.conv(x, "c" + std::to_string(i), i);
  n.b.output(n.b.node("Add", {x, first}, "y"));
  EXPECT_TRUE(blocks_of(n.b.graph).empty());
}

TEST(BlockRounding, NeverRaisesTheErrorBehindTheBlock) {
  int refined = 0;
  for (const auto block : {residual, with_relu6, with_depthwise, with_branch}) {
    for (const int seed : {1, 11}) {
      const auto graph = network(block, seed).b.graph;
      const auto by_layer = quantized(graph, RoundingScope::layer);
      const auto by_block = quantized(graph, RoundingScope::block);
      const double before = error_at(graph, by_layer.model, "exit");
      const double after = error_at(graph, by_block.model, "exit");
      EXPECT_LE(after, before);
      if (by_block.noted("1 of 1 blocks")) {
        EXPECT_LT(after, before);
        ++refined;
      } else {
        EXPECT_EQ(after, before);
      }
    }
  }
  EXPECT_GE(refined, 4);
}

TEST(BlockRounding, DecidesCodesAndBiasesOfItsLayersAlone) {
  const auto graph = network(with_depthwise).b.graph;
  const auto by_layer = quantized(graph, RoundingScope::layer).model;
  const auto by_block = quantized(graph, RoundingScope::block).model;
  // The classifier behind is rounded on what the block gives now.
  const auto behind = [](const std::string& name) {
    return name.starts_with("last") || name.starts_with("y");
  };
  EXPECT_EQ(by_layer.plan.values.size(), by_block.plan.values.size());
  for (const auto& [id, quantization] : by_layer.plan.values) {
    const auto& name = by_layer.graph.value(id).name;
    EXPECT_TRUE(behind(name) || quantization == by_block.plan.values.at(id)) << name;
  }
  const std::set<std::string> own = {"c1_w", "c1_b", "c2_w", "c2_b"};
  int changed = 0;
  for (const auto& [id, codes] : by_layer.plan.payloads) {
    const auto& name = by_layer.graph.value(id).name;
    if (behind(name)) continue;
    const bool same = identical(codes, by_block.plan.payloads.at(id));
    changed += same ? 0 : 1;
    EXPECT_TRUE(same || own.contains(name)) << name;
  }
  EXPECT_GT(changed, 0);
}

TEST(BlockRounding, MovesACodeToItsNeighbourOnTheSideOfTheWeightAtMost) {
  int moved = 0;
  for (const int bits : {2, 3, 4}) {
    const auto graph = network(residual).b.graph;
    const auto by_layer = quantized(graph, RoundingScope::layer, bits).model;
    const auto by_block = quantized(graph, RoundingScope::block, bits).model;
    for (const auto* name : {"c1_w", "c2_w"}) {
      const auto id = by_layer.graph.find_value(name);
      const Tensor& before = by_layer.plan.payloads.at(id);
      const Tensor& after = by_block.plan.payloads.at(id);
      const auto& quantization = by_block.plan.values.at(id);
      const Tensor& weight = *by_block.graph.constant(id);
      const auto row = weight.size() / weight.dim(0);
      for (std::int64_t i = 0; i < weight.size(); ++i) {
        const int from = before.data<std::int8_t>()[i];
        const int to = after.data<std::int8_t>()[i];
        EXPECT_GE(to, quantization.scheme.qmin());
        EXPECT_LE(to, quantization.scheme.qmax());
        if (from == to) continue;
        ++moved;
        const float wanted =
            weight.data<float>()[i] / quantization.params.scale[static_cast<std::size_t>(i / row)];
        EXPECT_EQ(to, wanted < static_cast<float>(from) ? from - 1 : from + 1);
      }
    }
  }
  EXPECT_GT(moved, 0);
}

TEST(BlockRounding, GivesTheSameModelForAnyNumberOfThreads) {
  const auto graph = network(residual).b.graph;
  const int before = thread_count();
  set_thread_count(1);
  const auto one = quantized(graph, RoundingScope::block).model;
  set_thread_count(2);
  const auto two = quantized(graph, RoundingScope::block).model;
  set_thread_count(before);
  EXPECT_EQ(one.plan.values, two.plan.values);
  for (const auto& [id, payload] : one.plan.payloads) {
    EXPECT_TRUE(identical(payload, two.plan.payloads.at(id))) << one.graph.value(id).name;
  }
}

TEST(BlockRounding, WithoutAGradientKeepsTheRoundingByLayers) {
  const auto graph = network(without_gradient).b.graph;
  const auto by_layer = quantized(graph, RoundingScope::layer).model;
  const auto by_block = quantized(graph, RoundingScope::block);
  EXPECT_TRUE(by_block.noted("0 of 1 blocks"));
  EXPECT_TRUE(by_block.noted("one by one instead of by their block, up to: exit"));
  EXPECT_TRUE(by_block.noted("Selu"));
  for (const auto& [id, payload] : by_layer.plan.payloads) {
    EXPECT_TRUE(identical(payload, by_block.model.plan.payloads.at(id)));
  }
}

}  // namespace
}  // namespace octet

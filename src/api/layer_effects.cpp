#include "api/layer_effects.h"

#include <algorithm>
#include <map>
#include <set>

#include "analysis/sensitivity.h"
#include "api/latency.h"
#include "api/provenance.h"
#include "api/quantize_command.h"
#include "api/random_inputs.h"
#include "core/parallel.h"
#include "graph/op_schema.h"
#include "passes/float_function.h"
#include "passes/layer_bits.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

constexpr std::int64_t study_samples = 32;
constexpr double timing_seconds = 0.3;

/// Samples of the calibration data, evenly over what was drawn.
SampleSource samples_of(const OpenData& data) {
  return
      [&data](const Graph&, std::int64_t limit, const BatchVisitor& visit) -> Result<std::int64_t> {
        const auto selection = spread_evenly(data.selection, limit);
        LoaderOptions loader;
        loader.batch_size = calibration_batch;
        loader.undecodable = Undecodable::skip;
        OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, selection, loader, visit));
        return report.samples;
      };
}

struct Studied {
  Graph graph;
  Sensitivity sensitivity;  ///< of its nodes
};

Result<Studied> sensitivity_of(const LayerStudy& study, const Graph& simplified, const Side& side) {
  std::vector<std::string> unmatched;
  const auto recipe = request_from_provenance(read_provenance(side.file.model.graph));
  OCTET_ASSIGN(auto model, float_function(side.file.model, simplified, unmatched,
                                          recipe.absorb_bias.value_or(false)));
  OCTET_ASSIGN(auto found, measure_sensitivity(model, samples_of(study.data), study_samples));
  return Studied{std::move(model.graph), std::move(found)};
}

/// Milliseconds by the name of the node.
Result<std::map<std::string, double>> layer_times(const Side& side) {
  OCTET_ASSIGN(const auto inputs, random_inputs(side.file.model.graph, 1));
  OCTET_ASSIGN(const auto bench, measure_latency(*side.engine.program, inputs,
                                                 {timing_seconds, thread_count(), true}));
  std::map<std::string, double> times;
  for (const auto& layer : bench.layers) times[layer.name] += layer.ms;
  return times;
}

Status add_times(const LayerStudy& study, std::vector<LayerEffect>& effects) {
  OCTET_ASSIGN(const auto floating, layer_times(study.original));
  OCTET_ASSIGN(const auto integer, layer_times(study.quantized));
  for (auto& effect : effects) {
    const auto slow = floating.find(effect.node);
    const auto fast = integer.find(effect.node);
    if (slow == floating.end() || fast == integer.end()) continue;
    effect.float_ms = slow->second;
    effect.integer_ms = fast->second;
  }
  return {};
}

/// What weights of 4 bits add to the error of each layer alone.
void add_narrow(const Sensitivity& usual, const Sensitivity& narrow,
                std::vector<LayerEffect>& effects) {
  std::map<std::string, double> added;
  for (const auto& layer : narrow.layers) added[layer.layer.name] = layer.alone_quantized_error;
  for (const auto& layer : usual.layers) added[layer.layer.name] -= layer.alone_quantized_error;
  for (auto& effect : effects) effect.narrow_loss = std::max(0.0, added[effect.node]);
}

std::set<std::string> node_names(const Graph& graph) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (node.alive) names.insert(node.name);
  }
  return names;
}

LayerEffect effect_of(const Graph& graph, const LayerSensitivity& sensitivity) {
  LayerEffect effect;
  effect.node = sensitivity.layer.name;
  effect.float_gain = sensitivity.left_float_gain;
  for (const auto id : sensitivity.layer.nodes) {
    const Node& node = graph.node(id);
    if (effect.input.empty()) effect.input = graph.value(node.input(0)).name;
    effect.macs += node_macs(graph, node);
    if (is_layer(graph, node)) effect.weights += graph.constant(node.input(1))->size();
  }
  effect.may_narrow = effect.weights > 0;
  return effect;
}

}  // namespace

Result<std::vector<LayerEffect>> study_layers(const LayerStudy& study) {
  Graph simplified = study.original.file.model.graph;
  OCTET_TRY(simplify(simplified));
  QuantizeOptions options;
  options.target = study.target;
  OCTET_TRY(fit_target(simplified, options));
  OCTET_ASSIGN(const auto usual, sensitivity_of(study, simplified, study.quantized));
  std::vector<LayerEffect> effects;
  const auto names = node_names(simplified);
  for (const auto& layer : usual.sensitivity.layers) {
    // What quantization added cannot be named to it.
    if (names.contains(layer.layer.name)) effects.push_back(effect_of(usual.graph, layer));
  }
  if (study.narrow != nullptr) {
    OCTET_ASSIGN(const auto narrow, sensitivity_of(study, simplified, *study.narrow));
    add_narrow(usual.sensitivity, narrow.sensitivity, effects);
  }
  if (study.times) OCTET_TRY(add_times(study, effects));
  return effects;
}

}  // namespace octet

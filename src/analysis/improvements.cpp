#include <algorithm>

#include "analysis/suspects.h"

namespace octet {

Result<std::vector<Suspect>> improvements(const QuantizedGraph& model,
                                          const Sensitivity& sensitivity, bool wide_values) {
  std::vector<const LayerSensitivity*> ranked;
  for (const auto& layer : sensitivity.layers) ranked.push_back(&layer);
  const auto by = [&](double LayerSensitivity::*measure) {
    std::stable_sort(ranked.begin(), ranked.end(),
                     [measure](const auto* a, const auto* b) { return a->*measure > b->*measure; });
  };
  by(&LayerSensitivity::left_float_gain);
  // Layers whose rounding and biases make up for each other lose by any change of one of them.
  const bool by_gain = ranked.empty() || ranked.front()->left_float_gain > 0;
  if (!by_gain) by(&LayerSensitivity::alone_quantized_error);
  std::vector<Suspect> out;
  for (const std::size_t count : {std::size_t{1}, std::size_t{3}}) {
    if (ranked.size() <= count) continue;
    Suspect suspect{"sensitive_layers", ranked[0]->layer.name, "", {}, {}, {}};
    std::vector<IntegerLayer> layers;
    for (std::size_t i = 0; i < count; ++i) {
      layers.push_back(ranked[i]->layer);
      suspect.options.insert(suspect.options.end(), {"--keep-float", ranked[i]->layer.name});
    }
    const std::string_view how = by_gain ? "" : " quantized alone";
    suspect.text = count == 1 ? fmt::format("{} costs most of all layers{}", layers[0].name, how)
                              : fmt::format("the {} layers that cost most{}, in float", count, how);
    OCTET_ASSIGN(auto plan, plan_without(model, layers));
    suspect.remedy = PlanTrial{"layers in float", std::move(plan)};
    out.push_back(std::move(suspect));
  }
  if (!wide_values) return out;
  for (const auto* layer : ranked) {
    auto plan = model.plan;
    const auto found = plan.values.find(layer->layer.output);
    if (found == plan.values.end() || model.graph.is_output(layer->layer.output)) continue;
    const auto& name = model.graph.value(layer->layer.output).name;
    found->second.scheme.bits = 16;
    found->second.params = params_from_range(
        range_minimum(found->second.params, model.plan.values.at(layer->layer.output).scheme),
        range_maximum(found->second.params, model.plan.values.at(layer->layer.output).scheme),
        found->second.scheme);
    out.push_back({"sensitive_values",
                   name,
                   fmt::format("{} with 16-bit codes", name),
                   {},
                   {"--int16", name},
                   PlanTrial{"16 bits", std::move(plan)}});
    break;
  }
  return out;
}

}  // namespace octet

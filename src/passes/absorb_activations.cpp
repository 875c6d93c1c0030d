#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet {

bool saturates_within(float low, float high, const Quantization& output) {
  const auto qmin = static_cast<std::int32_t>(output.scheme.qmin());
  const auto qmax = static_cast<std::int32_t>(output.scheme.qmax());
  const float scale = output.params.scale[0];
  const std::int32_t zero_point = output.params.zero_point[0];
  return quantize_value(low, scale, zero_point, qmin, qmax) == qmin &&
         quantize_value(high, scale, zero_point, qmin, qmax) == qmax;
}

void absorb_activations(QuantizedGraph& model) {
  Graph& graph = model.graph;
  auto& plan = model.plan;
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const auto between = static_cast<ValueId>(i);
    const auto coded = plan.values.find(between);
    if (uses[i].size() != 1 || coded == plan.values.end() || graph.is_output(between)) continue;
    const auto activation = uses[i][0].node;
    const auto bounds = activation_limits(graph, graph.node(activation));
    const auto output = graph.node(activation).output();
    const auto result = plan.values.find(output);
    if (!bounds || result == plan.values.end() || plan.overrides.contains(uses[i][0])) continue;
    if (result->second.params != coded->second.params) continue;
    if (!saturates_within(bounds->low, bounds->high, result->second)) continue;
    const auto producer = graph.producers()[i];
    if (producer == NodeId::none || graph.node(producer).output() != between) continue;
    graph.remove_node(activation);
    graph.node(producer).outputs[0] = output;
    plan.values.erase(coded);
  }
}

Status passes::absorb_activations(PassContext& context) {
  octet::absorb_activations(context.model);
  return {};
}

}  // namespace octet

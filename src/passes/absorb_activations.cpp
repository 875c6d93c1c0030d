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

namespace passes {

Status absorb_activations(PassContext& context) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const auto& fused_into = context.placement.fused_into;
  for (std::size_t i = fused_into.size(); i-- > 0;) {
    const auto between = static_cast<ValueId>(i);
    const auto output = fused_into[i];
    if (output == ValueId::none) continue;
    const auto producers = graph.producers();
    const auto activation = producers[index(output)];
    const auto producer = producers[i];
    if (activation == NodeId::none || producer == NodeId::none) continue;
    if (graph.node(activation).input(0) != between) continue;
    // There the activation is a field of the node before it.
    if (context.target.litert && !plan.values.contains(between)) continue;
    const auto bounds = activation_limits(graph, graph.node(activation));
    if (!bounds || !saturates_within(bounds->low, bounds->high, plan.values.at(output))) continue;
    graph.remove_node(activation);
    graph.node(producer).outputs[0] = output;
    plan.values.erase(between);
  }
  return {};
}

}  // namespace passes
}  // namespace octet

#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

/// A value that only a Relu or Clip reads gets the params of what comes out: limiting codes or
/// limiting reals before quantizing gives the same codes.
void share_with_fused(PassContext& context) {
  const Placement& placement = context.placement;
  const auto producers = context.model.graph.producers();
  for (std::size_t i = 0; i < placement.fused_into.size(); ++i) {
    ValueId end = placement.fused_into[i];
    if (end == ValueId::none) continue;
    const auto maker = producers[i];
    const Graph& graph = context.model.graph;
    // Such a target fuses the activation behind a sum of floats.
    const bool sums = maker != NodeId::none && graph.node(maker).is("Add");
    if (sums && context.target.float_addends) continue;
    // One node of its own states both: what lies between has no codes.
    if (context.target.litert && maker != NodeId::none && placement.fused_into[i] == end &&
        litert_fuses(graph, graph.node(maker), graph.node(producers[index(end)]))) {
      continue;
    }
    while (placement.fused_into[index(end)] != ValueId::none) {
      end = placement.fused_into[index(end)];
    }
    auto quantization = context.model.plan.values.at(end);
    quantization.origin = Origin::shared;
    context.model.plan.values[static_cast<ValueId>(i)] = std::move(quantization);
  }
}

}  // namespace

Status share_params(PassContext& context) {
  const Placement& placement = context.placement;
  auto& plan = context.model.plan;
  Graph& graph = context.model.graph;
  for (std::size_t i = 0; i < placement.quantized.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!placement.quantized[i] || plan.values.contains(id)) continue;
    const auto group = context.group_quantizations.find(placement.group[i]);
    if (group == context.group_quantizations.end()) {
      return internal_error("value {} shares the params of none", graph.value(id).name);
    }
    plan.values[id] = group->second;
    plan.values[id].origin = Origin::shared;
  }
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    const auto kind = placement.kinds[i];
    if (kind != IntegerKind::join && kind != IntegerKind::pass_through) continue;
    const auto node = static_cast<NodeId>(i);
    const auto shared = plan.values.at(graph.node(node).output());
    for (const int input : data_inputs(graph, graph.node(node))) {
      const auto id = graph.node(node).input(static_cast<std::size_t>(input));
      if (graph.constant(id) == nullptr) continue;
      auto quantization = shared;
      quantization.origin = Origin::shared;
      plan.values[own_constant(graph, {node, input})] = std::move(quantization);
    }
  }
  share_with_fused(context);
  return {};
}

}  // namespace octet::passes

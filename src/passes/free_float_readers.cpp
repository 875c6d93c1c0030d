#include <algorithm>

#include "graph/litert_attributes.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet::passes {

Status free_float_readers(PassContext& context) {
  const Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < context.placement.float_readers.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const auto found = plan.values.find(id);
    if (!context.placement.float_readers[i] || found == plan.values.end()) continue;
    // Where the file has codes of it, its float readers read these.
    if (context.options.io && (graph.is_input(id) || graph.is_output(id))) continue;
    for (const auto& use : uses[i]) {
      // Nodes that came later compare codes.
      const bool placed = index(use.node) < context.placement.kinds.size();
      if (placed && !context.placement.integer(use.node)) continue;
      if (placed && *context.placement.kinds[index(use.node)] == IntegerKind::bias) continue;
      const auto inputs = data_inputs(graph, graph.node(use.node));
      if (std::find(inputs.begin(), inputs.end(), use.input) == inputs.end()) continue;
      plan.overrides.try_emplace(use, found->second);
    }
    plan.values.erase(found);
  }
  if (!context.target.litert) return {};
  // What stays float between codes is written so.
  for (std::size_t i = 0; i < context.placement.kinds.size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!context.placement.integer(id)) keep_float(context.model, id);
  }
  return {};
}

}  // namespace octet::passes

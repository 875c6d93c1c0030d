#include "passes/wide_values.h"

#include <algorithm>
#include <set>

#include "passes/glob.h"

namespace octet {

void find_wide(const Graph& graph, const std::vector<std::string>& globs, Placement& placement) {
  placement.wide.assign(graph.value_slots(), false);
  const auto producers = graph.producers();
  const auto root = [&](std::size_t i) {
    while (placement.fused_into[i] != ValueId::none) i = index(placement.fused_into[i]);
    return placement.group[i];
  };
  std::set<ValueId> roots;
  for (const auto& glob : globs) {
    bool matched = false;
    for (std::size_t i = 0; i < placement.wide.size(); ++i) {
      const auto producer = producers[i];
      const bool named = matches(glob, graph.value(static_cast<ValueId>(i)).name) ||
                         (producer != NodeId::none && matches(glob, graph.node(producer).name));
      if (!named || !placement.quantized[index(root(i))]) continue;
      roots.insert(root(i));
      matched = true;
    }
    if (!matched) placement.notes.push_back(fmt::format("--int16 {} matches no value", glob));
  }
  for (std::size_t i = 0; i < placement.wide.size(); ++i) {
    placement.wide[i] = roots.contains(root(i));
  }
}

bool touches_wide(const Graph& graph, const Placement& placement, NodeId id) {
  const auto& kind = placement.kinds[index(id)];
  if (!kind || *kind == IntegerKind::pass_through || *kind == IntegerKind::join) return false;
  const auto wide = [&](ValueId value) {
    return value != ValueId::none && placement.wide[index(value)];
  };
  const Node& node = graph.node(id);
  return std::any_of(node.inputs.begin(), node.inputs.end(), wide) ||
         std::any_of(node.outputs.begin(), node.outputs.end(), wide);
}

}  // namespace octet

#include <cmath>

#include "passes/simplify.h"

namespace octet::simplification {

Result<int> fold_min_max(Graph& graph) {
  int changes = 0;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = graph.node(id);
    const bool minimum = node.is("Min");
    if (!node.alive || (!minimum && !node.is("Max")) || node.inputs.size() != 2) continue;
    for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
      const auto* bound = f32_constant(graph, node, slot);
      const auto x = node.input(1 - slot);
      const auto& shape = graph.value(x).shape;
      if (bound == nullptr || bound->size() != 1 || std::isnan(bound->data<float>()[0])) continue;
      if (!shape || bound->rank() > static_cast<int>(shape->size())) continue;
      if (graph.constant(x) != nullptr) continue;
      const auto scalar =
          graph.add_constant(node.name + (minimum ? ".max" : ".min"), bound->reshaped({}));
      auto& clip = graph.node(id);
      clip.op = "Clip";
      clip.inputs = minimum ? std::vector{x, ValueId::none, scalar} : std::vector{x, scalar};
      ++changes;
      break;
    }
  }
  return changes;
}

}  // namespace octet::simplification

#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// The exponent of a Pow on f32 whose exponent does not change its shape.
std::optional<float> exponent_of(const Graph& graph, const Node& node) {
  if (!node.is("Pow") || node.output() == ValueId::none) return std::nullopt;
  const auto* exponent = f32_constant(graph, node, 1);
  const auto& base = graph.value(node.input(0));
  if (exponent == nullptr || exponent->size() != 1 || base.dtype != DType::f32) return std::nullopt;
  if (!base.shape || exponent->rank() > static_cast<int>(base.shape->size())) return std::nullopt;
  return exponent->data<float>()[0];
}

}  // namespace

Result<int> fold_powers(Graph& graph) {
  int changes = 0;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive) continue;
    const auto exponent = exponent_of(graph, graph.node(id));
    if (!exponent) continue;
    auto& node = graph.node(id);
    const auto x = node.input(0);
    if (*exponent == 1) {
      if (bypass(graph, id)) ++changes;
      continue;
    }
    if (*exponent == 2) {
      node.op = "Mul";
      node.inputs = {x, x};
    } else if (*exponent == 0.5F || *exponent == -1) {
      node.op = *exponent == -1 ? "Reciprocal" : "Sqrt";
      node.inputs = {x};
    } else {
      continue;
    }
    ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

#include "passes/pattern.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// The single axis of a reduction that keeps its dimensions.
std::optional<int> kept_axis(const Graph& graph, const Node& node) {
  if (node.int_attribute("keepdims", 1) == 0) return std::nullopt;
  const auto axes = reduced_axes(graph, node);
  if (!axes || axes->size() != 1) return std::nullopt;
  return axes->front();
}

bool fuse(Graph& graph, const Pattern& pattern, NodeId id) {
  const auto& node = graph.node(id);
  if (!node.is("Div")) return false;
  const auto exp = pattern.maker(node.input(0), "Exp");
  const auto sum = pattern.maker(node.input(1), "ReduceSum");
  if (exp == NodeId::none || sum == NodeId::none) return false;
  if (graph.node(sum).input(0) != node.input(0)) return false;
  const auto axis = kept_axis(graph, graph.node(sum));
  if (!axis) return false;
  std::set<NodeId> nodes{id, exp, sum};
  auto x = graph.node(exp).input(0);
  if (const auto sub = pattern.maker(x, "Sub"); sub != NodeId::none) {
    const auto max = pattern.maker(graph.node(sub).input(1), "ReduceMax");
    if (max != NodeId::none && graph.node(max).input(0) == graph.node(sub).input(0) &&
        kept_axis(graph, graph.node(max)) == axis && pattern.uses(x).size() == 1) {
      nodes.insert({sub, max});
      x = graph.node(sub).input(0);
    }
  }
  if (!pattern.closed(nodes, id) || graph.constant(x) != nullptr) return false;
  for (const auto inner : nodes) {
    if (inner != id) graph.remove_node(inner);
  }
  auto& root = graph.node(id);
  root.op = "Softmax";
  root.inputs = {x};
  root.attributes = {{"axis", static_cast<std::int64_t>(*axis)}};
  return true;
}

}  // namespace

Result<int> fuse_softmax(Graph& graph) {
  if (!allows(graph, 13)) return 0;
  return rewrite_each(graph, fuse);
}

}  // namespace octet::simplification

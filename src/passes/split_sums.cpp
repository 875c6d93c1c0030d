#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// Leaves the last addition, with the node's name and output, to the node itself.
void split(Graph& graph, NodeId id) {
  const auto inputs = graph.node(id).inputs;
  const std::string name = graph.node(id).name;
  const DType dtype = graph.value(graph.node(id).output()).dtype;
  ValueId sum = inputs.front();
  for (std::size_t i = 1; i + 1 < inputs.size(); ++i) {
    Value value;
    value.name = name + "_part";
    value.dtype = dtype;
    Node add;
    add.op = "Add";
    add.name = value.name;
    add.inputs = {sum, inputs[i]};
    sum = graph.add_value(std::move(value));
    add.outputs = {sum};
    graph.add_node(std::move(add));
  }
  graph.node(id).op = "Add";
  graph.node(id).inputs = {sum, inputs.back()};
}

}  // namespace

Result<int> split_sums(Graph& graph) {
  int changes = 0;
  const std::size_t slots = graph.node_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive || !graph.node(id).is("Sum")) continue;
    if (graph.node(id).inputs.size() > 1) {
      split(graph, id);
      ++changes;
    } else if (bypass(graph, id)) {
      ++changes;
    }
  }
  return changes;
}

}  // namespace octet::simplification

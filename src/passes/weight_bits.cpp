#include "passes/weight_bits.h"

#include <algorithm>

namespace octet {
namespace {

/// By node slot: whether a layer lies on a way from the graph's inputs to the node, itself left
/// out. With `order` reversed and readers for makers: from the node to the outputs.
std::vector<bool> behind_layers(const Graph& graph, const std::vector<NodeId>& order,
                                const std::vector<std::vector<NodeId>>& before) {
  std::vector<bool> behind(graph.node_slots(), false);
  for (const auto id : order) {
    behind[index(id)] = std::any_of(
        before[index(id)].begin(), before[index(id)].end(),
        [&](NodeId other) { return behind[index(other)] || is_layer(graph, graph.node(other)); });
  }
  return behind;
}

}  // namespace

bool is_layer(const Graph& graph, const Node& node) {
  const bool multiplies =
      node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul");
  return multiplies && graph.constant(node.input(1)) != nullptr;
}

bool is_depthwise(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  return node.is("Conv") && weight != nullptr && weight->rank() > 2 && weight->dim(1) == 1 &&
         node.int_attribute("group", 1) > 1;
}

Result<std::vector<int>> layer_bits(const Graph& graph, const QuantizeOptions& options) {
  OCTET_ASSIGN(auto order, graph.topological_order());
  const auto producers = graph.producers();
  std::vector<std::vector<NodeId>> makers(graph.node_slots());
  std::vector<std::vector<NodeId>> readers(graph.node_slots());
  for (const auto id : order) {
    for (const auto value : graph.node(id).inputs) {
      if (value == ValueId::none || producers[index(value)] == NodeId::none) continue;
      makers[index(id)].push_back(producers[index(value)]);
      readers[index(producers[index(value)])].push_back(id);
    }
  }
  const auto behind = behind_layers(graph, order, makers);
  std::reverse(order.begin(), order.end());
  const auto ahead = behind_layers(graph, order, readers);
  std::vector<int> bits(graph.node_slots(), 0);
  for (const auto id : order) {
    const Node& node = graph.node(id);
    if (!is_layer(graph, node)) continue;
    int wanted = options.weight_bits;
    if (is_depthwise(graph, node)) wanted = options.depthwise_weight_bits.value_or(wanted);
    if (!behind[index(id)] || !ahead[index(id)]) {
      wanted = options.edge_weight_bits.value_or(wanted);
    }
    bits[index(id)] = wanted;
  }
  return bits;
}

}  // namespace octet

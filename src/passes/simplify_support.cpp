#include <algorithm>
#include <cmath>

#include "passes/simplify.h"

namespace octet::simplification {

bool bypass(Graph& graph, NodeId id, std::size_t slot) {
  const auto from = graph.node(id).input(slot);
  const auto to = graph.node(id).output();
  const auto maker = graph.producers()[index(from)];
  const bool from_stays = maker == NodeId::none || graph.is_output(from);
  if (from_stays && graph.is_output(to)) return false;
  graph.remove_node(id);
  if (from_stays) {
    graph.replace_uses(to, from);
    return true;
  }
  auto& outputs = graph.node(maker).outputs;
  std::replace(outputs.begin(), outputs.end(), from, to);
  graph.replace_uses(from, to);
  if (!graph.value(to).moments) graph.value(to).moments = std::move(graph.value(from).moments);
  return true;
}

NodeId sole_producer(const Graph& graph, ValueId id) {
  if (id == ValueId::none || graph.is_output(id)) return NodeId::none;
  if (graph.uses()[index(id)].size() != 1) return NodeId::none;
  return graph.producers()[index(id)];
}

void set_input(Node& node, std::size_t slot, ValueId value) {
  if (node.inputs.size() <= slot) node.inputs.resize(slot + 1, ValueId::none);
  node.inputs[slot] = value;
}

void replace_constant(Graph& graph, NodeId node, std::size_t slot, Tensor tensor) {
  const auto old = graph.node(node).input(slot);
  const bool shared = graph.is_output(old) || graph.uses()[index(old)].size() > 1;
  if (shared) {
    const auto copy = graph.add_constant(graph.value(old).name, std::move(tensor));
    graph.node(node).inputs[slot] = copy;
    return;
  }
  auto& value = graph.value(old);
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::move(tensor);
}

const Tensor* f32_constant(const Graph& graph, const Node& node, std::size_t slot) {
  const auto* tensor = graph.constant(node.input(slot));
  return tensor != nullptr && tensor->dtype() == DType::f32 ? tensor : nullptr;
}

std::optional<Tensor> to_f32_tensor(std::span<const double> values, Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  auto* out = tensor.mutable_data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    out[i] = static_cast<float>(values[i]);
    if (!std::isfinite(out[i])) return std::nullopt;
  }
  return tensor;
}

}  // namespace octet::simplification

#include <algorithm>
#include <cmath>

#include "graph/onnx_dtype.h"
#include "graph/value_facts.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

bool is_infinite_bound(const Graph& graph, const Node& node, std::size_t slot) {
  if (node.input(slot) == ValueId::none) return true;
  const auto* bound = f32_constant(graph, node, slot);
  return bound != nullptr && bound->size() == 1 && std::isinf(bound->data<float>()[0]) &&
         (bound->data<float>()[0] > 0) == (slot == 2);
}

bool drops_nothing(const Graph& graph, const Node& node) {
  if (node.output(1) != ValueId::none) {
    const auto mask = node.output(1);
    if (graph.is_output(mask) || !graph.uses()[index(mask)].empty()) return false;
  }
  if (node.input(2) == ValueId::none) return true;
  const auto* training = graph.constant(node.input(2));
  return training != nullptr && training->size() == 1 && training->data<std::uint8_t>()[0] == 0;
}

bool pads_nothing(const Graph& graph, const Node& node) {
  const auto* pads = graph.constant(node.input(1));
  if (pads == nullptr) return false;
  const auto values = to_int64(*pads);
  return values && std::all_of(values->begin(), values->end(), [](auto pad) { return pad == 0; });
}

bool keeps_order(const Node& node) {
  const auto perm = node.ints_attribute("perm");
  for (std::size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<std::int64_t>(i)) return false;
  }
  return !perm.empty();
}

bool is_reshape(const Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze");
}

bool changes_nothing(const Graph& graph, const Node& node, const std::vector<ValueFacts>& facts) {
  if (node.is("Identity")) return true;
  if (node.is("Dropout")) return drops_nothing(graph, node);
  if (node.is("Cast")) {
    const auto from = facts[index(node.input(0))].dtype;
    return from != DType::undefined && from == dtype_from_onnx(node.int_attribute("to", 0));
  }
  if (node.is("Pad")) return pads_nothing(graph, node);
  if (node.is("Concat")) return node.inputs.size() == 1;
  if (node.is("Clip")) {
    return is_infinite_bound(graph, node, 1) && is_infinite_bound(graph, node, 2) &&
           node.attributes.empty();
  }
  if (node.is("Transpose")) return keeps_order(node);
  if (is_reshape(node)) {
    const auto& before = facts[index(node.input(0))].shape;
    const auto& after = facts[index(node.output())].shape;
    return before && after && *before == *after;
  }
  return false;
}

}  // namespace

Result<int> remove_identities(Graph& graph) {
  OCTET_ASSIGN(const auto facts, infer_facts(graph));
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    const auto& node = graph.node(id);
    if (node.input(0) == ValueId::none || node.output() == ValueId::none) continue;
    if (changes_nothing(graph, node, facts) && bypass(graph, id)) ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

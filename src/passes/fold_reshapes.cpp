#include <algorithm>

#include "graph/value_facts.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

std::optional<std::vector<std::int64_t>> permutation(const Graph& graph, const Node& node) {
  auto perm = node.ints_attribute("perm");
  const auto& shape = graph.value(node.input(0)).shape;
  if (!perm.empty() || !shape) {
    return perm.empty() ? std::nullopt : std::optional(std::move(perm));
  }
  for (std::size_t i = shape->size(); i-- > 0;) perm.push_back(static_cast<std::int64_t>(i));
  return perm;
}

/// Non-negative entries, each once.
bool is_permutation(std::vector<std::int64_t> perm) {
  std::sort(perm.begin(), perm.end());
  for (std::size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

bool merge_transposes(Graph& graph, NodeId id, NodeId first) {
  const auto before = permutation(graph, graph.node(first));
  const auto after = permutation(graph, graph.node(id));
  if (!before || !after || before->size() != after->size()) return false;
  if (!is_permutation(*before) || !is_permutation(*after)) return false;
  std::vector<std::int64_t> both;
  for (const auto axis : *after) both.push_back((*before)[static_cast<std::size_t>(axis)]);
  graph.node(id).inputs[0] = graph.node(first).input(0);
  graph.node(id).attributes["perm"] = both;
  return true;
}

bool is_view(const Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze");
}

/// The shape input of the second reshape, meant for the input of the first: a 0 there copies an
/// extent of the value between them.
std::optional<std::vector<std::int64_t>> retarget(std::vector<std::int64_t> target, bool copies,
                                                  const ValueFacts& source,
                                                  const ValueFacts& between) {
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != 0 || !copies) continue;
    if (!between.shape || !source.shape || i >= between.shape->size()) return std::nullopt;
    const auto extent = (*between.shape)[i];
    if (i < source.shape->size() && (*source.shape)[i] == extent) continue;
    if (extent <= 0) return std::nullopt;
    target[i] = extent;
  }
  return target;
}

bool merge_reshapes(Graph& graph, NodeId id, NodeId first, const std::vector<ValueFacts>& facts) {
  const auto& node = graph.node(id);
  const auto* constant = graph.constant(node.input(1));
  if (constant == nullptr) return false;
  const auto wanted = to_int64(*constant);
  if (!wanted) return false;
  const auto source = graph.node(first).input(0);
  const bool copies = node.int_attribute("allowzero", 0) == 0;
  const auto target = retarget(*wanted, copies, facts[index(source)], facts[index(node.input(0))]);
  if (!target) return false;
  if (*target != *wanted) {
    replace_constant(graph, id, 1, Tensor::from<std::int64_t>(*target, constant->shape()));
  }
  graph.node(id).inputs[0] = source;
  return true;
}

}  // namespace

Result<int> fold_reshapes(Graph& graph) {
  OCTET_ASSIGN(const auto facts, infer_facts(graph));
  OCTET_ASSIGN(const auto order, graph.topological_order());
  const auto producer = graph.producers();
  int changes = 0;
  for (const auto id : order) {
    const auto& node = graph.node(id);
    const auto input = node.input(0);
    const auto first = input == ValueId::none ? NodeId::none : producer[index(input)];
    if (first == NodeId::none) continue;
    const bool merged = (node.is("Transpose") && graph.node(first).is("Transpose") &&
                         merge_transposes(graph, id, first)) ||
                        (node.is("Reshape") && is_view(graph.node(first)) &&
                         merge_reshapes(graph, id, first, facts));
    if (merged) ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

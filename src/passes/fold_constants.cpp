#include <algorithm>

#include "engine/float/float_op.h"
#include "graph/op_schema.h"
#include "graph/value_facts.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// A result may be larger than what it is computed from only up to this many elements.
constexpr std::int64_t growth_limit = std::int64_t{1} << 20;

bool makes_graph_output(const Graph& graph, const Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return id != ValueId::none && graph.is_output(id); });
}

Tensor integer_tensor(const std::vector<std::int64_t>& values, Shape shape, DType dtype) {
  if (dtype == DType::i64) return Tensor::from<std::int64_t>(values, std::move(shape));
  std::vector<std::int32_t> narrow;
  for (const auto value : values) narrow.push_back(static_cast<std::int32_t>(value));
  return Tensor::from<std::int32_t>(narrow, std::move(shape));
}

/// The output of a node whose integers inference has worked out completely.
std::optional<Tensor> inferred_constant(const Node& node, const std::vector<ValueFacts>& facts) {
  if (node.outputs.size() != 1 || node.outputs[0] == ValueId::none) return std::nullopt;
  const auto& output = facts[index(node.outputs[0])];
  if (!output.integers) return std::nullopt;
  const auto values = all_known(*output.integers);
  if (!values) return std::nullopt;
  return integer_tensor(*values, output.integers->shape, output.dtype);
}

bool inputs_are_constant(const Graph& graph, const Node& node) {
  return !node.inputs.empty() &&
         std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
           return id == ValueId::none || graph.constant(id) != nullptr;
         });
}

/// Whether the results are known to be of a reasonable size.
bool size_is_sane(const Graph& graph, const Node& node, const std::vector<ValueFacts>& facts) {
  std::int64_t available = growth_limit;
  for (const auto id : node.inputs) {
    if (const auto* tensor = graph.constant(id)) available = std::max(available, tensor->size());
  }
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    if (id == ValueId::none) return true;
    const auto& shape = facts[index(id)].shape;
    if (!shape) return false;
    const auto count = checked_element_count(*shape);
    return count && *count <= available;
  });
}

std::optional<std::vector<Tensor>> evaluate(const Graph& graph, NodeId id,
                                            const std::vector<ValueFacts>& facts) {
  const auto& node = graph.node(id);
  if (node.is("Constant")) {
    auto value = constant_node_value(node);
    if (!value) return std::nullopt;
    return std::vector<Tensor>{std::move(*value)};
  }
  if (auto tensor = inferred_constant(node, facts)) return std::vector<Tensor>{std::move(*tensor)};
  if (!inputs_are_constant(graph, node) || !float_op_supported(node)) return std::nullopt;
  if (!size_is_sane(graph, node, facts)) return std::nullopt;
  // A node that can't be computed now can't be later either: running it will say why.
  auto tensors = evaluate_constant_node(graph, id);
  if (!tensors) return std::nullopt;
  return std::move(*tensors);
}

bool store(Graph& graph, NodeId id, const std::vector<Tensor>& tensors) {
  const auto outputs = graph.node(id).outputs;
  if (tensors.size() < outputs.size()) return false;
  graph.remove_node(id);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] == ValueId::none) continue;
    auto& value = graph.value(outputs[i]);
    value.dtype = tensors[i].dtype();
    value.shape = tensors[i].shape();
    value.dim_names.clear();
    value.constant = tensors[i];
  }
  return true;
}

/// The shape input of a Reshape as a constant: an extent that the input has at the same place
/// becomes 0 (copy), one other becomes -1 (infer).
std::optional<std::vector<std::int64_t>> constant_shape(const Node& node, const ValueFacts& input,
                                                        const PartialInts& wanted) {
  const bool copies = node.int_attribute("allowzero", 0) == 0;
  std::vector<std::int64_t> shape;
  int inferred = 0;
  for (std::size_t i = 0; i < wanted.elements.size(); ++i) {
    const auto& element = wanted.elements[i];
    const bool same_place = element.kind == PartialInt::Kind::extent && input.shape &&
                            i < input.shape->size() && (*input.shape)[i] == element.value;
    if (element.is_known()) {
      shape.push_back(element.value);
    } else if (copies && same_place) {
      shape.push_back(0);
    } else {
      shape.push_back(-1);
    }
    inferred += shape.back() == -1 ? 1 : 0;
  }
  return inferred <= 1 ? std::optional(shape) : std::nullopt;
}

bool fix_reshape(Graph& graph, NodeId id, const std::vector<ValueFacts>& facts) {
  const auto& node = graph.node(id);
  const auto target = node.input(1);
  if (!node.is("Reshape") || target == ValueId::none || graph.constant(target) != nullptr) {
    return false;
  }
  const auto& wanted = facts[index(target)].integers;
  if (!wanted || wanted->shape.size() != 1) return false;
  const auto shape = constant_shape(node, facts[index(node.input(0))], *wanted);
  if (!shape) return false;
  const auto rank = static_cast<std::int64_t>(shape->size());
  const auto constant = graph.add_constant(graph.value(target).name + "_folded",
                                           Tensor::from<std::int64_t>(*shape, {rank}));
  graph.node(id).inputs[1] = constant;
  return true;
}

}  // namespace

Result<int> fold_constants(Graph& graph) {
  OCTET_ASSIGN(const auto facts, infer_facts(graph));
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    const auto& node = graph.node(id);
    if (find_schema(node) == nullptr) continue;
    if (fix_reshape(graph, id, facts)) {
      ++changes;
      continue;
    }
    if (makes_graph_output(graph, node)) continue;
    if (const auto tensors = evaluate(graph, id, facts); tensors && store(graph, id, *tensors)) {
      ++changes;
    }
  }
  return changes;
}

}  // namespace octet::simplification

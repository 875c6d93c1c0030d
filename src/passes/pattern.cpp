#include "passes/pattern.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/progress.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

constexpr int product_depth = 6;

}  // namespace

Result<int> rewrite_each(Graph& graph, NodeRewrite rewrite) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  std::optional<Pattern> pattern(graph);
  for (const auto id : order) {
    const auto& node = graph.node(id);
    if (!node.alive || node.output() == ValueId::none) continue;
    if (graph.value(node.output()).dtype != DType::f32) continue;
    if (!rewrite(graph, *pattern, id)) continue;
    OCTET_TRY(check_cancel());
    pattern.emplace(graph);
    ++changes;
  }
  return changes;
}

bool is_about(double value, double wanted) {
  return std::abs(value - wanted) <= 1e-5 * std::max(std::abs(wanted), 1e-3);
}

bool allows(const Graph& graph, std::int64_t since) {
  const auto found = graph.opsets.find("");
  return found == graph.opsets.end() || found->second >= since;
}

bool Product::is(double wanted_factor, std::size_t count) const {
  return terms.size() == count && is_about(factor, wanted_factor);
}

NodeId Pattern::maker(ValueId value, std::string_view op) const {
  if (value == ValueId::none) return NodeId::none;
  const auto id = producers_[index(value)];
  if (id == NodeId::none || !graph_.node(id).is(op)) return NodeId::none;
  return id;
}

std::optional<double> Pattern::scalar(ValueId value) const {
  const auto* tensor = graph_.constant(value);
  if (tensor == nullptr || tensor->dtype() != DType::f32 || tensor->size() != 1) {
    return std::nullopt;
  }
  return static_cast<double>(tensor->data<float>()[0]);
}

ValueId Pattern::added_to(ValueId value, double constant) const {
  const auto id = maker(value, "Add");
  if (id == NodeId::none) return ValueId::none;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto found = scalar(graph_.node(id).input(slot));
    if (found && is_about(*found, constant)) return graph_.node(id).input(1 - slot);
  }
  return ValueId::none;
}

ValueId Pattern::clipped(ValueId value, double low, double high) const {
  const auto id = maker(value, "Clip");
  if (id == NodeId::none) return ValueId::none;
  const auto minimum = scalar(graph_.node(id).input(1));
  const auto maximum = scalar(graph_.node(id).input(2));
  if (!minimum || !maximum || *minimum != low || *maximum != high) return ValueId::none;
  return graph_.node(id).input(0);
}

void Pattern::multiply(ValueId value, bool root, int depth, Product& product) const {
  if (const auto constant = scalar(value)) {
    product.factor *= *constant;
    return;
  }
  const auto id = value == ValueId::none ? NodeId::none : producers_[index(value)];
  const bool inner = root || (uses_[index(value)].size() == 1 && !graph_.is_output(value));
  if (id == NodeId::none || !inner || depth == 0) {
    product.terms.push_back(value);
    return;
  }
  const Node& node = graph_.node(id);
  if (node.is("Mul")) {
    product.nodes.insert(id);
    multiply(node.input(0), false, depth - 1, product);
    multiply(node.input(1), false, depth - 1, product);
    return;
  }
  if (node.is("Neg")) {
    product.nodes.insert(id);
    product.factor = -product.factor;
    multiply(node.input(0), false, depth - 1, product);
    return;
  }
  const auto divisor = node.is("Div") ? scalar(node.input(1)) : std::nullopt;
  if (divisor && *divisor != 0) {
    product.nodes.insert(id);
    product.factor /= *divisor;
    multiply(node.input(0), false, depth - 1, product);
    return;
  }
  product.terms.push_back(value);
}

Product Pattern::product(ValueId value) const {
  Product result;
  multiply(value, true, product_depth, result);
  return result;
}

bool Pattern::closed(const std::set<NodeId>& nodes, NodeId root) const {
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    if (id == root) return true;
    const auto& outputs = graph_.node(id).outputs;
    return std::all_of(outputs.begin(), outputs.end(), [&](ValueId value) {
      if (value == ValueId::none) return true;
      const auto& readers = uses_[index(value)];
      return !graph_.is_output(value) &&
             std::all_of(readers.begin(), readers.end(),
                         [&](const Use& use) { return nodes.contains(use.node); });
    });
  });
}

bool Pattern::same_shape(ValueId a, ValueId b) const {
  const auto& first = graph_.value(a).shape;
  const auto& second = graph_.value(b).shape;
  return first && second && *first == *second;
}

std::optional<std::vector<int>> reduced_axes(const Graph& graph, const Node& node) {
  const auto& shape = graph.value(node.input(0)).shape;
  if (!shape) return std::nullopt;
  std::vector<std::int64_t> given = node.ints_attribute("axes");
  if (node.input(1) != ValueId::none) {
    const auto* constant = graph.constant(node.input(1));
    if (constant == nullptr) return std::nullopt;
    const auto values = to_int64(*constant);
    if (!values) return std::nullopt;
    given = *values;
  }
  std::vector<int> axes;
  if (given.empty()) {
    if (node.int_attribute("noop_with_empty_axes", 0) != 0) return std::nullopt;
    axes.resize(shape->size());
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  for (const auto axis : given) {
    const auto normal = normalize_axis(axis, shape->size());
    if (!normal) return std::nullopt;
    axes.push_back(*normal);
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

}  // namespace octet::simplification

#include <algorithm>
#include <array>
#include <cmath>

#include "passes/integer_rules.h"

namespace octet {
namespace {

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

/// What puts its constant into a value. A divisor does not.
bool takes_over_constants(const Node& node) {
  constexpr auto ops = std::to_array<std::string_view>({"Add", "Sub", "Mul", "Where"});
  return is_one_of(node, ops);
}

/// What leaves the values that it masks among the others, or only moves them.
bool hands_on(const Node& node) {
  constexpr auto ops = std::to_array<std::string_view>(
      {"Add",       "Sub",    "Mul",   "Div",   "Where",   "Min",     "Max",     "Cast",
       "Identity",  "Expand", "Tile",  "Trilu", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
       "Transpose", "Concat", "Slice", "Split", "Gather",  "Pad",     "Neg"});
  return is_one_of(node, ops);
}

bool holds_mask(const Tensor* constant) {
  if (constant == nullptr || constant->dtype() != DType::f32) return false;
  const auto values = constant->values<float>();
  return std::any_of(values.begin(), values.end(),
                     [](float value) { return std::abs(value) >= mask_limit; });
}

bool fills_with_mask(const Node& node) {
  if (!node.is("ConstantOfShape")) return false;
  const auto value = node.attributes.find("value");
  if (value == node.attributes.end()) return false;
  const auto* tensor = std::get_if<Tensor>(&value->second);
  return holds_mask(tensor);
}

}  // namespace

std::vector<bool> mask_values(const Graph& graph, const std::vector<NodeId>& order) {
  std::vector<bool> masks(graph.value_slots(), false);
  for (const auto id : order) {
    const Node& node = graph.node(id);
    const bool masked = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      if (input == ValueId::none) return false;
      return (hands_on(node) && masks[index(input)]) ||
             (takes_over_constants(node) && holds_mask(graph.constant(input)));
    });
    if (!masked && !fills_with_mask(node)) continue;
    for (const auto output : node.outputs) {
      if (output != ValueId::none) masks[index(output)] = true;
    }
  }
  return masks;
}

}  // namespace octet

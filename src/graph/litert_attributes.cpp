#include "graph/litert_attributes.h"

#include <algorithm>
#include <array>

namespace octet {

bool is_litert_attribute(std::string_view name) {
  return name == asymmetric_inputs_attribute || name == kept_float_attribute;
}

bool is_kept_float(const Node& node) {
  return node.int_attribute(std::string(kept_float_attribute), 0) != 0;
}

bool only_moves(const Node& node) {
  constexpr auto names = std::to_array<std::string_view>(
      {"Cast", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad",
       "Reshape", "Shape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
       "Unsqueeze"});
  if (!node.domain.empty()) return false;
  if (node.is("Resize")) return node.string_attribute("mode", "nearest") == "nearest";
  return std::find(names.begin(), names.end(), node.op) != names.end();
}

void keep_float(QuantizedGraph& model, NodeId id) {
  auto& graph = model.graph;
  auto& node = graph.node(id);
  if (!node.alive || only_moves(node) || node.output() == ValueId::none) return;
  const auto dtype = graph.value(node.output()).dtype;
  if (is_integer(dtype) || dtype == DType::boolean) return;
  bool any = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const auto value = node.inputs[i];
    if (value == ValueId::none || graph.value(value).is_constant()) continue;
    const auto* quantization = model.plan.find(graph, {id, static_cast<int>(i)});
    if (quantization == nullptr || is_dynamic(*quantization)) return;
    any = true;
  }
  if (any) node.attributes[std::string(kept_float_attribute)] = std::int64_t{1};
}

}  // namespace octet

#include "graph/plan.h"

#include <algorithm>
#include <array>

#include "arithmetic/quantize.h"

namespace octet {

std::string_view name(Origin origin) {
  switch (origin) {
    case Origin::observed: return "observed";
    case Origin::shared: return "shared";
    case Origin::derived: return "derived";
    case Origin::learned: return "learned";
    case Origin::fixed: return "fixed";
    case Origin::imported: return "imported";
    case Origin::dynamic: return "dynamic";
  }
  return "observed";
}

bool is_dynamic(const Quantization& quantization) { return quantization.origin == Origin::dynamic; }

Quantization dynamic_quantization() {
  return {QuantScheme{}, QuantParams{}, Origin::dynamic, DType::u8};
}

const Quantization* QuantPlan::find(ValueId id) const {
  const auto it = values.find(id);
  return it == values.end() ? nullptr : &it->second;
}

const Quantization* QuantPlan::find(const Graph& graph, const Use& use) const {
  const auto it = overrides.find(use);
  if (it != overrides.end()) return &it->second;
  const auto value = graph.node(use.node).input(static_cast<std::size_t>(use.input));
  return value == ValueId::none ? nullptr : find(value);
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

void QuantPlan::keep_float(const Graph& graph, NodeId id) {
  const auto& node = graph.node(id);
  if (!node.alive || only_moves(node)) return;
  bool any = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const auto value = node.inputs[i];
    if (value == ValueId::none || graph.value(value).is_constant()) continue;
    const auto* quantization = find(graph, {id, static_cast<int>(i)});
    if (quantization == nullptr || is_dynamic(*quantization)) return;
    any = true;
  }
  if (any) float_nodes.insert(id);
}

Result<Tensor> constant_codes(const QuantizedGraph& model, const Use& use) {
  const auto id = model.graph.node(use.node).input(static_cast<std::size_t>(use.input));
  const auto* quantization = model.plan.find(model.graph, use);
  const auto* constant = model.graph.constant(id);
  if (quantization == nullptr || constant == nullptr) {
    return internal_error("input {} of node {} is not a quantized constant", use.input,
                          model.graph.node(use.node).name);
  }
  const bool overridden = model.plan.overrides.contains(use);
  const auto payload = model.plan.payloads.find(id);
  if (!overridden && payload != model.plan.payloads.end()) return payload->second;
  const int bits = quantization->scheme.bits;
  const DType storage = bits <= 8 ? DType::i8 : bits <= 16 ? DType::i16 : DType::i32;
  return quantize(*constant, quantization->params, quantization->scheme, storage);
}

}  // namespace octet

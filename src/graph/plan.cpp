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

bool moves_codes(const QuantizedGraph& model, NodeId id) {
  constexpr auto movers = std::to_array<std::string_view>(
      {"MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
       "Concat", "Identity", "Dropout", "Slice", "DepthToSpace", "SpaceToDepth", "Relu"});
  const Node& node = model.graph.node(id);
  const auto* output = model.plan.find(node.output());
  const bool moves =
      node.domain.empty() && std::find(movers.begin(), movers.end(), node.op) != movers.end();
  if (!moves || output == nullptr) return false;
  const std::size_t data = node.is("Concat") ? node.inputs.size() : 1;
  for (std::size_t i = 0; i < data; ++i) {
    const auto* read = model.plan.find(model.graph, {id, static_cast<int>(i)});
    if (read == nullptr || read->params != output->params) return false;
  }
  return true;
}

}  // namespace octet

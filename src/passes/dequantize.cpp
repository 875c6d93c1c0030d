#include "passes/dequantize.h"

#include <algorithm>
#include <array>

#include "arithmetic/quantize.h"
#include "graph/litert_attributes.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

Status set_constants(QuantizedGraph& model) {
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    auto& attributes = model.graph.node(static_cast<NodeId>(i)).attributes;
    std::erase_if(attributes, [](const auto& entry) { return is_litert_attribute(entry.first); });
  }
  for (const auto& [id, quantization] : model.plan.values) {
    const auto payload = model.plan.payloads.find(id);
    if (payload == model.plan.payloads.end() || !model.graph.value(id).is_constant()) continue;
    OCTET_ASSIGN(model.graph.value(id).constant, dequantize(payload->second, quantization.params));
  }
  for (const auto& [use, quantization] : model.plan.overrides) {
    auto& graph = model.graph;
    const auto slot = static_cast<std::size_t>(use.input);
    const auto id = graph.node(use.node).input(slot);
    if (!graph.value(id).is_constant() || is_dynamic(quantization)) continue;
    OCTET_ASSIGN(const auto codes, constant_codes(model, use));
    OCTET_ASSIGN(auto real, dequantize(codes, quantization.params));
    graph.node(use.node).inputs[slot] = graph.add_constant(graph.value(id).name, std::move(real));
  }
  return {};
}

/// Operators that an absorbed activation can have followed.
bool may_hide_activation(const Node& node) {
  constexpr std::array<std::string_view, 5> names = {"Conv", "Gemm", "MatMul", "Add", "Mul"};
  return node.domain.empty() && std::find(names.begin(), names.end(), node.op) != names.end();
}

void restore_activations(QuantizedGraph& model) {
  Graph& graph = model.graph;
  const auto slots = graph.node_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive || !may_hide_activation(graph.node(id))) continue;
    const auto value = graph.node(id).output();
    const auto* quantization = model.plan.find(value);
    if (quantization == nullptr || quantization->params.count() != 1) continue;
    const bool starts_at_zero = quantization->params.zero_point[0] ==
                                static_cast<std::int32_t>(quantization->scheme.qmin());
    if (!starts_at_zero) continue;
    const auto high = static_cast<float>(range_maximum(quantization->params, quantization->scheme));
    // The name stays with what the codes stood for.
    Value inner;
    inner.name = graph.value(value).name + "_unlimited";
    inner.dtype = graph.value(value).dtype;
    inner.shape = graph.value(value).shape;
    inner.dim_names = graph.value(value).dim_names;
    const auto before = graph.add_value(std::move(inner));
    graph.node(id).outputs[0] = before;
    const auto name = graph.node(id).name;
    Node clip;
    clip.op = "Clip";
    clip.name = name + "_limit";
    clip.inputs = {before, graph.add_constant(name + "_min", Tensor::from<float>({0.0F}, {})),
                   graph.add_constant(name + "_max", Tensor::from<float>({high}, {}))};
    clip.outputs = {value};
    graph.add_node(std::move(clip));
  }
}

}  // namespace

Result<Graph> dequantize_model(QuantizedGraph model) {
  OCTET_TRY(set_constants(model));
  restore_activations(model);
  OCTET_TRY(infer_shapes(model.graph));
  return std::move(model.graph);
}

}  // namespace octet

#include "graph/widen.h"

#include <algorithm>

#include "graph/onnx_dtype.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

/// Attributes that hold the number of an element type in which an operator computes or answers.
bool names_type(const Node& node, std::string_view key) {
  return (node.op == "Cast" && key == "to") || key == "stash_type" ||
         ((node.op == "QuantizeLinear" || node.op == "DequantizeLinear") &&
          (key == "output_dtype" || key == "precision"));
}

bool is_half_attribute(const Node& node, const std::string& key, const Attribute& attribute) {
  if (const auto* tensor = std::get_if<Tensor>(&attribute)) return is_half(tensor->dtype());
  const auto* code = std::get_if<std::int64_t>(&attribute);
  return code != nullptr && names_type(node, key) && is_half(dtype_from_onnx(*code));
}

bool has_half_attribute(const Node& node) {
  if (!node.alive || !node.domain.empty()) return false;
  return std::any_of(node.attributes.begin(), node.attributes.end(), [&](const auto& entry) {
    return is_half_attribute(node, entry.first, entry.second);
  });
}

bool has_halves(const Graph& graph) {
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto& value = graph.value(static_cast<ValueId>(i));
    if (is_half(value.dtype) || (value.constant && is_half(value.constant->dtype()))) return true;
  }
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    if (has_half_attribute(graph.node(static_cast<NodeId>(i)))) return true;
  }
  return false;
}

Status widen_attributes(Node& node) {
  for (auto& [key, attribute] : node.attributes) {
    if (!is_half_attribute(node, key, attribute)) continue;
    if (auto* tensor = std::get_if<Tensor>(&attribute)) {
      OCTET_ASSIGN(auto wide, to_f32(*tensor));
      *tensor = std::move(wide);
    } else {
      attribute = onnx_code(DType::f32);
    }
  }
  return {};
}

ValueId add_wide_copy(Graph& graph, ValueId id) {
  Value copy;
  copy.name = graph.value(id).name + "_f32";
  copy.dtype = DType::f32;
  copy.shape = graph.value(id).shape;
  copy.dim_names = graph.value(id).dim_names;
  return graph.add_value(std::move(copy));
}

void add_cast(Graph& graph, ValueId from, ValueId to, DType dtype) {
  Node cast;
  cast.op = "Cast";
  cast.name = graph.value(to).name + "_cast";
  cast.inputs = {from};
  cast.outputs = {to};
  cast.attributes.emplace("to", onnx_code(dtype));
  graph.add_node(std::move(cast));
}

/// Nodes, but not the graph's list of outputs, read `to` in place of `from`.
void redirect_readers(Graph& graph, ValueId from, ValueId to) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  }
}

void keep_input_type(Graph& graph, ValueId id) {
  const auto wide = add_wide_copy(graph, id);
  redirect_readers(graph, id, wide);
  add_cast(graph, id, wide, DType::f32);
}

/// What makes the output makes a wide value instead, from which the output is cast.
void keep_output_type(Graph& graph, ValueId id, NodeId producer) {
  const auto wide = add_wide_copy(graph, id);
  redirect_readers(graph, id, wide);
  auto& outputs = graph.node(producer).outputs;
  std::replace(outputs.begin(), outputs.end(), id, wide);
  add_cast(graph, wide, id, graph.value(id).dtype);
}

/// A constant that is a graph output keeps its type there.
Status keep_constant_type(Graph& graph, ValueId id) {
  OCTET_ASSIGN(auto constant, to_f32(*graph.constant(id)));
  const auto wide = add_wide_copy(graph, id);
  graph.value(wide).constant = std::move(constant);
  redirect_readers(graph, id, wide);
  return {};
}

Status widen_value(Graph& graph, ValueId id) {
  auto& value = graph.value(id);
  if (value.constant && is_half(value.constant->dtype())) {
    OCTET_ASSIGN(auto wide, to_f32(*value.constant));
    value.constant = std::move(wide);
  }
  value.dtype = DType::f32;
  return {};
}

}  // namespace

Status widen_halves(Graph& graph) {
  if (!has_halves(graph)) return {};
  OCTET_TRY(infer_shapes(graph));
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (has_half_attribute(graph.node(id))) OCTET_TRY(widen_attributes(graph.node(id)));
  }
  const auto producers = graph.producers();
  const auto slots = graph.value_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!is_half(graph.value(id).dtype)) continue;
    if (graph.is_input(id)) {
      keep_input_type(graph, id);
    } else if (!graph.is_output(id)) {
      OCTET_TRY(widen_value(graph, id));
    } else if (graph.constant(id) != nullptr) {
      OCTET_TRY(keep_constant_type(graph, id));
    } else if (producers[i] != NodeId::none) {
      keep_output_type(graph, id, producers[i]);
    }
  }
  return infer_shapes(graph);
}

}  // namespace octet

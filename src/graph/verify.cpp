#include "graph/verify.h"

#include <algorithm>
#include <cmath>

#include "graph/attribute_types.h"
#include "graph/op_schema.h"

namespace octet {
namespace {

constexpr std::int64_t canonical_opset = 21;

std::string label(const Node& node) { return fmt::format("node {} ({})", node.name, node.op); }

bool in_range(const Graph& graph, ValueId id) {
  return static_cast<std::int32_t>(id) >= 0 && index(id) < graph.value_slots();
}

/// Calls fn(node) for every live node until one fails.
template <class Fn>
Status for_each_node(const Graph& graph, Fn fn) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive) OCTET_TRY(fn(node));
  }
  return {};
}

Status check_ids(const Graph& graph) {
  for (const auto& list : {graph.inputs, graph.outputs}) {
    for (const auto id : list) {
      if (!in_range(graph, id)) return internal_error("graph lists a value that does not exist");
    }
  }
  return for_each_node(graph, [&](const Node& node) -> Status {
    for (const auto& list : {node.inputs, node.outputs}) {
      for (const auto id : list) {
        if (id != ValueId::none && !in_range(graph, id)) {
          return internal_error("{} refers to a value that does not exist", label(node));
        }
      }
    }
    return {};
  });
}

/// Marks what makes each value, and fails when two things do.
Result<std::vector<bool>> check_sources(const Graph& graph) {
  std::vector<bool> made(graph.value_slots(), false);
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i] = graph.value(static_cast<ValueId>(i)).is_constant();
  }
  for (const auto id : graph.inputs) {
    if (made[index(id)]) {
      return bad_input("graph input {} is listed twice or is a constant too", graph.value(id).name);
    }
    made[index(id)] = true;
  }
  OCTET_TRY(for_each_node(graph, [&](const Node& node) -> Status {
    for (const auto id : node.outputs) {
      if (id == ValueId::none) continue;
      if (made[index(id)]) {
        return bad_input("{} makes {}, which something else makes too", label(node),
                         graph.value(id).name);
      }
      made[index(id)] = true;
    }
    return {};
  }));
  return made;
}

Status check_readers(const Graph& graph, const std::vector<bool>& made) {
  for (const auto id : graph.outputs) {
    if (!made[index(id)]) return bad_input("nothing makes graph output {}", graph.value(id).name);
  }
  return for_each_node(graph, [&](const Node& node) -> Status {
    for (const auto id : node.inputs) {
      if (id != ValueId::none && !made[index(id)]) {
        return bad_input("{} reads {}, which is neither an input, a constant, nor made by a node",
                         label(node), graph.value(id).name);
      }
    }
    return {};
  });
}

Status check_count(const Node& node, std::string_view what, const std::vector<ValueId>& list,
                   int minimum, int maximum) {
  const auto count = static_cast<int>(list.size());
  if (maximum >= 0 && count > maximum) {
    return bad_input("{} has {} {} where at most {} are allowed", label(node), count, what,
                     maximum);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(minimum); ++i) {
    if (i >= list.size() || list[i] == ValueId::none) {
      return bad_input("{} lacks {} {} of at least {}", label(node), what, i, minimum);
    }
  }
  return {};
}

Status check_known_nodes(const Graph& graph) {
  // Older opsets take fewer inputs (axes and pads were attributes); only theirs are let through.
  const auto opset = graph.opsets.find("");
  const bool canonical = opset == graph.opsets.end() || opset->second == canonical_opset;
  return for_each_node(graph, [&](const Node& node) -> Status {
    const auto* schema = find_schema(node);
    if (schema == nullptr || !canonical) return {};
    OCTET_TRY(check_count(node, "inputs", node.inputs, schema->min_inputs, schema->max_inputs));
    OCTET_TRY(check_count(node, "outputs", node.outputs, schema->min_outputs, schema->max_outputs));
    if (auto status = check_attributes(node); !status) {
      return tl::unexpected(status.error().with_context(label(node)));
    }
    return {};
  });
}

Status check_values(const Graph& graph) {
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto& value = graph.value(static_cast<ValueId>(i));
    if (!value.constant) continue;
    const auto& tensor = *value.constant;
    if (value.shape && *value.shape != tensor.shape()) {
      return bad_input("constant {} has shape {}, not {} as declared", value.name,
                       to_string(tensor.shape()), to_string(*value.shape));
    }
    if (value.dtype != DType::undefined && value.dtype != tensor.dtype()) {
      return bad_input("constant {} is {}, not {} as declared", value.name, name(tensor.dtype()),
                       name(value.dtype));
    }
  }
  return {};
}

Status check_quantization(const Value& value, const Quantization& quantization) {
  const auto& scheme = quantization.scheme;
  if (scheme.bits < 2 || scheme.bits > 64) return bad_input("{} bits", scheme.bits);
  OCTET_TRY(validate(quantization.params, scheme));
  if (!is_integer(quantization.storage) || bits(quantization.storage) < scheme.bits) {
    return bad_input("{} cannot store codes of {} bits", name(quantization.storage), scheme.bits);
  }
  const auto& params = quantization.params;
  if (!params.per_channel() || !value.shape) return {};
  if (params.axis >= static_cast<int>(value.shape->size())) {
    return bad_input("axis {} is outside shape {}", params.axis, to_string(*value.shape));
  }
  const auto extent = (*value.shape)[static_cast<std::size_t>(params.axis)];
  if (extent >= 0 && params.count() != static_cast<std::size_t>(extent)) {
    return bad_input("{} scales for axis {} of shape {}", params.count(), params.axis,
                     to_string(*value.shape));
  }
  return {};
}

Status check_dynamic(const Value& value, const Quantization& quantization) {
  if (value.is_constant()) return bad_input("a constant cannot be quantized dynamically");
  if (quantization.params != QuantParams{} || quantization.scheme != QuantScheme{}) {
    return bad_input(
        "a dynamic quantization has no params and the scheme s8 asymmetric per-tensor");
  }
  return {};
}

Status check_payload(const Value& value, const Quantization* quantization, const Tensor& codes) {
  if (!value.constant) return bad_input("codes for a value that is not constant");
  if (quantization == nullptr) return bad_input("codes without a quantization");
  const auto dtype = codes.dtype();
  if (dtype != DType::i8 && dtype != DType::i16 && dtype != DType::i32 && dtype != DType::i64) {
    return bad_input("codes of type {}", name(dtype));
  }
  if (codes.shape() != value.constant->shape()) {
    return bad_input("codes of shape {} for {}", to_string(codes.shape()),
                     to_string(value.constant->shape()));
  }
  OCTET_ASSIGN(const auto values, to_int64(codes));
  const auto& scheme = quantization->scheme;
  const auto outside = std::find_if(values.begin(), values.end(), [&](std::int64_t code) {
    return code < scheme.qmin() || code > scheme.qmax();
  });
  if (outside != values.end()) {
    return bad_input("code {} is outside [{}, {}]", *outside, scheme.qmin(), scheme.qmax());
  }
  return {};
}

Status in_context(Status status, std::string_view what, std::string_view name) {
  if (status) return status;
  return tl::unexpected(status.error().with_context(fmt::format("{} {}", what, name)));
}

Status check_coded_io(const QuantizedGraph& model) {
  for (const auto& [id, dtype] : model.plan.coded_io) {
    if (!in_range(model.graph, id)) return internal_error("a coded input or output is not there");
    const auto& name = model.graph.value(id).name;
    if (!model.graph.is_input(id) && !model.graph.is_output(id)) {
      return internal_error("{} has a type in the file but is no input or output", name);
    }
    if (model.plan.find(id) == nullptr) {
      return bad_input("{} is an integer in the file but has no quantization", name);
    }
  }
  return {};
}

/// Bounds of Clip and the padding value are often infinite on purpose.
bool may_be_infinite(const Graph& graph, const std::vector<Use>& uses) {
  return !uses.empty() && std::all_of(uses.begin(), uses.end(), [&](const Use& use) {
    const auto& node = graph.node(use.node);
    return (node.is("Clip") && use.input >= 1) || (node.is("Pad") && use.input == 2);
  });
}

Result<std::int64_t> count_non_finite(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) {
    const auto values = tensor.values<double>();
    return std::count_if(values.begin(), values.end(), [](double x) { return !std::isfinite(x); });
  }
  OCTET_ASSIGN(const auto wide, to_f32(tensor));
  const auto values = wide.values<float>();
  return std::count_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
}

}  // namespace

Status verify(const Graph& graph) {
  OCTET_TRY(check_ids(graph));
  OCTET_ASSIGN(const auto made, check_sources(graph));
  OCTET_TRY(check_readers(graph, made));
  OCTET_TRY(check_known_nodes(graph));
  OCTET_TRY(check_values(graph));
  OCTET_TRY(graph.topological_order());
  return {};
}

Status verify(const QuantizedGraph& model) {
  const auto& graph = model.graph;
  OCTET_TRY(verify(graph));
  for (const auto& [id, quantization] : model.plan.values) {
    if (!in_range(graph, id)) return internal_error("the plan quantizes a value that is not there");
    const auto& value = graph.value(id);
    OCTET_TRY(in_context(check_quantization(value, quantization), "quantization of", value.name));
  }
  for (const auto& [use, quantization] : model.plan.overrides) {
    const bool exists = static_cast<std::int32_t>(use.node) >= 0 &&
                        index(use.node) < graph.node_slots() && graph.node(use.node).alive;
    if (!exists || use.input < 0)
      return internal_error("the plan overrides a use that is not there");
    const auto& node = graph.node(use.node);
    const auto id = node.input(static_cast<std::size_t>(use.input));
    if (id == ValueId::none) {
      return internal_error("the plan overrides input {} of {}, which is absent", use.input,
                            label(node));
    }
    const auto status = is_dynamic(quantization)
                            ? check_dynamic(graph.value(id), quantization)
                            : check_quantization(graph.value(id), quantization);
    OCTET_TRY(in_context(status, "quantization at", node.name));
  }
  OCTET_TRY(check_coded_io(model));
  for (const auto& [id, codes] : model.plan.payloads) {
    if (!in_range(graph, id))
      return internal_error("the plan has codes of a value that is not there");
    OCTET_TRY(in_context(check_payload(graph.value(id), model.plan.find(id), codes), "codes of",
                         graph.value(id).name));
  }
  return {};
}

Status check_finite_constants(const Graph& graph) {
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto& value = graph.value(static_cast<ValueId>(i));
    if (!value.constant || !is_float(value.constant->dtype())) continue;
    if (may_be_infinite(graph, uses[i])) continue;
    OCTET_ASSIGN(const auto count, count_non_finite(*value.constant));
    if (count > 0) {
      return bad_input("weight {} {} holds {} of {} values that are NaN or infinite", value.name,
                       to_string(value.constant->shape()), count, value.constant->size());
    }
  }
  return {};
}

}  // namespace octet

#include "graph/dump.h"

#include <algorithm>

namespace octet {
namespace {

constexpr std::size_t listed_elements = 8;

template <class List, class Fn>
std::string join(const List& list, Fn item) {
  std::string text;
  for (const auto& element : list) {
    if (!text.empty()) text += ", ";
    text += item(element);
  }
  return text;
}

template <class List>
std::string bracketed(const List& list) {
  return fmt::format("[{}]", fmt::join(list, ","));
}

std::string type_text(DType dtype, const std::optional<Shape>& shape,
                      const std::vector<std::string>& dim_names) {
  std::string text(name(dtype));
  if (!shape) return text + " ?";
  std::vector<std::string> dims;
  for (std::size_t i = 0; i < shape->size(); ++i) {
    const bool dynamic = (*shape)[i] == dynamic_dim;
    const bool named = dynamic && i < dim_names.size() && !dim_names[i].empty();
    dims.push_back(named ? dim_names[i] : dynamic ? "?" : std::to_string((*shape)[i]));
  }
  return text + " " + bracketed(dims);
}

/// The elements of a small constant, or its extremes.
std::string constant_text(const Tensor& tensor) {
  if (tensor.dtype() == DType::string || tensor.dtype() == DType::other) return "...";
  if (tensor.size() > static_cast<std::int64_t>(listed_elements)) return "...";
  if (!is_float(tensor.dtype())) {
    const auto values = to_int64(tensor);
    return values ? bracketed(*values) : "...";
  }
  const auto values = to_f32(tensor);
  return values ? bracketed(values->values<float>()) : "...";
}

struct AttributeText {
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(float value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return "\"" + value + "\""; }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    return bracketed(values);
  }
  std::string operator()(const Tensor& value) const {
    return type_text(value.dtype(), value.shape(), {}) + " " + constant_text(value);
  }
  std::string operator()(const OpaqueAttribute& value) const {
    return fmt::format("opaque({} bytes)", value.bytes.size());
  }
};

std::string quantization_text(const Quantization& quantization) {
  const auto& params = quantization.params;
  const auto shown = std::min(params.count(), listed_elements / 2);
  const auto scales = std::vector<float>(params.scale.begin(),
                                         params.scale.begin() + static_cast<std::ptrdiff_t>(shown));
  const auto zeros = std::vector<std::int32_t>(
      params.zero_point.begin(), params.zero_point.begin() + static_cast<std::ptrdiff_t>(shown));
  const char* more = shown < params.count() ? ",..." : "";
  return fmt::format(" q({}, scale {}{}, zero {}{}, {}, {})", to_string(quantization.scheme),
                     fmt::join(scales, ","), more, fmt::join(zeros, ","), more,
                     name(quantization.storage), name(quantization.origin));
}

class Dumper {
 public:
  explicit Dumper(const QuantizedGraph& model) : model_(model), graph_(model.graph) {}

  std::string text() const {
    std::string out = fmt::format("graph {}", graph_.name);
    for (const auto& [domain, version] : graph_.opsets) {
      out += fmt::format(" opset {}{}{}", domain, domain.empty() ? "" : ":", version);
    }
    out += '\n';
    for (const auto id : graph_.inputs) out += fmt::format("input {}\n", typed(id));
    auto order = graph_.topological_order();
    if (!order) return out + order.error().message + "\n";
    for (const auto id : *order) out += line(id);
    for (const auto id : graph_.outputs) out += fmt::format("output {}\n", graph_.value(id).name);
    return out;
  }

 private:
  std::string typed(ValueId id) const {
    const auto& value = graph_.value(id);
    auto text = value.name + ": " + type_text(value.dtype, value.shape, value.dim_names);
    if (value.moments) text += fmt::format(" moments({})", value.moments->mean.size());
    if (const auto* quantization = model_.plan.find(id)) text += quantization_text(*quantization);
    return text;
  }

  std::string input_text(const Node& node, NodeId id, std::size_t i) const {
    const auto value_id = node.inputs[i];
    if (value_id == ValueId::none) return "-";
    const auto& value = graph_.value(value_id);
    auto text = value.name;
    if (value.constant) {
      text += ": " + type_text(value.constant->dtype(), value.constant->shape(), {}) + " " +
              constant_text(*value.constant);
      if (model_.plan.payloads.contains(value_id)) text += " codes";
    }
    // A made value shows its quantization where it is made; a constant has no other place.
    const auto override_at = model_.plan.overrides.find(Use{id, static_cast<int>(i)});
    const auto* quantization = override_at != model_.plan.overrides.end() ? &override_at->second
                               : value.constant ? model_.plan.find(value_id)
                                                : nullptr;
    if (quantization != nullptr) text += quantization_text(*quantization);
    return text;
  }

  std::string line(NodeId id) const {
    const auto& node = graph_.node(id);
    std::string inputs;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      inputs += (i == 0 ? "" : ", ") + input_text(node, id, i);
    }
    const auto outputs = join(node.outputs, [&](ValueId value) {
      return value == ValueId::none ? std::string("-") : typed(value);
    });
    const auto attributes = join(node.attributes, [](const auto& entry) {
      return entry.first + "=" + std::visit(AttributeText{}, entry.second);
    });
    return fmt::format("{}{}{} {}({}){}{}{} -> {}\n", node.domain,
                       node.domain.empty() ? "" : "::", node.op, node.name, inputs,
                       attributes.empty() ? "" : " {", attributes, attributes.empty() ? "" : "}",
                       outputs);
  }

  const QuantizedGraph& model_;
  const Graph& graph_;
};

}  // namespace

std::string dump(const QuantizedGraph& model) { return Dumper(model).text(); }

}  // namespace octet

#include <algorithm>
#include <cmath>

#include "formats/onnx/onnx.h"
#include "formats/onnx/qdq.h"
#include "graph/onnx_dtype.h"

namespace octet::onnx {
namespace {

// ONNX Runtime writes 16-bit Q/DQ of old opsets in its own domain, with the same meaning.
bool is_standard_or_contrib(const Node& node) {
  return node.domain.empty() || node.domain == "com.microsoft";
}
bool is_quantize(const Node& node) {
  return node.op == "QuantizeLinear" && is_standard_or_contrib(node);
}
bool is_dequantize(const Node& node) {
  return node.op == "DequantizeLinear" && is_standard_or_contrib(node);
}

/// Which integer type a Q/DQ node deals in: the zero point's, else `fallback`.
DType code_type(const Graph& graph, const Node& node, DType fallback) {
  if (const auto* zero_point = graph.constant(node.input(2))) return zero_point->dtype();
  if (node.input(2) != ValueId::none) return DType::undefined;
  return fallback;
}

/// A QuantizeLinear without zero point makes output_dtype, or u8.
DType quantize_type(const Graph& graph, const Node& node) {
  const auto output_dtype = dtype_from_onnx(node.int_attribute("output_dtype", 0));
  return code_type(graph, node, output_dtype == DType::undefined ? DType::u8 : output_dtype);
}

bool read_scales(const Tensor* scale, QuantParams& params) {
  if (scale == nullptr || scale->dtype() != DType::f32 || scale->rank() > 1) return false;
  params.scale.assign(scale->values<float>().begin(), scale->values<float>().end());
  return !params.scale.empty() && std::all_of(params.scale.begin(), params.scale.end(),
                                              [](float s) { return std::isfinite(s) && s > 0.0F; });
}

bool read_zero_points(const Graph& graph, const Node& node, DType type, QuantParams& params) {
  const auto offset = storage_offset(type);
  params.zero_point.assign(params.scale.size(), -offset);
  if (node.input(2) == ValueId::none) return true;
  const auto* tensor = graph.constant(node.input(2));
  if (tensor == nullptr || tensor->dtype() != type ||
      tensor->size() != static_cast<std::int64_t>(params.scale.size())) {
    return false;
  }
  const auto stored = to_int64(*tensor);
  if (!stored) return false;
  for (std::size_t i = 0; i < stored->size(); ++i) {
    // 32-bit codes are biases; subtracting a zero point from them could overflow.
    if (type == DType::i32 && (*stored)[i] != 0) return false;
    params.zero_point[i] = static_cast<std::int32_t>((*stored)[i]) - offset;
  }
  return true;
}

/// Finds the channel axis; false when it does not fit. `shape` may be null (unknown).
bool read_axis(const Graph& graph, const Node& node, const Shape* shape, QuantParams& params) {
  if (graph.constant(node.input(1))->rank() == 0) return true;
  const auto written = node.int_attribute("axis", 1);
  if (shape == nullptr) {
    if (params.scale.size() == 1) return true;
    params.axis = static_cast<int>(std::clamp<std::int64_t>(written, -1, 1 << 16));
    return written >= 0;
  }
  const auto axis = normalize_axis(written, shape->size());
  if (params.scale.size() == 1) {
    // Many writers give one scale for the whole tensor as a list of one.
    const bool one_channel =
        node.attributes.contains("axis") && axis && (*shape)[static_cast<std::size_t>(*axis)] == 1;
    if (one_channel) params.axis = *axis;
    return true;
  }
  if (!axis) return false;
  const auto extent = (*shape)[static_cast<std::size_t>(*axis)];
  params.axis = *axis;
  return extent == dynamic_dim || extent == static_cast<std::int64_t>(params.scale.size());
}

QuantScheme scheme_of(const QuantParams& params, DType type) {
  QuantScheme scheme;
  scheme.bits = bits(type);
  const bool symmetric = std::all_of(params.zero_point.begin(), params.zero_point.end(),
                                     [](std::int32_t zero) { return zero == 0; });
  scheme.symmetry = symmetric ? Symmetry::symmetric : Symmetry::asymmetric;
  if (params.per_channel()) {
    scheme.granularity = Granularity::per_channel;
    scheme.axis = params.axis;
  }
  return scheme;
}

/// The quantization that a Q or DQ node states, or nullopt when octet's plan cannot express it
/// (blocked, float8, parameters that are not constant, scales that are no positive f32).
std::optional<Quantization> read_quantization(const Graph& graph, const Node& node, DType type,
                                              const Shape* shape) {
  if (!is_code_type(type) || node.int_attribute("block_size", 0) != 0) return std::nullopt;
  if (is_dequantize(node)) {
    const auto real = dtype_from_onnx(node.int_attribute("output_dtype", 0));
    if (real != DType::undefined && real != DType::f32) return std::nullopt;
  }
  Quantization out;
  out.origin = Origin::imported;
  out.storage = type;
  if (!read_scales(graph.constant(node.input(1)), out.params)) return std::nullopt;
  if (!read_zero_points(graph, node, type, out.params)) return std::nullopt;
  if (!read_axis(graph, node, shape, out.params)) return std::nullopt;
  out.scheme = scheme_of(out.params, type);
  return out;
}

class Importer {
 public:
  explicit Importer(Graph graph) : uses_(graph.uses()) { model_.graph = std::move(graph); }

  Result<QuantizedGraph> run() {
    OCTET_TRY(absorb_integer_operators(model_));
    uses_ = model_.graph.uses();
    OCTET_TRY(absorb_constants());
    absorb_dynamic_pairs(model_);
    uses_ = model_.graph.uses();
    OCTET_TRY(absorb_pairs());
    join_swish(model_);
    return std::move(model_);
  }

 private:
  /// QuantizeLinear and the DequantizeLinear nodes behind it.
  struct Pair {
    NodeId quantize;
    std::vector<NodeId> dequantize;
    Quantization quantization;
  };
  /// A value with what its readers see through Q/DQ pairs.
  struct Enclosed {
    std::vector<Pair> pairs;
  };

  Status absorb_constants();
  Status absorb_constant(ValueId integer, const std::vector<NodeId>& nodes);
  std::vector<Use> uses_of(ValueId id) const { return uses_[index(id)]; }

  Status absorb_pairs();
  std::optional<Pair> find_pair(NodeId quantize) const;
  void absorb(ValueId value, Enclosed& enclosed);
  void drop_output_pair(ValueId value, Enclosed& enclosed, const std::vector<Use>& direct) const;
  void remove(ValueId value, const Pair& pair);
  bool leads_to_output(const Pair& pair) const;

  QuantizedGraph model_;
  std::vector<std::vector<Use>> uses_;
  std::map<ValueId, ValueId> enclosed_by_;  ///< DQ output of a found pair -> value it encloses
};

/// The readers of an integer constant. When all are the same DequantizeLinear, the constant itself
/// becomes the float weight; otherwise each DequantizeLinear output does.
Status Importer::absorb_constant(ValueId integer, const std::vector<NodeId>& nodes) {
  auto& graph = model_.graph;
  const auto stored = *graph.constant(integer);
  const auto shape = stored.shape();
  std::vector<std::pair<NodeId, Quantization>> found;
  for (const auto id : nodes) {
    const auto& node = graph.node(id);
    if (code_type(graph, node, stored.dtype()) != stored.dtype()) continue;
    auto quantization = read_quantization(graph, node, stored.dtype(), &shape);
    if (quantization && node.output() != ValueId::none) found.emplace_back(id, *quantization);
  }
  if (found.empty()) return {};
  const auto codes = codes_from_storage(stored);
  const bool alone = std::all_of(found.begin(), found.end(), [&](const auto& entry) {
    return same_numbers(entry.second, found.front().second) &&
           !graph.is_output(graph.node(entry.first).output());
  });
  if (alone && found.size() == uses_of(integer).size() && !graph.is_output(integer)) {
    for (const auto& [id, quantization] : found) {
      graph.replace_uses(graph.node(id).output(), integer);
      graph.remove_node(id);
    }
    return set_coded_constant(model_, integer, codes, found.front().second);
  }
  for (const auto& [id, quantization] : found) {
    OCTET_TRY(set_coded_constant(model_, graph.node(id).output(), codes, quantization));
    graph.remove_node(id);
  }
  return {};
}

Status Importer::absorb_constants() {
  auto& graph = model_.graph;
  std::map<ValueId, std::vector<NodeId>> readers;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || !is_dequantize(node)) continue;
    const auto* constant = graph.constant(node.input(0));
    if (constant == nullptr || !is_code_type(constant->dtype())) continue;
    readers[node.input(0)].push_back(static_cast<NodeId>(i));
  }
  for (const auto& [integer, nodes] : readers) OCTET_TRY(absorb_constant(integer, nodes));
  return {};
}

std::optional<Importer::Pair> Importer::find_pair(NodeId quantize) const {
  const auto& graph = model_.graph;
  const auto& node = graph.node(quantize);
  const auto value = node.input(0);
  const auto integer = node.output();
  if (value == ValueId::none || integer == ValueId::none || graph.is_output(integer)) {
    return std::nullopt;
  }
  const auto& shape = graph.value(value).shape;
  const auto* known_shape = shape ? &*shape : nullptr;
  const auto type = quantize_type(graph, node);
  const auto quantization = read_quantization(graph, node, type, known_shape);
  if (!quantization || type == DType::i32) return std::nullopt;
  Pair pair{quantize, {}, *quantization};
  for (const auto& use : uses_of(integer)) {
    const auto& reader = graph.node(use.node);
    if (!is_dequantize(reader) || use.input != 0 || reader.output() == ValueId::none) {
      return std::nullopt;
    }
    const auto other =
        read_quantization(graph, reader, code_type(graph, reader, type), known_shape);
    if (!other || !same_numbers(*other, *quantization)) return std::nullopt;
    pair.dequantize.push_back(use.node);
  }
  if (pair.dequantize.empty()) return std::nullopt;
  return pair;
}

bool Importer::leads_to_output(const Pair& pair) const {
  return std::any_of(pair.dequantize.begin(), pair.dequantize.end(), [&](NodeId id) {
    return model_.graph.is_output(model_.graph.node(id).output());
  });
}

/// A pair that leads to a graph output can go only when the enclosed value may become that output:
/// one output, no reader that needs the value in float.
void Importer::drop_output_pair(ValueId value, Enclosed& enclosed,
                                const std::vector<Use>& direct) const {
  const auto& graph = model_.graph;
  int outputs = 0;
  for (const auto& pair : enclosed.pairs) {
    for (const auto id : pair.dequantize) outputs += graph.is_output(graph.node(id).output());
  }
  const bool movable = outputs <= 1 && direct.empty() && !graph.is_input(value) &&
                       !graph.is_output(value) && !graph.value(value).is_constant();
  if (movable) return;
  std::erase_if(enclosed.pairs, [&](const Pair& pair) { return leads_to_output(pair); });
}

/// Makes the readers behind the pair read the value itself.
void Importer::remove(ValueId value, const Pair& pair) {
  auto& graph = model_.graph;
  for (const auto id : pair.dequantize) {
    const auto output = graph.node(id).output();
    for (const auto& use : uses_of(output)) {
      graph.node(use.node).inputs[static_cast<std::size_t>(use.input)] = value;
    }
    if (graph.is_output(output)) {
      const auto name = graph.value(output).name;
      // Both names are free: `output` gets one nobody uses, `value` takes the graph output's.
      static_cast<void>(
          graph.rename_value(output, graph.unique_value_name(name + "_dequantized")).has_value());
      static_cast<void>(graph.rename_value(value, name).has_value());
      std::replace(graph.outputs.begin(), graph.outputs.end(), output, value);
      auto& target = graph.value(value);
      if (!target.shape) {
        target.shape = graph.value(output).shape;
        target.dim_names = graph.value(output).dim_names;
      }
      if (target.dtype == DType::undefined) target.dtype = graph.value(output).dtype;
    }
    graph.remove_node(id);
  }
  graph.remove_node(pair.quantize);
}

void Importer::absorb(ValueId value, Enclosed& enclosed) {
  auto& graph = model_.graph;
  std::vector<Use> direct;
  const auto find_direct = [&] {
    direct.clear();
    for (const auto& use : uses_of(value)) {
      const bool paired = std::any_of(enclosed.pairs.begin(), enclosed.pairs.end(),
                                      [&](const Pair& p) { return p.quantize == use.node; });
      if (!paired) direct.push_back(use);
    }
  };
  find_direct();
  drop_output_pair(value, enclosed, direct);
  if (enclosed.pairs.empty()) return;
  find_direct();
  // The pair at the graph output decides for the value; else the first one.
  const auto at_output = std::find_if(enclosed.pairs.begin(), enclosed.pairs.end(),
                                      [&](const Pair& pair) { return leads_to_output(pair); });
  const auto main = at_output == enclosed.pairs.end() ? enclosed.pairs.begin() : at_output;
  const auto main_quantization = main->quantization;
  const bool whole = direct.empty() && !graph.is_output(value);
  for (const auto& pair : enclosed.pairs) {
    const bool follows_value = whole && same_numbers(pair.quantization, main_quantization);
    if (!follows_value) {
      for (const auto id : pair.dequantize) {
        for (const auto& use : uses_of(graph.node(id).output())) {
          model_.plan.overrides[use] = pair.quantization;
        }
      }
    }
    remove(value, pair);
  }
  if (whole) model_.plan.values[value] = main_quantization;
}

Status Importer::absorb_pairs() {
  auto& graph = model_.graph;
  OCTET_ASSIGN(const auto order, graph.topological_order());
  std::map<ValueId, Enclosed> values;
  for (const auto id : order) {
    if (!is_quantize(graph.node(id))) continue;
    auto pair = find_pair(id);
    if (!pair) continue;
    const auto value = graph.node(id).input(0);
    // Quantizing what was just dequantized would round twice: the second pair stays.
    if (enclosed_by_.contains(value)) continue;
    for (const auto node : pair->dequantize) enclosed_by_[graph.node(node).output()] = value;
    values[value].pairs.push_back(std::move(*pair));
  }
  for (auto& [value, enclosed] : values) absorb(value, enclosed);
  return {};
}

}  // namespace

Result<QuantizedGraph> absorb_qdq(Graph graph) { return Importer(std::move(graph)).run(); }

}  // namespace octet::onnx

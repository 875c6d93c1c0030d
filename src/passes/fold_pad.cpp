#include <algorithm>

#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// Well below what a Conv accepts (see spatial.h).
constexpr std::int64_t pad_limit = std::int64_t{1} << 20;

/// Pads of the spatial dimensions only: begin then end, as Conv's attribute has them.
std::optional<std::vector<std::int64_t>> spatial_zero_pads(const Graph& graph, const Node& node,
                                                           std::size_t rank) {
  if (node.string_attribute("mode", "constant") != "constant" || rank < 3) return std::nullopt;
  if (node.input(2) != ValueId::none) {
    const auto* value = f32_constant(graph, node, 2);
    if (value == nullptr || value->size() != 1 || value->data<float>()[0] != 0) return std::nullopt;
  }
  const auto* constant = graph.constant(node.input(1));
  if (constant == nullptr) return std::nullopt;
  const auto given = to_int64(*constant);
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (node.input(3) != ValueId::none) {
    const auto* list = graph.constant(node.input(3));
    if (list == nullptr) return std::nullopt;
    const auto values = to_int64(*list);
    if (!values) return std::nullopt;
    axes = *values;
  }
  if (!given || given->size() != 2 * axes.size()) return std::nullopt;
  const auto spatial = rank - 2;
  std::vector<std::int64_t> pads(2 * spatial, 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = normalize_axis(axes[i], rank);
    const auto begin = (*given)[i];
    const auto end = (*given)[i + axes.size()];
    if (!axis || begin < 0 || end < 0) return std::nullopt;
    if (*axis < 2) {
      if (begin != 0 || end != 0) return std::nullopt;
      continue;
    }
    pads[static_cast<std::size_t>(*axis) - 2] = begin;
    pads[static_cast<std::size_t>(*axis) - 2 + spatial] = end;
  }
  return pads;
}

/// Own pads of a node plus `added`; nullopt when its padding depends on its input's size.
std::optional<std::vector<std::int64_t>> summed_pads(const Node& node,
                                                     const std::vector<std::int64_t>& added) {
  const auto mode = node.string_attribute("auto_pad", "NOTSET");
  if (mode != "NOTSET" && mode != "VALID") return std::nullopt;
  auto pads = node.ints_attribute("pads");
  if (mode == "VALID" || pads.empty()) pads.assign(added.size(), 0);
  if (pads.size() != added.size()) return std::nullopt;
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (added[i] > pad_limit) return std::nullopt;
    pads[i] += added[i];
    if (pads[i] > pad_limit) return std::nullopt;
  }
  return pads;
}

bool is_zero(const std::vector<std::int64_t>& pads) {
  return std::all_of(pads.begin(), pads.end(), [](auto pad) { return pad == 0; });
}

/// Whether zeros that the pool pads with itself count like zeros in its input.
bool pool_counts_zeros(const Node& node, const std::vector<std::int64_t>& pads) {
  const bool padded = node.string_attribute("auto_pad", "NOTSET") != "VALID" &&
                      !is_zero(node.ints_attribute("pads"));
  if (padded && node.int_attribute("count_include_pad", 0) == 0) return false;
  if (node.int_attribute("ceil_mode", 0) != 0) return false;
  const auto kernel = node.ints_attribute("kernel_shape");
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= kernel[i % kernel.size()]) return false;
  }
  return true;
}

bool absorb(Graph& graph, NodeId reader, ValueId padded, ValueId source,
            const std::vector<std::int64_t>& added) {
  auto& node = graph.node(reader);
  const bool pools = node.is("AveragePool");
  if ((!pools && !node.is("Conv")) || node.input(0) != padded) return false;
  const auto pads = summed_pads(node, added);
  if (!pads || (pools && !pool_counts_zeros(node, *pads))) return false;
  node.inputs[0] = source;
  node.attributes["pads"] = *pads;
  node.attributes.erase("auto_pad");
  if (pools) node.attributes["count_include_pad"] = std::int64_t{1};
  return true;
}

}  // namespace

Result<int> fold_pad(Graph& graph) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    const auto& node = graph.node(id);
    if (!node.is("Pad")) continue;
    const auto source = node.input(0);
    const auto padded = node.output();
    const auto& shape = graph.value(source).shape;
    if (!shape || graph.value(source).dtype != DType::f32) continue;
    const auto added = spatial_zero_pads(graph, node, shape->size());
    if (!added) continue;
    const auto readers = graph.uses()[index(padded)];
    for (const auto& use : readers) {
      if (absorb(graph, use.node, padded, source, *added)) ++changes;
    }
  }
  return changes;
}

}  // namespace octet::simplification

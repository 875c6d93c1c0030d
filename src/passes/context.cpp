#include <algorithm>

#include "graph/shape_inference.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet {

QuantScheme PassContext::activation_scheme() const { return target.activation; }

DType PassContext::activation_storage() const {
  return options.activation_storage.value_or(target.activation_storage);
}

QuantScheme PassContext::weight_scheme(NodeId id) const {
  const Node& node = model.graph.node(id);
  // Along an axis of a grouped ConvTranspose lie the channels of one group: what shares an index
  // has little in common.
  const bool grouped = node.is("ConvTranspose") && node.int_attribute("group", 1) != 1;
  auto scheme = weight_scheme(grouped ? -1 : output_channel_axis(node));
  if (index(id) < layer_bits.size() && layer_bits[index(id)] > 0) {
    scheme.bits = std::min(layer_bits[index(id)], options.reduce_range ? 7 : 8);
  }
  const bool one_scale = node.is("Gemm") && target.gemm_weight == Granularity::per_tensor;
  if (one_scale && !options.weight_granularity) {
    scheme.granularity = Granularity::per_tensor;
    scheme.axis = 0;
  }
  return scheme;
}

QuantScheme PassContext::weight_scheme(int axis) const {
  auto scheme = target.weight;
  scheme.bits = options.reduce_range ? std::min(options.weight_bits, 7) : options.weight_bits;
  scheme.granularity =
      axis < 0 ? Granularity::per_tensor : options.weight_granularity.value_or(scheme.granularity);
  scheme.axis = scheme.granularity == Granularity::per_channel ? axis : 0;
  return scheme;
}

std::vector<NodeId> PassContext::accumulate_nodes() const {
  std::vector<NodeId> ids;
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    if (placement.kinds[i] == IntegerKind::accumulate) ids.push_back(static_cast<NodeId>(i));
  }
  return ids;
}

std::optional<Use> PassContext::bias_of(NodeId id) const {
  const Graph& graph = model.graph;
  if (graph.node(id).input(2) != ValueId::none) return Use{id, 2};
  if (!graph.node(id).is("MatMul")) return std::nullopt;
  const auto readers = graph.uses()[index(graph.node(id).output())];
  if (readers.size() != 1 || index(readers[0].node) >= placement.kinds.size()) return std::nullopt;
  if (placement.kinds[index(readers[0].node)] != IntegerKind::bias) return std::nullopt;
  return Use{readers[0].node, 1 - readers[0].input};
}

Status passes::place(PassContext& context) {
  OCTET_TRY(infer_shapes(context.model.graph));
  OCTET_ASSIGN(context.placement,
               octet::place(context.model.graph, context.target, context.options));
  describe_placement(context.model.graph, context.placement, context.report);
  return {};
}

}  // namespace octet

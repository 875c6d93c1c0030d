#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "graph/shape_inference.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet {

QuantScheme PassContext::activation_scheme(std::optional<int> bits) const {
  QuantScheme scheme = target.activation;
  scheme.bits = bits.value_or(std::max(scheme.bits, 8));
  return scheme;
}

DType PassContext::activation_storage() const {
  return options.activation_storage.value_or(target.activation_storage);
}

QuantScheme PassContext::activation_scheme(ValueId value) const {
  auto scheme = activation_scheme();
  if (placement.wide[index(value)]) scheme.bits = 16;
  return scheme;
}

DType PassContext::activation_storage(ValueId value) const {
  const auto storage = activation_storage();
  if (!placement.wide[index(value)]) return storage;
  return storage == DType::u8 ? DType::u16 : DType::i16;
}

bool PassContext::reads_wide(NodeId id) const {
  if (target.activation.bits > 8) return true;
  const auto* input = model.plan.find(model.graph, {id, 0});
  return input != nullptr && input->scheme.bits > 8;
}

QuantScheme PassContext::weight_scheme(NodeId id) const {
  const Node& node = model.graph.node(id);
  // Along an axis of a grouped ConvTranspose lie the channels of one group: what shares an index
  // has little in common.
  const bool grouped = node.is("ConvTranspose") && node.int_attribute("group", 1) != 1;
  auto scheme = weight_scheme(grouped ? -1 : output_channel_axis(node));
  scheme.bits = weight_bits(id);
  // A narrow range would leave three of four codes.
  if (scheme.bits == 2) scheme.range = CodeRange::full;
  const bool one_scale = node.is("Gemm") && target.gemm_weight == Granularity::per_tensor;
  if (one_scale && !options.weight_granularity) {
    scheme.granularity = Granularity::per_tensor;
    scheme.axis = 0;
  }
  return scheme;
}

QuantScheme PassContext::weight_scheme(int axis) const {
  auto scheme = target.weight;
  scheme.bits = std::min(options.weight_bits, options.reduce_range ? 7 : 8);
  scheme.granularity =
      axis < 0 ? Granularity::per_tensor : options.weight_granularity.value_or(scheme.granularity);
  scheme.axis = scheme.granularity == Granularity::per_channel ? axis : 0;
  return scheme;
}

int PassContext::weight_bits(NodeId id) const {
  const int wanted = index(id) < layer_bits.size() ? layer_bits[index(id)].weights : 0;
  return std::min(wanted > 0 ? wanted : options.weight_bits, options.reduce_range ? 7 : 8);
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

namespace {

/// A microcontroller pays for each float kernel, where the runtime has one at all.
void note_operators(PassContext& context) {
  std::set<std::string> floats;
  for (const auto& node : context.report.float_nodes) floats.insert(node.op);
  if (!floats.empty()) {
    context.report.notes.push_back(
        fmt::format("operators that stay float, between DEQUANTIZE and QUANTIZE: {}; TFLite-Micro "
                    "needs float kernels for them",
                    fmt::join(floats, ", ")));
  }
  std::set<std::string> doubtful;
  for (std::size_t i = 0; i < context.placement.kinds.size(); ++i) {
    const auto& op = context.model.graph.node(static_cast<NodeId>(i)).op;
    const auto& known = context.target.doubtful;
    const bool named = std::find(known.begin(), known.end(), op) != known.end();
    if (context.placement.kinds[i] && named) doubtful.insert(op);
  }
  if (doubtful.empty()) return;
  context.report.notes.push_back(fmt::format(
      "operators that TFLite-Micro has no integer kernel for: {}", fmt::join(doubtful, ", ")));
}

}  // namespace

Status passes::place(PassContext& context) {
  OCTET_TRY(infer_shapes(context.model.graph));
  OCTET_ASSIGN(context.placement,
               octet::place(context.model.graph, context.target, context.options));
  describe_placement(context.model.graph, context.placement, context.report);
  if (context.target.micro) note_operators(context);
  return {};
}

}  // namespace octet

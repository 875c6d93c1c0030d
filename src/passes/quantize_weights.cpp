#include <algorithm>
#include <cmath>

#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/layer_bits.h"
#include "passes/passes.h"
#include "passes/weight_range.h"

namespace octet {

ValueId own_constant(Graph& graph, const Use& use) {
  const auto input = static_cast<std::size_t>(use.input);
  const auto id = graph.node(use.node).input(input);
  std::size_t readers = graph.is_output(id) ? 1 : 0;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    readers += static_cast<std::size_t>(std::count(node.inputs.begin(), node.inputs.end(), id));
  }
  if (readers <= 1) return id;
  const auto copy = graph.add_constant(graph.value(id).name, *graph.value(id).constant);
  graph.node(use.node).inputs[input] = copy;
  return copy;
}

namespace {

/// Symmetric params. A channel of zeros takes the largest scale of the others, so that its
/// bias has about the resolution of theirs; `dead` counts such channels.
QuantParams weight_params(const Tensor& weight, const QuantScheme& scheme, WeightObserver observer,
                          int& dead) {
  const bool per_channel = scheme.granularity == Granularity::per_channel;
  QuantParams params;
  params.axis = per_channel ? scheme.axis : -1;
  const auto ranges = weight_ranges(weight, params.axis, scheme, observer);
  const float widest = *std::max_element(ranges.begin(), ranges.end());
  dead = 0;
  for (const float own : ranges) {
    const float range = own > 0 ? own : widest > 0 ? widest : 1.0F;
    dead += own > 0 ? 0 : 1;
    const auto channel =
        params_from_range(-static_cast<double>(range), static_cast<double>(range), scheme);
    params.scale.push_back(channel.scale[0]);
    params.zero_point.push_back(0);
  }
  return params;
}

/// Whether the file keeps the weight that `use` reads two codes to a byte. LiteRT has such kernels
/// for convolutions and FULLY_CONNECTED; depthwise weights are few.
bool is_packed(const PassContext& context, const Use& use, const QuantScheme& scheme) {
  const auto slot = index(use.node);
  const bool narrow = slot < context.layer_bits.size() && context.layer_bits[slot].narrow;
  if ((context.options.weights != WeightType::int4 && !narrow) || scheme.bits > 4) return false;
  const Graph& graph = context.model.graph;
  const Node& node = graph.node(use.node);
  return !context.target.litert || node.is("Gemm") ||
         (node.is("Conv") && !is_depthwise(graph, node));
}

/// Whether all readers of a weight would quantize it alike.
bool same_for_all_readers(const PassContext& context, const std::vector<Use>& readers,
                          const Use& use, const QuantScheme& scheme) {
  return std::all_of(readers.begin(), readers.end(), [&](const Use& reader) {
    if (reader == use) return true;
    return index(reader.node) < context.placement.kinds.size() &&
           context.placement.kinds[index(reader.node)] == IntegerKind::accumulate &&
           reader.input == 1 && context.weight_scheme(reader.node) == scheme;
  });
}

}  // namespace

Status quantize_weight(PassContext& context, const Use& use, const QuantScheme& scheme) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  auto weight = graph.node(use.node).input(static_cast<std::size_t>(use.input));
  const auto readers = graph.uses()[index(weight)];
  if (graph.is_output(weight) || !same_for_all_readers(context, readers, use, scheme)) {
    weight = own_constant(graph, use);
  }
  if (plan.values.contains(weight)) return {};
  int dead = 0;
  const Tensor& values = *graph.constant(weight);
  auto params = weight_params(values, scheme, context.options.weight_observer, dead);
  OCTET_ASSIGN(auto codes, quantize(values, params, scheme, DType::i8));
  if (dead > 0) {
    context.report.notes.push_back(fmt::format(
        "node {}: {} of {} output channels have only zero weights; they take the largest scale",
        graph.node(use.node).name, dead, params.count()));
  }
  plan.values[weight] = {
      scheme, std::move(params), Origin::observed,
      is_packed(context, use, scheme) ? DType::i4 : context.target.weight_storage};
  plan.payloads[weight] = std::move(codes);
  return {};
}

namespace passes {
namespace {

/// A constant operand of Add or Mul is quantized by its own range; one of Concat or Gather has the
/// params of the result.
Status quantize_operand(PassContext& context, const Use& use) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const auto id = own_constant(graph, use);
  const Tensor& values = *graph.constant(id);
  if (!plan.values.contains(id)) {
    const auto [low, high] =
        std::minmax_element(values.values<float>().begin(), values.values<float>().end());
    const auto scheme = context.activation_scheme();
    plan.values[id] = {
        scheme, params_from_range(static_cast<double>(*low), static_cast<double>(*high), scheme),
        Origin::observed, context.activation_storage()};
  }
  const auto& quantization = plan.values.at(id);
  OCTET_ASSIGN(plan.payloads[id], quantize(values, quantization.params, quantization.scheme,
                                           code_type(quantization.scheme)));
  return {};
}

}  // namespace

Status quantize_weights(PassContext& context) {
  for (const auto id : context.accumulate_nodes()) {
    OCTET_TRY(quantize_weight(context, {id, 1}, context.weight_scheme(id)));
  }
  // Before biases are corrected for the codes of the weights, with room for what that changes.
  for (const auto id : context.accumulate_nodes()) {
    OCTET_TRY(make_accumulator_room(context, id, correction_reserve));
  }
  const Graph& graph = context.model.graph;
  for (std::size_t i = 0; i < context.placement.kinds.size(); ++i) {
    const auto kind = context.placement.kinds[i];
    if (!kind || *kind == IntegerKind::accumulate || *kind == IntegerKind::bias) continue;
    const auto id = static_cast<NodeId>(i);
    for (const int input : data_inputs(graph, graph.node(id))) {
      const auto value = graph.node(id).input(static_cast<std::size_t>(input));
      if (graph.constant(value) != nullptr) OCTET_TRY(quantize_operand(context, {id, input}));
    }
    if (context.target.coded_slopes && graph.node(id).is("PRelu")) {
      OCTET_TRY(quantize_operand(context, {id, 1}));
    }
  }
  return {};
}

}  // namespace passes
}  // namespace octet

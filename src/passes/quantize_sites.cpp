#include <algorithm>

#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/layer_bits.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

/// A table by its own range, and the rows that are looked up by the same params: what reads them
/// sees the same numbers, and a runtime can look up the codes.
Status quantize_table(PassContext& context, const Use& use) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const auto table = own_constant(graph, use);
  const Tensor& values = *graph.constant(table);
  const auto [low, high] =
      std::minmax_element(values.values<float>().begin(), values.values<float>().end());
  auto scheme = context.activation_scheme();
  scheme.bits = context.options.weight_bits;
  const Quantization quantization{
      scheme, params_from_range(static_cast<double>(*low), static_cast<double>(*high), scheme),
      Origin::observed, context.activation_storage()};
  OCTET_ASSIGN(plan.payloads[table], quantize(values, quantization.params, scheme, DType::i8));
  plan.values[table] = quantization;
  auto& rows = plan.values[graph.node(use.node).output()];
  rows = quantization;
  rows.origin = Origin::shared;
  return {};
}

/// LiteRT's hybrid kernels for depthwise and grouped convolutions read a scale for each channel.
QuantScheme site_scheme(PassContext& context, const WeightSite& site) {
  auto scheme = context.weight_scheme(site.axis);
  const Node& node = context.model.graph.node(site.use.node);
  if (site.use.input == 1) scheme.bits = context.weight_bits(site.use.node);
  const bool grouped = node.is("Conv") && node.int_attribute("group", 1) > 1;
  const bool needs_channels = site.dynamic && context.target.litert && grouped;
  if (!needs_channels || scheme.granularity == Granularity::per_channel) return scheme;
  context.report.notes.push_back(
      fmt::format("node {}: its weights have scales per channel, LiteRT has no dynamic "
                  "convolution with groups and one",
                  node.name));
  scheme.granularity = Granularity::per_channel;
  scheme.axis = site.axis;
  return scheme;
}

}  // namespace

Status quantize_sites(PassContext& context) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const bool dynamic = context.options.method == Method::dynamic;
  for (const auto& site : context.sites) {
    if (dynamic && graph.node(site.use.node).is("Gather")) {
      OCTET_TRY(quantize_table(context, site.use));
      continue;
    }
    OCTET_TRY(quantize_weight(context, site.use, site_scheme(context, site)));
    if (!site.dynamic) continue;
    OCTET_TRY(make_accumulator_room(context, site.use.node, 0));
    plan.overrides[{site.use.node, 0}] = dynamic_quantization();
    const bool integer_conv = !context.target.litert && graph.node(site.use.node).is("Conv") &&
                              context.options.dynamic_form == DynamicForm::integer_operators;
    // ONNX Runtime before 1.2x has ConvInteger for unsigned weights only.
    if (integer_conv) plan.values.at(graph.node(site.use.node).input(1)).storage = DType::u8;
  }
  return {};
}

}  // namespace octet::passes

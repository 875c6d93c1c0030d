#include "arithmetic/bias.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

Status state_bias(PassContext& context, NodeId id, const Use& use, float input_scale) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const QuantParams& weight = plan.values.at(graph.node(id).input(1)).params;
  const auto value = own_constant(graph, use);
  const Tensor& bias = *graph.constant(value);
  QuantParams params;
  params.axis = weight.per_channel() ? bias.rank() - 1 : -1;
  for (const float scale : weight.scale) {
    params.scale.push_back(input_scale * scale);
    params.zero_point.push_back(0);
  }
  const bool wide = context.target.activation.bits > 8;
  QuantScheme scheme{wide ? 64 : 32, Symmetry::symmetric, Granularity::per_tensor, 0,
                     CodeRange::full};
  if (params.per_channel()) {
    scheme.granularity = Granularity::per_channel;
    scheme.axis = params.axis;
  }
  OCTET_TRY(validate(params, scheme));
  auto codes = quantize_bias(bias, params, wide ? BiasWidth::int64 : BiasWidth::int32);
  plan.values[value] = {scheme, std::move(params), Origin::derived, codes.dtype()};
  plan.payloads[value] = std::move(codes);
  return {};
}

}  // namespace

Status derive_bias(PassContext& context) {
  const Graph& graph = context.model.graph;
  for (const auto id : context.accumulate_nodes()) {
    // Room was made when the weights were quantized, but bias correction has moved the bias since.
    OCTET_TRY(make_accumulator_room(context, id, 0));
    const auto bias = context.bias_of(id);
    if (!bias || context.target.float_bias) continue;
    const float input_scale = context.model.plan.find(graph, {id, 0})->params.scale[0];
    if (auto status = state_bias(context, id, *bias, input_scale); !status) {
      return tl::unexpected(
          status.error().with_context(fmt::format("bias of node {}", graph.node(id).name)));
    }
  }
  return {};
}

}  // namespace octet::passes

namespace octet {

Result<QuantizedGraph> with_bias_codes(const PassContext& context) {
  QuantizeReport report;
  PassContext copy{context.model,   context.options, context.target,
                   context.sources, report,          context.placement};
  copy.rounded = context.rounded;
  OCTET_TRY(passes::derive_bias(copy));
  return std::move(copy.model);
}

}  // namespace octet

#include "arithmetic/quantize.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

constexpr double bias_limit = 0x1.fffffffcp30;
/// What the 16x8 kernels of TFLite-Micro and CMSIS-NN take: 48 bits.
constexpr double wide_bias_limit = 0x1.0p47 - 1;

template <class Code>
Tensor bias_codes(const Tensor& bias, const QuantParams& params, DType type, double limit) {
  Tensor codes(type, bias.shape());
  auto* out = codes.mutable_data<Code>();
  const auto values = bias.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    // In double: a bias code has more digits than f32.
    const double scale = static_cast<double>(params.scale[params.per_channel() ? i : 0]);
    const double code = round_half_even(static_cast<double>(values[i]) / scale);
    out[i] = static_cast<Code>(saturate(code, -limit, limit));
  }
  return codes;
}

Status quantize_bias(PassContext& context, NodeId id, const Use& use, float input_scale) {
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
  auto codes = wide ? bias_codes<std::int64_t>(bias, params, DType::i64, wide_bias_limit)
                    : bias_codes<std::int32_t>(bias, params, DType::i32, bias_limit);
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
    const float input_scale = context.model.plan.values.at(graph.node(id).input(0)).params.scale[0];
    if (auto status = quantize_bias(context, id, *bias, input_scale); !status) {
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

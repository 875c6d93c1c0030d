#include <algorithm>
#include <cmath>

#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

/// Largest |bias code|: leaves the other half of int32 to the products.
constexpr double bias_limit = 0x1.0p30;

/// The weight scale of a channel below which its bias code would exceed the limit.
double least_scale(float bias, float input_scale) {
  return std::abs(static_cast<double>(bias)) / (static_cast<double>(input_scale) * bias_limit);
}

/// Raises scales that are too small for the bias; returns how many.
int raise_scales(std::span<const float> bias, float input_scale, QuantParams& weight) {
  int raised = 0;
  for (std::size_t i = 0; i < bias.size(); ++i) {
    float& scale = weight.scale[weight.per_channel() ? i : 0];
    const double least = least_scale(bias[i], input_scale);
    if (static_cast<double>(scale) >= least) continue;
    scale = std::nextafter(static_cast<float>(least), std::numeric_limits<float>::infinity());
    ++raised;
  }
  return raised;
}

Status make_room_for_bias(PassContext& context, NodeId id, float input_scale) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  auto weight = graph.node(id).input(1);
  const Tensor& bias = *graph.constant(graph.node(id).input(2));
  auto quantization = plan.values.at(weight);
  const int raised = raise_scales(bias.values<float>(), input_scale, quantization.params);
  if (raised == 0) return {};
  context.report.notes.push_back(
      fmt::format("node {}: weight scale raised for {} output channels, whose bias would overflow "
                  "int32",
                  graph.node(id).name, raised));
  weight = own_constant(graph, {id, 1});
  OCTET_ASSIGN(auto codes, quantize(*graph.constant(weight), quantization.params,
                                    quantization.scheme, DType::i8));
  plan.values[weight] = std::move(quantization);
  plan.payloads[weight] = std::move(codes);
  return {};
}

Status quantize_bias(PassContext& context, NodeId id, float input_scale) {
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const QuantParams& weight = plan.values.at(graph.node(id).input(1)).params;
  const auto value = own_constant(graph, {id, 2});
  const Tensor& bias = *graph.constant(value);
  QuantParams params;
  params.axis = weight.per_channel() ? bias.rank() - 1 : -1;
  for (const float scale : weight.scale) {
    params.scale.push_back(input_scale * scale);
    params.zero_point.push_back(0);
  }
  QuantScheme scheme{32, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::full};
  if (params.per_channel()) {
    scheme.granularity = Granularity::per_channel;
    scheme.axis = params.axis;
  }
  OCTET_TRY(validate(params, scheme));
  Tensor codes(DType::i32, bias.shape());
  auto* out = codes.mutable_data<std::int32_t>();
  const auto values = bias.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    // In double: a bias code has more digits than f32.
    const double scale = static_cast<double>(params.scale[params.per_channel() ? i : 0]);
    const double code = round_half_even(static_cast<double>(values[i]) / scale);
    out[i] = static_cast<std::int32_t>(saturate(code, -0x1.fffffffcp30, 0x1.fffffffcp30));
  }
  plan.values[value] = {scheme, std::move(params), Origin::derived, DType::i32};
  plan.payloads[value] = std::move(codes);
  return {};
}

/// Largest |accumulator| over the output channels that inputs within the code range can cause.
std::int64_t accumulator_bound(const PassContext& context, const Node& node) {
  const auto& plan = context.model.plan;
  const auto& input = plan.values.at(node.input(0));
  const std::int64_t reach = std::max(input.scheme.qmax() - input.params.zero_point[0],
                                      input.params.zero_point[0] - input.scheme.qmin());
  const Tensor& codes = plan.payloads.at(node.input(1));
  const int axis = output_channel_axis(node);
  std::int64_t inner = 1;
  for (int i = axis + 1; i < codes.rank(); ++i) inner *= codes.dim(i);
  const std::int64_t channels = codes.dim(axis);
  std::vector<std::int64_t> sums(static_cast<std::size_t>(channels), 0);
  const auto* code = codes.data<std::int8_t>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    sums[static_cast<std::size_t>(i / inner % channels)] += reach * std::abs(int{code[i]});
  }
  const auto bias = plan.payloads.find(node.input(2));
  for (std::size_t i = 0; i < sums.size() && bias != plan.payloads.end(); ++i) {
    sums[i] += std::abs(std::int64_t{bias->second.data<std::int32_t>()[i]});
  }
  return *std::max_element(sums.begin(), sums.end());
}

}  // namespace

Status derive_bias(PassContext& context) {
  const Graph& graph = context.model.graph;
  for (const auto id : context.accumulate_nodes()) {
    const float input_scale = context.model.plan.values.at(graph.node(id).input(0)).params.scale[0];
    if (graph.node(id).input(2) != ValueId::none) {
      OCTET_TRY(make_room_for_bias(context, id, input_scale));
      if (auto status = quantize_bias(context, id, input_scale); !status) {
        return tl::unexpected(
            status.error().with_context(fmt::format("bias of node {}", graph.node(id).name)));
      }
    }
    if (accumulator_bound(context, graph.node(id)) > std::numeric_limits<std::int32_t>::max()) {
      context.report.notes.push_back(fmt::format(
          "node {}: extreme inputs could overflow its int32 accumulator", graph.node(id).name));
    }
  }
  return {};
}

}  // namespace octet::passes

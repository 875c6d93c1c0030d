#include <algorithm>
#include <cmath>
#include <limits>

#include "arithmetic/params.h"
#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

// An accumulator is sum (x - zx) * w + bias in int32. Whatever the input's codes, it must not leave
// int32: reach * sum |w| + |bias| <= 2^31 - 1 in each output channel, reach the largest |x - zx|.
// Both terms fall as the weight scale rises, so that is what is raised, by no more than needed.

namespace octet {
namespace {

/// Largest |bias code|: leaves the other half of int32 to the products.
constexpr double bias_limit = 0x1.0p30;
constexpr double accumulator_limit = 0x1.0p31 - 1;
/// What the roundings of the bias code and of its scale can add to what is computed here.
constexpr double rounding_slack = 1024;

/// The weight and the bias of a node, element (o, c, i) of the weight in output channel c.
struct Layer {
  std::span<const float> weight;
  std::span<const std::int8_t> codes;  ///< where they are decided; empty: the nearest of the weight
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
  std::span<const float> bias;  ///< empty: none
  double input_scale = 1;
  double reach = 0;
  std::int32_t qmin = 0;
  std::int32_t qmax = 0;

  /// Over the elements of an output channel, of the weight or of its codes.
  template <class Element, class Function>
  void for_each(std::span<const Element> all, std::int64_t channel, Function&& fn) const {
    for (std::int64_t o = 0; o < outer && !all.empty(); ++o) {
      const auto* row = all.data() + (o * channels + channel) * inner;
      for (std::int64_t i = 0; i < inner; ++i) fn(row[i]);
    }
  }
  [[nodiscard]] double bias_load(std::int64_t channel, float scale) const {
    double largest = 0;
    // The groups of a ConvTranspose share the channels of its weights, not those of its bias.
    for (auto c = static_cast<std::size_t>(channel); c < bias.size();
         c += static_cast<std::size_t>(channels)) {
      largest = std::max(largest, std::abs(static_cast<double>(bias[c])));
    }
    return largest / (input_scale * static_cast<double>(scale));
  }
  /// Largest |accumulator| that weights quantized with `scale` can cause.
  [[nodiscard]] double load(std::int64_t channel, float scale) const {
    std::int64_t sum = 0;
    for_each(codes, channel, [&](std::int8_t code) { sum += std::abs(int{code}); });
    if (codes.empty()) {
      for_each(weight, channel,
               [&](float w) { sum += std::abs(quantize_value(w, scale, 0, qmin, qmax)); });
    }
    return reach * static_cast<double>(sum) + bias_load(channel, scale);
  }
};

Layer layer_of(const PassContext& context, NodeId id) {
  const Graph& graph = context.model.graph;
  const Node& node = graph.node(id);
  const Tensor& weight = *graph.constant(node.input(1));
  const auto* input = context.model.plan.find(graph, {id, 0});
  const auto& scheme = context.model.plan.values.at(node.input(1)).scheme;
  const int axis = output_channel_axis(node);
  Layer layer;
  layer.weight = weight.values<float>();
  layer.channels = weight.dim(axis);
  for (int i = axis + 1; i < weight.rank(); ++i) layer.inner *= weight.dim(i);
  layer.outer = weight.size() / (layer.channels * layer.inner);
  if (input == nullptr || is_dynamic(*input)) {
    // Quantized at run time, with any zero point; the bias is added in float.
    layer.reach = 255;
  } else {
    const auto& [scheme_of_input, params, origin, storage] = *input;
    if (const auto bias = context.bias_of(id); bias && !context.target.float_bias) {
      const auto value = graph.node(bias->node).input(static_cast<std::size_t>(bias->input));
      layer.bias = graph.constant(value)->values<float>();
    }
    const std::int64_t zero_point = params.zero_point[0];
    layer.input_scale = static_cast<double>(params.scale[0]);
    layer.reach = static_cast<double>(
        std::max(scheme_of_input.qmax() - zero_point, zero_point - scheme_of_input.qmin()));
  }
  layer.qmin = static_cast<std::int32_t>(scheme.qmin());
  layer.qmax = static_cast<std::int32_t>(scheme.qmax());
  return layer;
}

/// Raises scales that are too small for the bias; returns for how many channels.
int raise_for_bias(const Layer& layer, double limit, QuantParams& params) {
  int raised = 0;
  for (std::int64_t c = 0; c < layer.channels && !layer.bias.empty(); ++c) {
    float& scale = params.scale[params.per_channel() ? static_cast<std::size_t>(c) : 0];
    const double load = layer.bias_load(c, scale);
    if (load <= limit) continue;
    const double least = static_cast<double>(scale) * (load / limit);
    scale = std::nextafter(static_cast<float>(least), std::numeric_limits<float>::infinity());
    ++raised;
  }
  return raised;
}

/// For channels [first, last), which have one scale: the largest weight becomes the integer n, as
/// it was qmax before, with the largest n that keeps the accumulators within the limit.
float fitting_scale(const Layer& layer, std::int64_t first, std::int64_t last, float scale,
                    double limit) {
  float largest = 0;
  double worst = 0;
  for (auto c = first; c < last; ++c) {
    layer.for_each(layer.weight, c, [&](float w) { largest = std::max(largest, std::abs(w)); });
    worst = std::max(worst, layer.load(c, scale));
  }
  const double share = static_cast<double>(largest / scale) * (limit / worst);
  for (auto n = static_cast<std::int64_t>(share); n > 1; --n) {
    const float candidate = largest / static_cast<float>(n);
    bool fits = true;
    for (auto c = first; c < last && fits; ++c) fits = layer.load(c, candidate) <= limit;
    if (fits) return candidate;
  }
  return std::max(scale, largest);
}

/// Raises scales with which products and bias together could overflow; returns for how many
/// channels.
int raise_for_products(const Layer& layer, double limit, QuantParams& params) {
  std::vector<std::int64_t> over;
  for (std::int64_t c = 0; c < layer.channels; ++c) {
    const float scale = params.scale[params.per_channel() ? static_cast<std::size_t>(c) : 0];
    if (layer.load(c, scale) > limit) over.push_back(c);
  }
  if (over.empty()) return 0;
  if (!params.per_channel()) {
    params.scale[0] = fitting_scale(layer, 0, layer.channels, params.scale[0], limit);
    return static_cast<int>(over.size());
  }
  for (const auto c : over) {
    float& scale = params.scale[static_cast<std::size_t>(c)];
    scale = fitting_scale(layer, c, c + 1, scale, limit);
  }
  return static_cast<int>(over.size());
}

/// A cheap test that spares nearly every layer the exact one: false when even weights that all have
/// the largest code would leave the accumulators far from the limit.
bool can_overflow(const Layer& layer, const QuantParams& params) {
  const auto depth = static_cast<double>(layer.outer * layer.inner);
  double bias = 0;
  for (std::int64_t c = 0; c < layer.channels; ++c) {
    const float scale = params.scale[params.per_channel() ? static_cast<std::size_t>(c) : 0];
    bias = std::max(bias, layer.bias_load(c, scale));
  }
  return depth * layer.reach * layer.qmax + bias > accumulator_limit / 4;
}

}  // namespace

Status make_accumulator_room(PassContext& context, NodeId id, double reserve) {
  if (context.target.activation.bits > 8 || context.rounded.contains(id)) return {};
  Graph& graph = context.model.graph;
  auto& plan = context.model.plan;
  const Layer layer = layer_of(context, id);
  auto quantization = plan.values.at(graph.node(id).input(1));
  if (!can_overflow(layer, quantization.params)) return {};
  const int for_bias = raise_for_bias(layer, bias_limit - reserve, quantization.params);
  const int for_products =
      raise_for_products(layer, accumulator_limit - rounding_slack - reserve, quantization.params);
  if (for_bias + for_products == 0) return {};
  const auto note = [&](int channels, std::string_view what) {
    if (channels == 0) return;
    context.report.notes.push_back(
        fmt::format("node {}: weight scale raised for {} output channel{}, whose {} int32",
                    graph.node(id).name, channels, channels == 1 ? "" : "s", what));
  };
  note(for_bias, "bias would overflow");
  note(for_products, "sums could overflow");
  const auto weight = own_constant(graph, {id, 1});
  OCTET_ASSIGN(auto codes, quantize(*graph.constant(weight), quantization.params,
                                    quantization.scheme, DType::i8));
  plan.values[weight] = std::move(quantization);
  plan.payloads[weight] = std::move(codes);
  return {};
}

std::vector<float> least_weight_scales(const PassContext& context, NodeId id) {
  const auto& params = context.model.plan.values.at(context.model.graph.node(id).input(1)).params;
  std::vector<float> least(params.count(), scale_floor);
  if (context.target.activation.bits > 8) return least;
  const Layer layer = layer_of(context, id);
  for (std::int64_t c = 0; c < layer.channels; ++c) {
    float& scale = least[params.per_channel() ? static_cast<std::size_t>(c) : 0];
    const double needed = layer.bias_load(c, 1.0F) / (bias_limit - correction_reserve);
    scale = std::max(scale, static_cast<float>(needed));
  }
  return least;
}

bool accumulators_fit(const PassContext& context, NodeId id) {
  if (context.target.activation.bits > 8) return true;
  const auto weight = context.model.graph.node(id).input(1);
  Layer layer = layer_of(context, id);
  layer.codes = context.model.plan.payloads.at(weight).values<std::int8_t>();
  const auto& params = context.model.plan.values.at(weight).params;
  for (std::int64_t c = 0; c < layer.channels; ++c) {
    const float scale = params.scale[params.per_channel() ? static_cast<std::size_t>(c) : 0];
    if (layer.bias_load(c, scale) > bias_limit) return false;
    if (layer.load(c, scale) > accumulator_limit - rounding_slack) return false;
  }
  return true;
}

}  // namespace octet

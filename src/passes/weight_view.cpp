#include "passes/weight_view.h"

#include <algorithm>

#include "graph/spatial.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Share of the output positions along one dimension at which tap k reads inside the input.
double inside_share(const SpatialGeometry& g, std::size_t dimension, std::int64_t k,
                    std::int64_t extent) {
  std::int64_t inside = 0;
  for (std::int64_t o = 0; o < g.output[dimension]; ++o) {
    const auto at = o * g.strides[dimension] - g.pads_begin[dimension] + k * g.dilations[dimension];
    inside += at >= 0 && at < extent ? 1 : 0;
  }
  return static_cast<double>(inside) / static_cast<double>(g.output[dimension]);
}

}  // namespace

WeightView view_of(const Node& node, const Tensor& weight) {
  WeightView view;
  if (node.is("Conv")) {
    view.groups = node.int_attribute("group", 1);
    view.outputs = weight.dim(0) / view.groups;
    view.inputs = weight.dim(1);
    view.taps = weight.size() / (weight.dim(0) * weight.dim(1));
    return view;
  }
  const int axis = output_channel_axis(node);
  view.input_major = axis == 1;
  view.outputs = weight.dim(axis);
  view.groups = node.is("ConvTranspose") ? node.int_attribute("group", 1) : 1;
  view.inputs = weight.dim(1 - axis) / view.groups;
  view.taps = weight.size() / (view.outputs * weight.dim(1 - axis));
  return view;
}

void scale_channels(const WeightView& view, const std::vector<double>* out,
                    const std::vector<double>* in, float* weights) {
  for_each_weight(view, [&](std::size_t o, std::size_t i, std::size_t at) {
    const double factor = (out == nullptr ? 1 : (*out)[o]) / (in == nullptr ? 1 : (*in)[i]);
    weights[at] = static_cast<float>(static_cast<double>(weights[at]) * factor);
  });
}

std::vector<double> tap_shares(const Graph& graph, const Node& node, const Tensor& weight,
                               std::int64_t taps) {
  std::vector<double> shares(static_cast<std::size_t>(taps), 1.0);
  if (node.is("ConvTranspose")) {
    // Each output pixel takes part in the taps of one phase of the strides.
    double phases = 1;
    for (const auto stride : node.ints_attribute("strides")) phases *= static_cast<double>(stride);
    std::fill(shares.begin(), shares.end(), 1 / phases);
    return shares;
  }
  const auto& input = graph.value(node.input(0)).shape;
  if (!node.is("Conv") || !input) return shares;
  const auto geometry = resolve_conv(node, *input, weight.shape());
  const Shape extents(input->begin() + 2, input->end());
  if (!geometry || !is_static(extents)) return shares;
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    auto rest = tap;
    for (std::size_t d = extents.size(); d-- > 0;) {
      const auto k = rest % geometry->kernel[d];
      rest /= geometry->kernel[d];
      shares[static_cast<std::size_t>(tap)] *= inside_share(*geometry, d, k, extents[d]);
    }
  }
  return shares;
}

Result<ValueId> own_bias(Graph& graph, NodeId id, std::int64_t channels) {
  if (graph.node(id).input(2) == ValueId::none) {
    const auto bias =
        graph.add_constant(graph.node(id).name + "_bias", Tensor::zeros(DType::f32, {channels}));
    graph.node(id).inputs.resize(3, ValueId::none);
    graph.node(id).inputs[2] = bias;
    return bias;
  }
  return own_constant(graph, {id, 2});
}

}  // namespace octet

#include <algorithm>

#include "arithmetic/quantize.h"
#include "graph/spatial.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

// Bias correction (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
// Correction", section 4.2), with the means of the inputs measured on the calibration data:
// rounding weights W to W' moves the mean of output channel o by sum_i (W'[o,i] - W[o,i]) E[x_i],
// which is taken out of its bias. Along the border padding contributes nothing: a tap counts by the
// share of output pixels at which it lies inside the input.

namespace octet::passes {
namespace {

/// A weight as [groups][out][in][taps], whatever its axes mean to the node.
struct WeightView {
  std::int64_t groups = 1;
  std::int64_t outputs = 1;  ///< per group
  std::int64_t inputs = 1;   ///< per group
  std::int64_t taps = 1;
  bool input_major = false;  ///< Gemm without transB, ConvTranspose: [groups][in][out][taps]

  [[nodiscard]] std::size_t at(std::int64_t group, std::int64_t o, std::int64_t i,
                               std::int64_t tap) const {
    if (input_major) {
      return static_cast<std::size_t>(((group * inputs + i) * outputs + o) * taps + tap);
    }
    return static_cast<std::size_t>(((group * outputs + o) * inputs + i) * taps + tap);
  }
};

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

/// For each tap of a Conv the share of output pixels at which it reads inside the input; ones where
/// extents are not known, and for Gemm. Of a ConvTranspose the share but for the borders.
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

/// Whether channel c of the node's input is what channel c of its output averages or renames.
bool keeps_channels(const Graph& graph, const Node& node) {
  if (node.is("AveragePool")) {
    const auto pads = node.ints_attribute("pads");
    return std::all_of(pads.begin(), pads.end(), [](auto pad) { return pad == 0; });
  }
  if (!node.is("Flatten") && !node.is("Reshape") && !node.is("Squeeze")) return false;
  // Positions along further axes would become channels, too.
  const auto& shape = graph.value(node.input(0)).shape;
  return shape && shape->size() >= 2 &&
         std::all_of(shape->begin() + 2, shape->end(), [](auto extent) { return extent == 1; });
}

/// Means of what a node reads: those of its input, or of the value from which pooling and shape
/// changes make it. nullptr when they were not observed or do not fit.
const ChannelMeans* input_means(const PassContext& context, ValueId id, std::int64_t channels) {
  const Graph& graph = context.model.graph;
  const auto producers = graph.producers();
  for (;;) {
    const auto it = context.means.find(id);
    if (it != context.means.end()) {
      const bool fits =
          it->second.valid() && it->second.channels() == static_cast<std::size_t>(channels);
      return fits ? &it->second : nullptr;
    }
    const auto producer = producers[index(id)];
    if (producer == NodeId::none) return nullptr;
    const Node& node = graph.node(producer);
    if (!keeps_channels(graph, node)) return nullptr;
    id = node.input(0);
  }
}

/// The bias of a node as a constant of its own; zeros are added where it has none.
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

Status correct(PassContext& context, NodeId id) {
  Graph& graph = context.model.graph;
  const Node node = graph.node(id);
  if (node.is("MatMul")) return {};
  const Tensor weight = *graph.constant(node.input(1));
  const auto view = view_of(node, weight);
  const auto* means = input_means(context, node.input(0), view.groups * view.inputs);
  if (means == nullptr) return {};
  OCTET_ASSIGN(const auto codes, constant_codes(context.model, {id, 1}));
  OCTET_ASSIGN(const auto rounded,
               dequantize(codes, context.model.plan.find(graph, {id, 1})->params));
  const auto shares = tap_shares(graph, node, weight, view.taps);
  const auto channels = view.groups * view.outputs;
  OCTET_ASSIGN(const auto bias_id, own_bias(graph, id, channels));
  Tensor& bias = *graph.value(bias_id).constant;
  if (bias.dtype() != DType::f32 || bias.size() != channels) return {};
  float* values = bias.mutable_data<float>();
  for (std::int64_t o = 0; o < channels; ++o) {
    const auto group = o / view.outputs;
    double moved = 0;
    for (std::int64_t i = 0; i < view.inputs; ++i) {
      double error = 0;
      for (std::int64_t tap = 0; tap < view.taps; ++tap) {
        const auto at = view.at(group, o % view.outputs, i, tap);
        error += shares[static_cast<std::size_t>(tap)] *
                 (static_cast<double>(rounded.data<float>()[at]) -
                  static_cast<double>(weight.data<float>()[at]));
      }
      moved += error * means->mean(static_cast<std::size_t>(group * view.inputs + i));
    }
    values[o] = static_cast<float>(static_cast<double>(values[o]) - moved);
  }
  return {};
}

}  // namespace

Status correct_bias(PassContext& context) {
  for (const auto id : context.accumulate_nodes()) OCTET_TRY(correct(context, id));
  return {};
}

}  // namespace octet::passes

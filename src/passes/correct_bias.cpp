#include <algorithm>

#include "arithmetic/quantize.h"
#include "passes/passes.h"
#include "passes/weight_view.h"

// Bias correction (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
// Correction", section 4.2), with the means of the inputs measured on the calibration data:
// rounding weights W to W' moves the mean of output channel o by sum_i (W'[o,i] - W[o,i]) E[x_i],
// which is taken out of its bias. Along the border padding contributes nothing: a tap counts by the
// share of output pixels at which it lies inside the input.

namespace octet::passes {
namespace {

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
  context.float_biases[id] = bias;
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
  for (const auto id : context.accumulate_nodes()) {
    if (!context.rounded.contains(id)) OCTET_TRY(correct(context, id));
  }
  return {};
}

}  // namespace octet::passes

#include <cmath>

#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// Per-channel constants of shape [C, 1, ...] that broadcast against rank-`rank` values.
Shape channel_shape(std::int64_t channels, std::size_t rank) {
  Shape shape(rank - 1, 1);
  shape[0] = channels;
  return shape;
}

void become_depthwise(Graph& graph, NodeId id, std::int64_t channels, std::size_t rank,
                      const Tensor& scale, const Tensor& offset) {
  Shape shape(rank, 1);
  shape[0] = channels;
  const auto weight = graph.add_constant(graph.node(id).name + ".weight", scale.reshaped(shape));
  const auto bias = graph.add_constant(graph.node(id).name + ".bias", offset);
  auto& node = graph.node(id);
  node.op = "Conv";
  node.inputs = {node.inputs[0], weight, bias};
  node.outputs.resize(1);
  node.attributes = {{"group", channels}, {"kernel_shape", std::vector<std::int64_t>(rank - 2, 1)}};
}

void become_arithmetic(Graph& graph, NodeId id, std::int64_t channels, std::size_t rank,
                       const Tensor& scale, const Tensor& offset) {
  const auto shape = channel_shape(channels, rank);
  const auto name = graph.node(id).name;
  const auto factor = graph.add_constant(name + ".scale", scale.reshaped(shape));
  const auto addend = graph.add_constant(name + ".offset", offset.reshaped(shape));
  const auto output = graph.node(id).output();
  Value product;
  product.name = graph.value(output).name + "_scaled";
  product.dtype = DType::f32;
  product.shape = graph.value(output).shape;
  const auto middle = graph.add_value(std::move(product));
  auto& node = graph.node(id);
  node.op = "Mul";
  node.inputs = {node.inputs[0], factor};
  node.outputs = {middle};
  node.attributes.clear();
  Node add;
  add.op = "Add";
  add.name = name + ".add";
  add.inputs = {middle, addend};
  add.outputs = {output};
  graph.add_node(std::move(add));
}

}  // namespace

Result<std::optional<ChannelAffine>> batch_norm_affine(const Graph& graph, const Node& node,
                                                       std::int64_t channels) {
  if (node.int_attribute("training_mode", 0) != 0) return std::optional<ChannelAffine>();
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != ValueId::none) return std::optional<ChannelAffine>();
  }
  for (std::size_t i = 1; i < 5; ++i) {
    const auto* parameter = f32_constant(graph, node, i);
    if (parameter == nullptr || parameter->size() != channels) {
      return std::optional<ChannelAffine>();
    }
  }
  const double epsilon = node.float_attribute("epsilon", 1e-5F);
  const auto* gamma = f32_constant(graph, node, 1)->data<float>();
  const auto* beta = f32_constant(graph, node, 2)->data<float>();
  const auto* mean = f32_constant(graph, node, 3)->data<float>();
  const auto* variance = f32_constant(graph, node, 4)->data<float>();
  ChannelAffine affine;
  for (std::int64_t c = 0; c < channels; ++c) {
    if (!(variance[c] >= 0) || !(variance[c] + epsilon > 0)) {
      return bad_input("node {} (BatchNormalization): channel {} has variance {} and epsilon {}",
                       node.name, c, variance[c], static_cast<float>(epsilon));
    }
    const double scale = gamma[c] / std::sqrt(variance[c] + epsilon);
    const double offset = beta[c] - mean[c] * scale;
    if (!std::isfinite(static_cast<float>(scale)) || !std::isfinite(static_cast<float>(offset))) {
      return bad_input(
          "node {} (BatchNormalization): channel {} becomes {} * x + {}, which f32 cannot hold",
          node.name, c, scale, offset);
    }
    affine.scale.push_back(scale);
    affine.offset.push_back(offset);
  }
  return std::optional(std::move(affine));
}

void set_batch_norm_moments(Graph& graph, const Node& batch_norm, ValueId output) {
  const auto gamma = f32_constant(graph, batch_norm, 1)->values<float>();
  const auto beta = f32_constant(graph, batch_norm, 2)->values<float>();
  ChannelMoments moments;
  moments.mean.assign(beta.begin(), beta.end());
  for (const float value : gamma) moments.stddev.push_back(std::abs(value));
  graph.value(output).moments = std::move(moments);
}

Result<int> fold_lone_batch_norm(Graph& graph) {
  int changes = 0;
  const auto count = graph.node_slots();
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<NodeId>(i);
    const auto& node = graph.node(id);
    if (!node.alive || !node.is("BatchNormalization")) continue;
    const auto& shape = graph.value(node.input(0)).shape;
    const auto* gamma = f32_constant(graph, node, 1);
    if (!shape || shape->size() < 2 || gamma == nullptr) continue;
    const auto rank = shape->size();
    const auto channels = gamma->size();
    OCTET_ASSIGN(const auto affine, batch_norm_affine(graph, node, channels));
    if (!affine) continue;
    const auto scale = to_f32_tensor(affine->scale, {channels});
    const auto offset = to_f32_tensor(affine->offset, {channels});
    if (!scale || !offset) continue;
    set_batch_norm_moments(graph, node, node.output());
    (rank == 4 ? become_depthwise : become_arithmetic)(graph, id, channels, rank, *scale, *offset);
    ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

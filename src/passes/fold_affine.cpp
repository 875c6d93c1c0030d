#include <algorithm>
#include <cmath>

#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// A node y = W x + b whose output channels lie along one axis.
struct Linear {
  NodeId id = NodeId::none;
  std::size_t rank = 0;  ///< of the output
  std::size_t axis = 0;  ///< of the channels in the output
  std::int64_t channels = 0;
  std::size_t weight_axis = 0;  ///< of the channels in the weight
};

/// One value per channel from a constant that broadcasts along `axis` of a rank-`rank` value
/// without changing its shape.
std::optional<std::vector<double>> channel_values(const Tensor& tensor, std::size_t rank,
                                                  std::size_t axis, std::int64_t channels) {
  const auto own_rank = tensor.shape().size();
  if (own_rank > rank) return std::nullopt;
  for (std::size_t i = 0; i < own_rank; ++i) {
    const auto dim = tensor.shape()[i];
    const bool along_axis = i + rank - own_rank == axis;
    if (dim != 1 && !(along_axis && dim == channels)) return std::nullopt;
  }
  const auto values = tensor.values<float>();
  if (tensor.size() == 1) return std::vector<double>(static_cast<std::size_t>(channels), values[0]);
  return std::vector<double>(values.begin(), values.end());
}

bool bias_fits(const Graph& graph, const Node& node, const Linear& linear) {
  if (node.input(2) == ValueId::none) return true;
  const auto* bias = f32_constant(graph, node, 2);
  if (bias == nullptr) return false;
  if (node.is("Conv")) return bias->size() == linear.channels;
  return channel_values(*bias, 2, 1, linear.channels).has_value();
}

std::optional<Linear> match_linear(const Graph& graph, NodeId id) {
  if (id == NodeId::none) return std::nullopt;
  const auto& node = graph.node(id);
  const auto* weight = f32_constant(graph, node, 1);
  if (weight == nullptr) return std::nullopt;
  Linear linear{id, weight->shape().size(), 1, 0, 0};
  if (node.is("Conv")) {
    if (weight->rank() < 3) return std::nullopt;
  } else if (node.is("Gemm") && weight->rank() == 2) {
    linear.weight_axis = node.int_attribute("transB", 0) != 0 ? 0 : 1;
  } else if (node.is("MatMul") && weight->rank() == 2) {
    const auto& shape = graph.value(node.output()).shape;
    if (!shape || shape->size() < 2) return std::nullopt;
    linear.rank = shape->size();
    linear.axis = shape->size() - 1;
    linear.weight_axis = 1;
  } else {
    return std::nullopt;
  }
  linear.channels = weight->dim(static_cast<int>(linear.weight_axis));
  if (linear.channels < 1 || !bias_fits(graph, node, linear)) return std::nullopt;
  return linear;
}

/// What Add, Sub, Mul or Div with a constant does to its input `slot`.
std::optional<ChannelAffine> arithmetic_affine(const Graph& graph, const Node& node,
                                               std::size_t slot, const Linear& linear) {
  const bool known = node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Div");
  const auto* constant = known ? f32_constant(graph, node, 1 - slot) : nullptr;
  if (constant == nullptr) return std::nullopt;
  auto values = channel_values(*constant, linear.rank, linear.axis, linear.channels);
  if (!values) return std::nullopt;
  const auto count = values->size();
  if (node.op == "Add") return ChannelAffine{std::vector<double>(count, 1), *values};
  if (node.op == "Sub") {
    if (slot == 1) return ChannelAffine{std::vector<double>(count, -1), *values};
    for (auto& value : *values) value = -value;
    return ChannelAffine{std::vector<double>(count, 1), *values};
  }
  if (node.op == "Div") {
    if (slot == 1) return std::nullopt;
    for (auto& value : *values) value = 1 / value;
  }
  return ChannelAffine{*values, std::vector<double>(count, 0)};
}

std::optional<Tensor> scaled_weight(const Tensor& weight, std::size_t axis,
                                    const std::vector<double>& scale) {
  std::int64_t inner = 1;
  for (std::size_t i = axis + 1; i < weight.shape().size(); ++i) inner *= weight.shape()[i];
  std::vector<double> out(weight.values<float>().begin(), weight.values<float>().end());
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] *= scale[i / static_cast<std::size_t>(inner) % scale.size()];
  }
  return to_f32_tensor(out, weight.shape());
}

std::vector<double> old_bias(const Graph& graph, const Node& node, const Linear& linear) {
  if (const auto* tensor = f32_constant(graph, node, 2)) {
    // match_linear has seen that it fits; a Gemm's may be [1,N] or a scalar.
    if (auto values = channel_values(*tensor, 2, 1, linear.channels)) return *values;
  }
  return std::vector<double>(static_cast<std::size_t>(linear.channels), 0);
}

bool is_zero(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == 0; });
}

/// Applies `affine` to what the node computes. False, with nothing changed, when it can't.
bool apply(Graph& graph, const Linear& linear, const ChannelAffine& affine) {
  auto& node = graph.node(linear.id);
  auto weight = scaled_weight(*f32_constant(graph, node, 1), linear.weight_axis, affine.scale);
  const bool had_bias = node.input(2) != ValueId::none;
  const bool needs_bias = had_bias || !is_zero(affine.offset);
  const auto* input_shape =
      graph.value(node.input(0)).shape ? &*graph.value(node.input(0)).shape : nullptr;
  const bool matrix = input_shape != nullptr && input_shape->size() == 2;
  if (node.is("MatMul") && needs_bias && !matrix) return false;
  auto bias = old_bias(graph, node, linear);
  const double beta = node.is("Gemm") ? node.float_attribute("beta", 1.0F) : 1.0;
  for (std::size_t i = 0; i < bias.size(); ++i) {
    bias[i] = bias[i] * beta * affine.scale[i] + affine.offset[i];
  }
  auto bias_tensor = to_f32_tensor(bias, {linear.channels});
  if (!weight || !bias_tensor) return false;
  replace_constant(graph, linear.id, 1, std::move(*weight));
  if (needs_bias && had_bias) {
    replace_constant(graph, linear.id, 2, std::move(*bias_tensor));
  } else if (needs_bias) {
    const auto added = graph.add_constant(graph.node(linear.id).name + ".bias", *bias_tensor);
    set_input(graph.node(linear.id), 2, added);
  }
  auto& changed = graph.node(linear.id);
  changed.attributes.erase("beta");
  if (changed.is("MatMul") && needs_bias) changed.op = "Gemm";
  return true;
}

/// The output of the removed node becomes the output of the node before it.
void take_over_output(Graph& graph, const Linear& linear, NodeId removed,
                      const ChannelAffine& affine) {
  const auto old = graph.node(linear.id).output();
  const auto output = graph.node(removed).output();
  if (graph.node(removed).is("BatchNormalization")) {
    set_batch_norm_moments(graph, graph.node(removed), output);
  } else if (auto& moments = graph.value(old).moments) {
    for (std::size_t i = 0; i < moments->mean.size(); ++i) {
      moments->mean[i] = static_cast<float>(moments->mean[i] * affine.scale[i] + affine.offset[i]);
      moments->stddev[i] = static_cast<float>(moments->stddev[i] * std::abs(affine.scale[i]));
    }
    graph.value(output).moments = std::move(moments);
  }
  graph.node(linear.id).outputs[0] = output;
  graph.remove_node(removed);
}

Result<bool> fold_into_producer(Graph& graph, NodeId id) {
  const auto& node = graph.node(id);
  const bool normalizes = node.is("BatchNormalization");
  const std::size_t slots = normalizes ? 1 : std::min<std::size_t>(node.inputs.size(), 2);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const auto linear = match_linear(graph, sole_producer(graph, node.input(slot)));
    if (!linear) continue;
    if (normalizes && linear->axis != 1) continue;
    std::optional<ChannelAffine> affine;
    if (normalizes) {
      OCTET_ASSIGN(affine, batch_norm_affine(graph, node, linear->channels));
    } else {
      affine = arithmetic_affine(graph, node, slot, *linear);
    }
    if (!affine || !apply(graph, *linear, *affine)) continue;
    take_over_output(graph, *linear, id, *affine);
    return true;
  }
  return false;
}

}  // namespace

Result<int> fold_affine(Graph& graph) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    const auto& node = graph.node(id);
    const bool candidate = node.is("BatchNormalization") || node.is("Add") || node.is("Sub") ||
                           node.is("Mul") || node.is("Div");
    if (!candidate) continue;
    OCTET_ASSIGN(const bool folded, fold_into_producer(graph, id));
    if (folded) ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

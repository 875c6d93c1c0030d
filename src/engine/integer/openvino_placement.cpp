#include "engine/integer/openvino_placement.h"

#include <algorithm>
#include <array>

namespace octet {
namespace {

constexpr auto moving_ops = std::to_array<std::string_view>(
    {"MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Pad", "Split",
     "Concat", "Identity", "DepthToSpace", "SpaceToDepth", "Gather", "Resize", "Expand", "Tile"});

bool moves_codes(const Node& node) {
  return std::find(moving_ops.begin(), moving_ops.end(), node.op) != moving_ops.end();
}

bool same_extents(const Value& a, const Value& b) {
  if (!a.shape || !b.shape || *a.shape != *b.shape) return false;
  if (is_static(*a.shape)) return true;
  // Dynamic extents are the same where they have the same name.
  if (a.dim_names.size() != a.shape->size() || b.dim_names.size() != b.shape->size()) return false;
  for (std::size_t i = 0; i < a.shape->size(); ++i) {
    if ((*a.shape)[i] != dynamic_dim) continue;
    if (a.dim_names[i].empty() || a.dim_names[i] != b.dim_names[i]) return false;
  }
  return true;
}

}  // namespace

bool comes_from_layer(const Graph& graph, ValueId value) {
  const auto producers = graph.producers();
  for (;;) {
    const auto maker = producers[index(value)];
    if (maker == NodeId::none) return false;
    const Node& node = graph.node(maker);
    if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul")) {
      return true;
    }
    if (!node.is("Relu") && !node.is("Clip")) return false;
    value = node.input(0);
  }
}

openvino::LayerForm openvino_layer_form(const Graph& graph, const Node& node, bool biased) {
  const auto& shape = graph.value(node.input(0)).shape;
  const bool image = node.is("Conv") || node.is("ConvTranspose");
  if (!image && shape && shape->size() > 2) return openvino::LayerForm::real;
  if (!biased) return openvino::LayerForm::unbiased;
  return image ? openvino::LayerForm::real : openvino::LayerForm::matrix;
}

bool is_openvino_sum(const QuantizedGraph& model, NodeId id) {
  const Graph& graph = model.graph;
  const Node& node = graph.node(id);
  if (model.plan.rule != Rule::openvino || !node.is("Add") || node.inputs.size() != 2) return false;
  const auto* a = model.plan.find(graph, {id, 0});
  const auto* b = model.plan.find(graph, {id, 1});
  if ((a == nullptr) == (b == nullptr) || !is_coded(a != nullptr ? a : b)) return false;
  for (const auto input : node.inputs) {
    if (graph.constant(input) != nullptr || graph.value(input).dtype != DType::f32) return false;
  }
  return same_extents(graph.value(node.inputs[0]), graph.value(node.inputs[1]));
}

MovedOperand openvino_moved_operand(const QuantizedGraph& model, NodeId add) {
  const Graph& graph = model.graph;
  const auto producers = graph.producers();
  const auto uses = graph.uses();
  std::array<bool, 2> direct{}, alone{}, layer{};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto value = graph.node(add).input(i);
    const auto maker = producers[index(value)];
    direct[i] = graph.constant(value) == nullptr &&
                (maker == NodeId::none || !moves_codes(graph.node(maker)));
    alone[i] = uses[index(value)].size() == 1 && !graph.is_output(value);
    layer[i] = comes_from_layer(graph, value);
  }
  int moved = 0;
  if (direct[0] != direct[1]) {
    moved = direct[0] ? 0 : 1;
  } else if (alone[0] != alone[1]) {
    moved = alone[0] ? 0 : 1;
  } else if (layer[0] != layer[1]) {
    moved = layer[0] ? 0 : 1;
  }
  const auto slot = static_cast<std::size_t>(moved);
  return {moved, direct[slot] && alone[slot]};
}

std::int32_t openvino_bound(float bound, const Quantization& output) {
  constexpr std::int32_t to_unsigned = 128;
  const auto line =
      openvino::quantize_line(output.params.scale[0], output.params.zero_point[0] + to_unsigned);
  const auto low = static_cast<std::int32_t>(output.scheme.qmin()) + to_unsigned;
  const auto high = static_cast<std::int32_t>(output.scheme.qmax()) + to_unsigned;
  return openvino::quantize(bound, line, low, high) - to_unsigned;
}

}  // namespace octet

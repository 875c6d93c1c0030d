#include "graph/image_layout.h"

#include <algorithm>
#include <array>
#include <set>

namespace octet {
namespace {

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

/// Operators with channels on axis 1 and space behind it.
bool is_spatial(const Node& node) {
  constexpr auto ops = std::to_array<std::string_view>(
      {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool",
       "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "InstanceNormalization",
       "DepthToSpace", "SpaceToDepth", "LRN"});
  return is_one_of(node, ops);
}

/// Operators that leave every element in its place.
bool keeps_order(const Node& node) {
  constexpr auto ops = std::to_array<std::string_view>(
      {"Add", "Sub", "Mul", "Div", "Pow", "Identity", "Dropout", "Cast", "Relu", "Clip",
       "LeakyRelu", "Sigmoid", "Tanh", "Pad", "QuantizeLinear", "DequantizeLinear"});
  return is_one_of(node, ops);
}

class Search {
 public:
  explicit Search(const Graph& graph) : graph_(graph), uses_(graph.uses()) {}

  std::optional<AxisOrder> order_of(ValueId value) {
    if (!visited_.insert(value).second) return std::nullopt;
    for (const auto& use : uses_[index(value)]) {
      const Node& node = graph_.node(use.node);
      if (node.is("Transpose") && node.ints_attribute("perm") == to_channels_first()) {
        return AxisOrder::channels_last;
      }
      if (is_spatial(node) && use.input == 0) return AxisOrder::channels_first;
      const bool follows = keeps_order(node) && graph_.constant(value) == nullptr;
      if (!follows) continue;
      if (const auto order = order_of(node.output())) return order;
    }
    return std::nullopt;
  }

 private:
  const Graph& graph_;
  std::vector<std::vector<Use>> uses_;
  std::set<ValueId> visited_;
};

bool is_rank_4(const Value& value) { return value.shape && value.shape->size() == 4; }

bool is_channel_count(std::int64_t extent) { return extent == 1 || extent == 3; }

}  // namespace

std::optional<AxisOrder> shown_axis_order(const Graph& graph, ValueId value) {
  if (!is_rank_4(graph.value(value)) || graph.value(value).dtype != DType::f32) return std::nullopt;
  return Search(graph).order_of(value);
}

AxisOrder image_axis_order(const Graph& graph, ValueId value) {
  if (const auto shown = shown_axis_order(graph, value)) return *shown;
  if (!is_rank_4(graph.value(value))) return AxisOrder::channels_first;
  const auto& shape = *graph.value(value).shape;
  const bool last = is_channel_count(shape[3]) && !is_channel_count(shape[1]) && shape[1] >= 0;
  return last ? AxisOrder::channels_last : AxisOrder::channels_first;
}

std::vector<std::int64_t> to_channels_first() { return {0, 3, 1, 2}; }
std::vector<std::int64_t> to_channels_last() { return {0, 2, 3, 1}; }

}  // namespace octet

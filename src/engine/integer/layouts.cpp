// Which rank-4 values are images.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/integer/step.h"

namespace octet::integer {
namespace {

constexpr auto spatial_ops = std::to_array<std::string_view>(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
     "BatchNormalization", "InstanceNormalization", "GroupNormalization", "Resize", "DepthToSpace",
     "SpaceToDepth"});
/// Those that give rank-4 values another meaning, or read them as matrices.
constexpr auto reshaping_ops = std::to_array<std::string_view>(
    {"Reshape",    "Flatten",   "Squeeze",        "Unsqueeze",
     "Transpose",  "Gather",    "GatherElements", "GatherND",
     "Expand",     "Tile",      "MatMul",         "Gemm",
     "Einsum",     "Softmax",   "LogSoftmax",     "LayerNormalization",
     "ReduceMean", "ReduceMax", "ReduceSum",      "Shape"});

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

/// Sets of values that should have one order.
class Groups {
 public:
  explicit Groups(std::size_t count) : parent_(count), image_(count, false) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  std::size_t find(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) {
    a = find(a);
    b = find(b);
    image_[a] = image_[a] || image_[b];
    parent_[b] = a;
  }
  void mark(std::size_t i) { image_[find(i)] = true; }
  bool image(std::size_t i) { return image_[find(i)]; }

 private:
  std::vector<std::size_t> parent_;
  std::vector<bool> image_;
};

}  // namespace

std::vector<bool> channels_last_values(const Graph& graph) {
  const auto rank4 = [&](ValueId id) {
    return id != ValueId::none && graph.value(id).shape && graph.value(id).shape->size() == 4;
  };
  Groups groups(graph.value_slots());
  for (std::size_t slot = 0; slot < graph.node_slots(); ++slot) {
    const Node& node = graph.node(static_cast<NodeId>(slot));
    if (!node.alive || is_one_of(node, reshaping_ops)) continue;
    std::vector<ValueId> values;
    std::copy_if(node.inputs.begin(), node.inputs.end(), std::back_inserter(values),
                 [&](ValueId id) { return rank4(id) && graph.constant(id) == nullptr; });
    std::copy_if(node.outputs.begin(), node.outputs.end(), std::back_inserter(values), rank4);
    for (const auto id : values) {
      if (is_one_of(node, spatial_ops)) groups.mark(index(id));
      groups.join(index(values[0]), index(id));
    }
  }
  std::vector<bool> result(graph.value_slots(), false);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = rank4(static_cast<ValueId>(i)) && groups.image(i);
  }
  return result;
}

}  // namespace octet::integer

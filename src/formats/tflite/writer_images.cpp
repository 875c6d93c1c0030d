// Which values are images: the same that the reader finds in the file.

#include "formats/tflite/writer_images.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "formats/tflite/disjoint_sets.h"

namespace octet::tflite {
namespace {

constexpr auto spatial = std::to_array<std::string_view>(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
     "DepthToSpace", "SpaceToDepth", "Resize"});
/// Operators that see axes in one order only, or make others of them.
constexpr auto turning = std::to_array<std::string_view>(
    {"ArgMax", "ArgMin", "ConstantOfShape", "CumSum", "Expand", "Flatten", "Gather", "Gemm",
     "LogSoftmax", "MatMul", "Range", "Reshape", "Shape", "Softmax", "Squeeze", "TopK", "Transpose",
     "Unsqueeze"});

template <std::size_t N>
bool stands_in(const std::array<std::string_view, N>& list, const Node& node) {
  return node.domain.empty() && std::find(list.begin(), list.end(), node.op) != list.end();
}

/// Whether all values of full rank that a node reads and makes are in one order of axes.
bool joins(const Node& node) {
  if (!node.domain.empty() || reads_as_image(node) || stands_in(turning, node)) return false;
  return !node.op.starts_with("Reduce") || node.int_attribute("keepdims", 1) != 0;
}

}  // namespace

bool reads_as_image(const Node& node) { return stands_in(spatial, node); }

std::vector<bool> find_images(const Graph& graph, const std::vector<NodeId>& nodes,
                              const std::vector<ValueFacts>& facts) {
  const auto rank = [&](ValueId id) {
    const bool varies = id != ValueId::none && !graph.value(id).is_constant();
    return varies && facts[index(id)].shape ? facts[index(id)].shape->size() : 0;
  };
  DisjointSets sets(graph.value_slots());
  std::vector<ValueId> seeds;
  for (const auto id : nodes) {
    const auto& node = graph.node(id);
    const auto made = node.output();
    if (reads_as_image(node)) seeds.insert(seeds.end(), {node.input(0), made});
    if (made == ValueId::none || !joins(node)) continue;
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (const auto value : *list) {
        if (rank(value) > 0 && rank(value) == rank(made)) sets.join(index(value), index(made));
      }
    }
  }
  std::vector<bool> seeded(graph.value_slots(), false);
  for (const auto seed : seeds) {
    if (rank(seed) == 3 || rank(seed) == 4) seeded[sets.find(index(seed))] = true;
  }
  std::vector<bool> images(graph.value_slots(), false);
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = seeded[sets.find(i)];
  return images;
}

}  // namespace octet::tflite

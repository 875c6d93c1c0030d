#pragma once
// Which channels of a float graph can be scaled without changing what it computes.

#include <vector>

#include "graph/graph.h"

namespace octet {

/// Values whose channels (axis 1) must carry the same scales, because what lies between them
/// commutes with positive factors: Relu, LeakyRelu, PRelu, Clip, pooling, padding with zeros,
/// flattening of 1x1 images, and Add of two of them.
struct ValueClass {
  std::int64_t channels = 0;
  std::vector<ValueId> values;  ///< in id order
  std::vector<NodeId> makers;   ///< Conv, ConvTranspose, Gemm: scale the rows of their weights
  std::vector<NodeId> readers;  ///< the same: divide the columns of their weights
  std::vector<NodeId> clips;    ///< Clip nodes inside with bounds other than 0 and infinity
};

/// The classes that can be scaled: every maker and every reader of their values is one of the
/// above, with constant f32 weights, and no value is an input or output of the graph.
[[nodiscard]] std::vector<ValueClass> scale_classes(const Graph& graph);

/// A Conv, ConvTranspose or Gemm with constant f32 weights and bias by channel (axis 1 of what it
/// reads and makes).
[[nodiscard]] bool has_scalable_weights(const Graph& graph, const Node& node);

/// Whether a node takes [N,C,1,...] to [N,C] or back.
[[nodiscard]] bool flattens_pixels(const Graph& graph, const Node& node);

}  // namespace octet

#pragma once
#include <vector>

#include "graph/graph.h"
#include "graph/value_facts.h"

namespace octet::tflite {

/// Whether a node reads input 0 as [N,C,H,W] or [N,C,L].
[[nodiscard]] bool reads_as_image(const Node& node);

/// By value slot: whether a spatial operator reads or makes the value, directly or through
/// operators that keep the order of axes. The reader of the file joins tensors in the same way.
[[nodiscard]] std::vector<bool> find_images(const Graph& graph, const std::vector<NodeId>& nodes,
                                            const std::vector<ValueFacts>& facts);

}  // namespace octet::tflite

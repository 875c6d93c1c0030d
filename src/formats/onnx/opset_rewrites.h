#pragma once
// Private to the opset upgrade: operators whose change takes more than moving an attribute.

#include "graph/graph.h"

namespace octet::onnx {

/// An operator that a later opset renamed or took out, which the upgrade states in today's words.
[[nodiscard]] bool is_retired_operator(const Node& node, std::int64_t version);

/// Upsample (opset 7 to 9) and Resize of opset 10 become today's Resize: coordinates divided by the
/// scale (asymmetric) and, for the nearest mode, rounded down on axes that grow and up on axes that
/// shrink, as ONNX Runtime reads these two; scales that are not constant are taken to grow. Resize
/// of opset 11 and 12 loses its empty inputs and the mode tf_half_pixel_for_nn.
[[nodiscard]] Status upgrade_resize(Graph& graph, NodeId id, std::int64_t version);

/// GroupNormalization of opset 18 to 20 scales by group; today's scales by channel.
void upgrade_group_normalization(Graph& graph, NodeId id);

/// Before opset 14 the extra outputs meant training, before 9 spatial = 0 statistics by element.
[[nodiscard]] Status upgrade_batch_normalization(Node& node);

/// Before opset 13, Softmax and LogSoftmax worked on the input flattened to two dimensions at
/// `axis` (default 1). Where that axis is the last it is today's form; else Shape, Flatten and
/// Reshape go around it.
[[nodiscard]] Status upgrade_softmaxes(Graph& graph);

}  // namespace octet::onnx

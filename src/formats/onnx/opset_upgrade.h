#pragma once
#include "graph/graph.h"

namespace octet::onnx {

/// Oldest opset that can be read, and the newest that the wire format's definition knows.
inline constexpr std::int64_t oldest_opset = 7;
inline constexpr std::int64_t newest_opset = 28;

/// Whether octet knows every operator, in the graph's own opset (Upsample and Scatter are gone from
/// later ones).
[[nodiscard]] bool can_upgrade(const Graph& graph);

/// Rewrites the nodes of opset 7 to 20 into the forms of canonical_opset and sets the version.
/// Needs can_upgrade(graph).
[[nodiscard]] Status upgrade_opset(Graph& graph);

}  // namespace octet::onnx

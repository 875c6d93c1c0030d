#pragma once
#include "graph/graph.h"

namespace octet::onnx {

/// Oldest opset that can be read, and the newest that the wire format's definition knows.
inline constexpr std::int64_t oldest_opset = 9;
inline constexpr std::int64_t newest_opset = 28;

/// Rewrites the nodes of opset 9 to 20 into the forms of canonical_opset and sets the version.
/// All operators must be known (see first_unknown_node).
[[nodiscard]] Status upgrade_opset(Graph& graph);

}  // namespace octet::onnx

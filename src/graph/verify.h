#pragma once
#include "graph/plan.h"

namespace octet {

/// Structural truth of a graph: ids in range, each value made once, no cycle, inputs of live nodes
/// exist (made, constant or graph input), outputs exist, arity and attribute types of known ops,
/// constants have the shape they claim. Errors name the node or value.
[[nodiscard]] Status verify(const Graph& graph);

/// verify(graph), and of the plan: ids exist, params valid for scheme and shape, payload types and
/// shapes fit, codes within the code range.
[[nodiscard]] Status verify(const QuantizedGraph& model);

/// Every weight that is not finite: error naming the first tensor and how many elements.
[[nodiscard]] Status check_finite_constants(const Graph& graph);

}  // namespace octet

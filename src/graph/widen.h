#pragma once
#include "graph/graph.h"

namespace octet {

/// Rewrites a graph that computes in float16 or bfloat16 to compute in float32: constants, tensor
/// attributes and all values but the graph's inputs and outputs become f32, and a Cast to one of
/// the narrow types becomes a Cast to f32. Graph inputs and outputs keep their declared types, with
/// a Cast between each and the rest. Ids of values stay. The graph is left as it is when nothing in
/// it is narrow; else its shapes are inferred. Results have more precision than the narrow types
/// would have kept.
[[nodiscard]] Status widen_halves(Graph& graph);

}  // namespace octet

#pragma once
// The float engine: a graph in topological order, one FloatOp per node, values freed after last
// use.

#include <memory>

#include "engine/program.h"

namespace octet {

/// Compiles a float graph. Conv followed only by Relu or Clip is fused where no tap can see the
/// value between. The graph is copied; constants share their storage.
/// `tap_candidates`: values that taps may ask for; they are never fused away. Errors name the node.
[[nodiscard]] Result<std::unique_ptr<Program>> compile_float(
    const Graph& graph, std::span<const ValueId> tap_candidates = {});

}  // namespace octet

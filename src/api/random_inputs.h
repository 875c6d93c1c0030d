#pragma once
// Inputs made up for measuring latency.

#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace octet {

/// Inputs for a graph at this batch size, from a fixed seed: floats uniform in [-1, 1]; integers
/// that index a constant table (embeddings) uniform over its rows; of other integers and booleans
/// masks (by type, or "mask" in the name) 1, the rest 0.
///
/// `shapes`: "[NAME=]1x3x224x224", for the input of that name or the next one in order. Extents
/// that model and `shapes` leave open are 224 in maps (rank 4, beyond the channels) and 128
/// elsewhere (the length of a sequence); extents of the same symbolic name are the same.
[[nodiscard]] Result<std::vector<Tensor>> random_inputs(const Graph& graph, int batch,
                                                        std::span<const std::string> shapes = {});

}  // namespace octet

#pragma once
#include <map>

#include "graph/graph.h"

namespace octet {

/// Fills dtype and shape of every value it can from the graph inputs and constants; follows integer
/// shape arithmetic (Shape, Gather, Concat, ... feeding Reshape) through dynamic dimensions.
/// Existing shapes are checked for contradiction. Errors name the node and its shapes.
[[nodiscard]] Status infer_shapes(Graph& graph);

/// Shapes of all values (by value slot, nullopt where unknown) when the graph inputs have these
/// shapes; the graph itself is not changed.
[[nodiscard]] Result<std::vector<std::optional<Shape>>> infer_shapes_for(
    const Graph& graph, const std::map<ValueId, Shape>& input_shapes);

}  // namespace octet

#pragma once
#include <string>
#include <vector>

#include "graph/plan.h"

namespace octet {

/// The quantized model over the weights, biases and activation nodes that it was made from, so that
/// layers of it can be run in float: what codes lost is in the graph again, and the codes stay as
/// payloads. `original` is the float graph, simplified; values and nodes are matched by name.
/// Equalization is seen through: weights are taken from the original times the scales that explain
/// the codes of all layers best (passes/scale_fit.h). `unmatched` gets the names of the nodes whose
/// weights could not be found there; they keep what their codes stand for, and show no error of
/// their weights. `moved_biases`: high-bias absorption has moved parts of biases into later layers,
/// so that they stay what their codes stand for.
[[nodiscard]] Result<QuantizedGraph> float_function(QuantizedGraph quantized, const Graph& original,
                                                    std::vector<std::string>& unmatched,
                                                    bool moved_biases = false);

}  // namespace octet

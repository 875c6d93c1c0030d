#pragma once
#include <vector>

#include "api/machine_model.h"
#include "graph/graph.h"
#include "octet/payoff.h"
#include "passes/pipeline.h"

namespace octet {

/// What `machine` takes for each layer that quantization would put in integers, batch 1. `graph` is
/// simplified, fitted to the target of the options, and has shapes.
[[nodiscard]] Result<std::vector<LayerPayoff>> predict_layers(const Graph& graph,
                                                              const QuantizeOptions& options,
                                                              const MachineModel& machine);

}  // namespace octet

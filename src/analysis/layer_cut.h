#pragma once
// Layers of a quantized model on their own: what each loses when it is fed what the float model
// has at its inputs.

#include <vector>

#include "graph/plan.h"

namespace octet {

/// One node of a quantized model, with what its engine computes along with it (an activation, the
/// Add of a bias), as a model of its own. Inputs
/// keep their quantization, so that float values fed to it become codes first.
struct LayerCut {
  QuantizedGraph model;
  std::vector<ValueId> inputs;   ///< in the whole model, in the order of model.graph.inputs
  std::vector<ValueId> outputs;  ///< in the whole model, in the order of model.graph.outputs
};

/// Every layer that the plan touches, in topological order.
[[nodiscard]] Result<std::vector<LayerCut>> cut_layers(const QuantizedGraph& model);

/// By value slot: the values whose error says something of a layer. They are quantized themselves
/// or made by a layer that the plan touches, and not constant.
[[nodiscard]] Result<std::vector<bool>> layer_outputs(const QuantizedGraph& model);

}  // namespace octet

#pragma once
// Layers of a quantized model on their own: what each loses when it is fed what the float model
// has at its inputs.

#include <vector>

#include "graph/plan.h"

namespace octet {

/// One node of a quantized model (with the activation fused into it) as a model of its own. Inputs
/// keep their quantization, so that float values fed to it become codes first.
struct LayerCut {
  QuantizedGraph model;
  std::vector<ValueId> inputs;   ///< in the whole model, in the order of model.graph.inputs
  std::vector<ValueId> outputs;  ///< in the whole model, in the order of model.graph.outputs
};

/// Every layer that the plan touches, in topological order. A node whose output stays unquantized
/// and is read by a Relu or Clip alone goes together with that.
[[nodiscard]] Result<std::vector<LayerCut>> cut_layers(const QuantizedGraph& model);

/// By value slot: made by a node that the plan touches, or quantized itself, and not constant. The
/// values whose error says something of a layer.
[[nodiscard]] std::vector<bool> layer_outputs(const QuantizedGraph& model);

}  // namespace octet

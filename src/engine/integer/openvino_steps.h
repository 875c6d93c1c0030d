#pragma once
// What rule openvino needs beyond the steps of step.h. Internal to the integer engine.

#include "engine/integer/layer_kernel.h"
#include "kernels/openvino.h"

namespace octet::integer {

/// How an accumulate node makes codes by rule openvino: the f32 results of a kernel, then a line.
struct OpenvinoLayer {
  kernels::ConvParams params;  ///< multiplier, output_bias, input_scale; output is floats
  kernels::openvino::CodeLine line;
};
[[nodiscard]] OpenvinoLayer openvino_layer(const Graph& graph, NodeId node,
                                           const AccumulateLayer& layer,
                                           const NodePlacement& placement,
                                           const kernels::CodeParams& input,
                                           const kernels::CodeParams& output);
[[nodiscard]] StepPointer make_openvino_layer_step(NodeId node, std::unique_ptr<LayerKernel> kernel,
                                                   const kernels::openvino::CodeLine& line,
                                                   int input, int output);

/// Add of the floats in buffer `moved` to the codes in buffer `kept`, of one shape; `in_layer`: by
/// the kernel that makes the floats.
[[nodiscard]] StepPointer make_openvino_sum_step(NodeId node,
                                                 const kernels::CodeParams& kept_params,
                                                 const kernels::CodeParams& output_params,
                                                 int moved, int kept, int output, bool in_layer);

}  // namespace octet::integer

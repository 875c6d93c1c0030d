#pragma once
// What rules tflite and xnnpack need beyond the steps of step.h. Internal to the integer engine.

#include "engine/integer/layer_kernel.h"
#include "kernels/litert.h"

namespace octet::integer {

/// Conv, ConvTranspose, Gemm, MatMul whose accumulators become codes by another formula than rule
/// onnx's, or whose weights have zero points.
[[nodiscard]] StepPointer make_litert_layer_step(
    const Graph& graph, NodeId node, const AccumulateLayer& layer, const NodePlacement& placement,
    const kernels::CodeParams& input, const kernels::CodeParams& output, const Shape& typical_input,
    int input_buffer, int output_buffer, kernels::Isa isa);

/// The codes of `layer` without its zero points, as a sum of tensors of 8-bit codes.
[[nodiscard]] std::vector<Tensor> centred_weights(const AccumulateLayer& layer);

}  // namespace octet::integer

#pragma once
// What rules tflite and xnnpack need beyond the steps of step.h. Internal to the integer engine.

#include "engine/integer/layer_kernel.h"
#include "kernels/litert.h"

namespace octet::integer {

/// The input's shape with guesses for dynamic extents, by which kernels are chosen; it fixes
/// nothing.
[[nodiscard]] Shape typical_shape(const Graph& graph, NodeId node);

/// Conv, ConvTranspose, Gemm, MatMul whose accumulators become codes by another formula than rule
/// onnx's, or whose weights have zero points.
[[nodiscard]] StepPointer make_litert_layer_step(
    const Graph& graph, NodeId node, const AccumulateLayer& layer, const NodePlacement& placement,
    const kernels::CodeParams& input, const kernels::CodeParams& output, const Shape& typical_input,
    int input_buffer, int output_buffer, kernels::Isa isa);

/// An accumulate node with a dynamic input: floats to floats. Shapes need not be known before the
/// step runs.
[[nodiscard]] StepPointer make_hybrid_step(const Graph& graph, NodeId node,
                                           const AccumulateLayer& layer,
                                           const litert::HybridForm& form,
                                           const Shape& typical_input, int input, int output,
                                           kernels::Isa isa);

// Steps of OutputForm::wide: images of 16-bit codes in float buffers, to the same. Shapes need not
// be known before the step runs.

[[nodiscard]] StepPointer make_wide_layer_step(
    const Graph& graph, NodeId node, const AccumulateLayer& layer, const NodePlacement& placement,
    const Quantization& input, const Quantization& output, const Shape& typical_input,
    int input_buffer, int output_buffer, kernels::Isa isa);
[[nodiscard]] StepPointer make_wide_product_step(NodeId node, const NodePlacement& placement,
                                                 const Quantization& a, const Quantization& b,
                                                 const Quantization& output,
                                                 std::vector<int> inputs, int output_buffer,
                                                 kernels::Isa isa);

/// The codes of `layer` without its zero points, as a sum of tensors of 8-bit codes.
[[nodiscard]] std::vector<Tensor> centred_weights(const AccumulateLayer& layer);

}  // namespace octet::integer

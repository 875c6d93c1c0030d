#include "passes/targets/onnxruntime.h"

namespace octet {

// Activations u8 (its s8 x s8 path is slow on x86), weights symmetric s8 in [-127, 127]. What it
// fuses to integer operators was read off the models that ONNX Runtime 1.32 optimizes: Gemm and
// MatMul with either output, the others only between DequantizeLinear and QuantizeLinear. Softmax
// and normalizations stay float: their outputs span orders of magnitude that 8 bits cannot tell
// apart. Operators of form `between` have no integer form there, but give what a table lookup
// gives. ConvTranspose runs in float too, but left with float weights between DequantizeLinear and
// QuantizeLinear, ONNX Runtime would round those itself (its WeightBiasQuantization), per tensor.
const TargetProfile& onnxruntime_target() {
  static const TargetProfile profile{
      .name = "onnxruntime",
      .ops =
          {
              {"Conv", IntegerKind::accumulate},
              {"ConvTranspose", IntegerKind::accumulate},
              {"Gemm", IntegerKind::accumulate, IntegerForm::float_output},
              {"MatMul", IntegerKind::accumulate, IntegerForm::float_output},
              {"Add", IntegerKind::elementwise},
              {"Mul", IntegerKind::elementwise},
              {"AveragePool", IntegerKind::elementwise},
              {"GlobalAveragePool", IntegerKind::elementwise},
              {"Relu", IntegerKind::elementwise},
              {"Clip", IntegerKind::elementwise},
              {"Sigmoid", IntegerKind::elementwise},
              {"LeakyRelu", IntegerKind::elementwise},
              {"HardSigmoid", IntegerKind::elementwise, IntegerForm::between},
              {"HardSwish", IntegerKind::elementwise, IntegerForm::between},
              {"Swish", IntegerKind::elementwise, IntegerForm::between},
              {"Mish", IntegerKind::elementwise, IntegerForm::between},
              {"PRelu", IntegerKind::elementwise, IntegerForm::between},
              {"Tanh", IntegerKind::elementwise, IntegerForm::between},
              {"Elu", IntegerKind::elementwise, IntegerForm::between},
              {"Gelu", IntegerKind::elementwise, IntegerForm::between},
              {"MaxPool", IntegerKind::pass_through},
              {"Reshape", IntegerKind::pass_through},
              {"Flatten", IntegerKind::pass_through},
              {"Squeeze", IntegerKind::pass_through},
              {"Unsqueeze", IntegerKind::pass_through},
              {"Transpose", IntegerKind::pass_through},
              {"Slice", IntegerKind::pass_through},
              {"Pad", IntegerKind::pass_through},
              {"Identity", IntegerKind::pass_through},
              {"Split", IntegerKind::pass_through},
              {"Gather", IntegerKind::pass_through},
              {"Resize", IntegerKind::pass_through},
              {"DepthToSpace", IntegerKind::pass_through},
              {"Tile", IntegerKind::pass_through},
              {"Concat", IntegerKind::join},
          },
      .activation = {8, Symmetry::asymmetric, Granularity::per_tensor, 0, CodeRange::full},
      .weight = {8, Symmetry::symmetric, Granularity::per_channel, 0, CodeRange::narrow},
      .activation_storage = DType::u8,
      .weight_storage = DType::i8,
      .rule = Rule::onnx,
      .wide_values = true,
  };
  return profile;
}

}  // namespace octet

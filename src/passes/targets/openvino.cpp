#include "passes/targets/openvino.h"

namespace octet {

// Activations u8, weights symmetric s8 in [-127, 127]; VNNI sums u8 * s8 exactly, so that the first
// layer needs no half range. What runs on codes was read off the runtime models of OpenVINO 2026.4:
// every operator that computes can give floats as well. A MatMul of two activations runs in f32
// unless the second one is symmetric. Biases stay f32. The sum of a residual connection is fused
// into the convolution behind which it stands, and there a quantization of the convolution's own
// result would be limited but not rounded: so that result is left as floats, which is as fast, more
// accurate, and leaves nothing to chance (docs/decisions/0009). Operators of form `between` run as
// f32 functions of dequantized codes, as a table lookup does.
const TargetProfile& openvino_target() {
  static const TargetProfile profile{
      .name = "openvino",
      .ops =
          {
              {"Conv", IntegerKind::accumulate, IntegerForm::float_output},
              {"Gemm", IntegerKind::accumulate, IntegerForm::float_output},
              {"MatMul", IntegerKind::accumulate, IntegerForm::float_output},
              {"Add", IntegerKind::elementwise, IntegerForm::float_output},
              {"Mul", IntegerKind::elementwise, IntegerForm::float_output},
              {"AveragePool", IntegerKind::elementwise, IntegerForm::float_output},
              {"GlobalAveragePool", IntegerKind::elementwise, IntegerForm::float_output},
              {"Relu", IntegerKind::elementwise},
              {"Clip", IntegerKind::elementwise},
              {"Sigmoid", IntegerKind::elementwise, IntegerForm::between},
              {"LeakyRelu", IntegerKind::elementwise, IntegerForm::between},
              {"HardSigmoid", IntegerKind::elementwise, IntegerForm::between},
              {"HardSwish", IntegerKind::elementwise, IntegerForm::between},
              {"Swish", IntegerKind::elementwise, IntegerForm::between},
              {"Mish", IntegerKind::elementwise, IntegerForm::between},
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
              {"DepthToSpace", IntegerKind::pass_through},
              {"Concat", IntegerKind::join},
          },
      .activation = {8, Symmetry::asymmetric, Granularity::per_tensor, 0, CodeRange::full},
      .weight = {8, Symmetry::symmetric, Granularity::per_channel, 0, CodeRange::narrow},
      .activation_storage = DType::u8,
      .weight_storage = DType::i8,
      .rule = Rule::openvino,
      .products = false,
      .float_bias = true,
      .float_addends = true,
  };
  return profile;
}

}  // namespace octet

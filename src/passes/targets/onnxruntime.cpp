#include "passes/targets/onnxruntime.h"

namespace octet {

// Activations u8 (its s8 x s8 path is slow on x86), weights symmetric s8 in [-127, 127]. Softmax
// stays float: its outputs span orders of magnitude that 8 bits cannot tell apart. HardSigmoid and
// HardSwish have no integer form there, but between Q and DQ they give what a table lookup gives.
const TargetProfile& onnxruntime_target() {
  static const TargetProfile profile{
      .name = "onnxruntime",
      .ops =
          {
              {"Conv", IntegerKind::accumulate},
              {"Gemm", IntegerKind::accumulate},
              {"MatMul", IntegerKind::accumulate},
              {"Add", IntegerKind::elementwise},
              {"Mul", IntegerKind::elementwise},
              {"AveragePool", IntegerKind::elementwise},
              {"GlobalAveragePool", IntegerKind::elementwise},
              {"Relu", IntegerKind::elementwise},
              {"Clip", IntegerKind::elementwise},
              {"Sigmoid", IntegerKind::elementwise},
              {"HardSigmoid", IntegerKind::elementwise},
              {"HardSwish", IntegerKind::elementwise},
              {"MaxPool", IntegerKind::pass_through},
              {"Reshape", IntegerKind::pass_through},
              {"Flatten", IntegerKind::pass_through},
              {"Squeeze", IntegerKind::pass_through},
              {"Unsqueeze", IntegerKind::pass_through},
              {"Transpose", IntegerKind::pass_through},
              {"Slice", IntegerKind::pass_through},
              {"Pad", IntegerKind::pass_through},
              {"Identity", IntegerKind::pass_through},
              {"Concat", IntegerKind::join},
          },
      .activation = {8, Symmetry::asymmetric, Granularity::per_tensor, 0, CodeRange::full},
      .weight = {8, Symmetry::symmetric, Granularity::per_channel, 0, CodeRange::narrow},
      .activation_storage = DType::u8,
      .weight_storage = DType::i8,
      .rule = Rule::onnx,
  };
  return profile;
}

}  // namespace octet

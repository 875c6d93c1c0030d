#include "passes/targets/tflite.h"

namespace octet {
namespace {

// Softmax, Sigmoid, Tanh and LogSoftmax have outputs in known ranges, and the kernels demand the
// params that cover them.
constexpr FixedOutput zero_to_one{1.0F / 256, -128};
constexpr FixedOutput minus_one_to_one{1.0F / 128, 0};
constexpr FixedOutput minus_sixteen_to_zero{16.0F / 256, 127};
constexpr FixedOutput wide_unit{1.0F / 32768, 0};

constexpr auto codes = IntegerForm::codes;

std::vector<IntegerOp> operators_of_both_widths() {
  return {
      {"Conv", IntegerKind::accumulate},
      {"ConvTranspose", IntegerKind::accumulate},
      {"Gemm", IntegerKind::accumulate},
      {"MatMul", IntegerKind::product},
      {"Add", IntegerKind::elementwise},
      {"Sub", IntegerKind::elementwise},
      {"Mul", IntegerKind::elementwise},
      {"Relu", IntegerKind::elementwise},
      {"Clip", IntegerKind::elementwise},
      {"LeakyRelu", IntegerKind::elementwise},
      {"GlobalAveragePool", IntegerKind::elementwise},
      {"ReduceMean", IntegerKind::elementwise},
      {"AveragePool", IntegerKind::pass_through},
      {"MaxPool", IntegerKind::pass_through},
      {"GlobalMaxPool", IntegerKind::pass_through},
      {"ReduceMax", IntegerKind::pass_through},
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
      {"Tile", IntegerKind::pass_through},
      {"Concat", IntegerKind::join},
      {"Max", IntegerKind::join},
      {"Min", IntegerKind::join},
  };
}

std::vector<IntegerOp> operators() {
  auto ops = operators_of_both_widths();
  ops.insert(ops.end(), {
                            {"PRelu", IntegerKind::elementwise},
                            {"HardSwish", IntegerKind::elementwise},
                            {"Gelu", IntegerKind::elementwise},
                            {"Exp", IntegerKind::elementwise},
                            {"Elu", IntegerKind::elementwise},
                            {"DepthToSpace", IntegerKind::pass_through},
                            {"SpaceToDepth", IntegerKind::pass_through},
                            {"Softmax", IntegerKind::elementwise, codes, zero_to_one},
                            {"Sigmoid", IntegerKind::elementwise, codes, zero_to_one},
                            {"Tanh", IntegerKind::elementwise, codes, minus_one_to_one},
                            {"LogSoftmax", IntegerKind::elementwise, codes, minus_sixteen_to_zero},
                        });
  return ops;
}

std::vector<IntegerOp> wide_operators() {
  auto ops = operators_of_both_widths();
  ops.insert(ops.end(), {
                            {"Softmax", IntegerKind::elementwise, codes, wide_unit},
                            {"Sigmoid", IntegerKind::elementwise, codes, wide_unit},
                            {"Tanh", IntegerKind::elementwise, codes, wide_unit},
                        });
  return ops;
}

// What LiteRT 2.3 loads and computes alike with its reference kernels and with XNNPACK, each found
// by sweeping the scales of models of one operator (tests/parity/litert_limits.py). XNNPACK ends
// with an error on layers of 2^8 and more; its delegate leaves sums outside [2^-10, 2^8) and
// products of 2^8 and more to kernels whose results wrap around. The other operators' fixed-point
// factors reach further than 2^8, but nothing is lost: a step of the input then spans all codes of
// the output. HARD_SWISH has factors of 16 bits; the exponentials of (LOG_)SOFTMAX abort below
// 2^-25, and the bounds of RELU6 and its kin must fit int32 in steps of the output. Layers have
// half of what XNNPACK takes: accumulator room and bias correction may still raise weight scales.
std::vector<ScaleLimits> scale_limits() {
  std::vector<ScaleLimits> limits = {{"Add", 0x1p8F, 0x1p-10F},
                                     {"Sub", 0x1p8F, 0x1p-10F},
                                     {"HardSwish", 0x1p7F, 0x1p-8F, 0x1p-20F},
                                     {"Softmax", 0x1p8F, 0, 0x1p-24F},
                                     {"LogSoftmax", 0x1p8F, 0, 0x1p-24F}};
  for (const auto* op : {"Conv", "ConvTranspose", "Gemm", "MatMul"}) {
    limits.push_back({op, 0x1p7F});
  }
  for (const auto* op : {"Mul", "PRelu", "LeakyRelu", "Relu", "Clip", "Gelu", "Elu", "Identity",
                         "ReduceMean", "GlobalAveragePool"}) {
    limits.push_back({op});
  }
  return limits;
}

}  // namespace

// The LiteRT 8-bit quantization specification
// (https://ai.google.dev/edge/litert/models/quantization_spec): activations int8 asymmetric,
// weights int8 symmetric in [-127, 127], biases int32 in units of input * weight scale (int64 with
// int16 activations, which are symmetric). Pooling, moves and joins keep their input's params. The
// operators are those that LiteRT 2.3 runs on int8 and int16 tensors with its reference, optimized
// and XNNPACK kernels (Elu: not with the reference ones). Left out although they exist: SUM, whose
// reference kernel gives meaningless codes, Div, Sqrt
// and Rsqrt, which fail at run time where a divisor or root has the code of zero, and Neg, Abs and
// Log. Of 16 bits also PRELU, which computes something else in LiteRT 2.3, and GELU and EXP, whose
// tables are up to 126 steps off. FULLY_CONNECTED takes scales per channel in all three sets of
// kernels.
const TargetProfile& tflite_target() {
  static const TargetProfile profile{
      .name = "tflite",
      .ops = operators(),
      .activation = {8, Symmetry::asymmetric, Granularity::per_tensor, 0, CodeRange::full},
      .weight = {8, Symmetry::symmetric, Granularity::per_channel, 0, CodeRange::narrow},
      .activation_storage = DType::i8,
      .weight_storage = DType::i8,
      .rule = Rule::xnnpack,
      .extent = Extent::everywhere,
      .coded_slopes = true,
      .litert = true,
      .limits = scale_limits(),
      .least_clipped = 0x1p-28F,
      .wide_ops = wide_operators(),
  };
  return profile;
}

}  // namespace octet

#pragma once
// Target profiles: what a runtime executes in integers, and the schemes it accepts, as data.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arithmetic/scheme.h"
#include "core/dtype.h"
#include "graph/plan.h"

namespace octet {

/// How a node takes part in integer execution.
enum class IntegerKind : std::uint8_t {
  accumulate,    ///< Conv, Gemm, MatMul with constant weights: int32 accumulator, bias, requantize
  product,       ///< MatMul of two activations: int32 accumulator, requantize
  bias,          ///< Add of a constant row to what an accumulating MatMul gives: its bias
  elementwise,   ///< Add, Mul, pooling, activations: every input and output has its own params
  pass_through,  ///< Reshape, MaxPool, Split, Gather...: outputs share the input's params
  join,          ///< Concat: all inputs share the output's params
};

/// What the target does with an operator between DequantizeLinear and QuantizeLinear.
enum class IntegerForm : std::uint8_t {
  codes,         ///< runs on codes and gives codes
  float_output,  ///< the same, and it can give floats as well
  between,       ///< runs in float; a table lookup in octet. Only worth codes that are there anyway
};

struct IntegerOp {
  std::string_view op;
  IntegerKind kind = IntegerKind::elementwise;
  IntegerForm form = IntegerForm::codes;
};

struct TargetProfile {
  std::string_view name;
  std::vector<IntegerOp> ops;
  QuantScheme activation;
  QuantScheme weight;
  DType activation_storage = DType::u8;
  DType weight_storage = DType::i8;
  Rule rule = Rule::onnx;
  /// MatMul of two activations runs in integers.
  bool products = true;
  /// Biases are f32 constants, added after the accumulator was scaled; else int32, in its units.
  bool float_bias = false;
  /// Add takes one operand as floats where that comes from an accumulating node for it alone.
  bool float_addends = false;
};

/// nullptr when there is no such target.
[[nodiscard]] const TargetProfile* find_target(std::string_view name);
[[nodiscard]] std::vector<std::string_view> target_names();

}  // namespace octet

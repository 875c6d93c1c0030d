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
  elementwise,   ///< Add, Mul, pooling, activations: every input and output has its own params
  pass_through,  ///< Reshape, MaxPool, Transpose, Slice...: output shares the input's params
  join,          ///< Concat: all inputs share the output's params
};

struct IntegerOp {
  std::string_view op;
  IntegerKind kind = IntegerKind::elementwise;
};

struct TargetProfile {
  std::string_view name;
  std::vector<IntegerOp> ops;
  QuantScheme activation;
  QuantScheme weight;
  DType activation_storage = DType::u8;
  DType weight_storage = DType::i8;
  Rule rule = Rule::onnx;
};

/// nullptr when there is no such target.
[[nodiscard]] const TargetProfile* find_target(std::string_view name);
[[nodiscard]] std::vector<std::string_view> target_names();

}  // namespace octet

#pragma once
// Target profiles: what a runtime executes in integers, and the schemes it accepts, as data.

#include <optional>
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

/// Output params that a runtime demands whatever the data.
struct FixedOutput {
  float scale = 1;
  std::int32_t zero_point = 0;

  friend bool operator==(const FixedOutput&, const FixedOutput&) = default;
};

struct IntegerOp {
  std::string_view op;
  IntegerKind kind = IntegerKind::elementwise;
  IntegerForm form = IntegerForm::codes;
  std::optional<FixedOutput> fixed = {};
};

/// Ratios of scales that a runtime's kernels take. The unit of a result is the product of both
/// scales for operators that multiply, else each input's scale.
struct ScaleLimits {
  std::string_view op;
  float below = 256;      ///< unit / output scale is less than this
  float least = 0;        ///< and at least this
  float least_input = 0;  ///< the scale of the input is at least this
};

/// Where a target runs in integers.
enum class Extent : std::uint8_t {
  where_useful,  ///< around Conv, Gemm and MatMul; other values stay float where they are floats
  everywhere,    ///< every node that it has in integers, graph inputs and outputs included
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
  Extent extent = Extent::where_useful;
  /// Scales of Gemm weights where they differ from `weight`.
  std::optional<Granularity> gemm_weight = {};
  /// The slope of a PRelu is quantized like a constant operand.
  bool coded_slopes = false;
  /// Has what fit_target_litert (passes/litert.h) makes of a graph.
  bool litert = false;
  /// What else passes/widen_ranges.cpp sees to; operators that are not named take any scales.
  std::vector<ScaleLimits> limits = {};
  /// Least scale of a result that a Clip limits.
  float least_clipped = 0;
  /// Runs on microcontrollers: no kernels for float activations with int8 or float16 weights, and
  /// float operators are worth a note.
  bool micro = false;
  /// Integer operators of the file format that the runtime itself may lack.
  std::vector<std::string_view> doubtful = {};
  /// Single values may have 16 bits: the operators at them run in float between codes.
  bool wide_values = false;
  /// With 16-bit activations: the operators for them; empty where the target has none.
  std::vector<IntegerOp> wide_ops = {};
};

/// nullptr when there is no such target.
[[nodiscard]] const TargetProfile* find_target(std::string_view name);
/// The target with activations of that many bits: more than 8 are symmetric, with the operators
/// that run on them. Fails where the target does not have them.
[[nodiscard]] Result<TargetProfile> with_activation_bits(const TargetProfile& target, int bits);
[[nodiscard]] std::vector<std::string_view> target_names();

}  // namespace octet

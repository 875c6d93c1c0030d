#pragma once
// QuantPlan: how each value of a float Graph is quantized. A quantized model is the two together.

#include <map>
#include <optional>
#include <string_view>

#include "arithmetic/params.h"
#include "arithmetic/requantize.h"
#include "graph/graph.h"

namespace octet {

/// Where the numbers of a quantization come from.
enum class Origin : std::uint8_t {
  observed,  ///< calibration, or the weights themselves
  shared,    ///< taken over from another value (Concat, pooling, reshape)
  derived,   ///< follows from others (bias = input scale * weight scale)
  learned,   ///< trained
  fixed,     ///< demanded by the target (Softmax output, a graph's u8 image input)
  imported,  ///< read from a quantized file
  dynamic,   ///< computed at run time from the range of each tensor; params are empty
};

[[nodiscard]] std::string_view name(Origin origin);

/// How a file states a dynamically quantized operator.
enum class DynamicForm : std::uint8_t {
  integer_operators,  ///< DynamicQuantizeLinear, MatMulInteger or ConvInteger, Cast, Mul
  qdq,                ///< DynamicQuantizeLinear, DequantizeLinear, and the float operator
};

struct Quantization {
  QuantScheme scheme;
  QuantParams params;
  Origin origin = Origin::observed;
  /// How a file stores the codes: i8, u8, i16, u16, i32, i64. Unsigned types store code + 2^(n-1),
  /// n the bits of the storage type, with the zero point moved alike. Inside octet codes are
  /// signed.
  DType storage = DType::i8;

  friend bool operator==(const Quantization&, const Quantization&) = default;
};

/// 8-bit asymmetric per-tensor with params computed at run time.
[[nodiscard]] bool is_dynamic(const Quantization& quantization);
[[nodiscard]] Quantization dynamic_quantization();

class QuantPlan {
 public:
  std::map<ValueId, Quantization> values;
  /// Where one use of a value needs another quantization than `values` gives. Only here may a
  /// quantization be dynamic: a Conv, Gemm or MatMul with coded weights then quantizes that input
  /// at run time (ONNX DynamicQuantizeLinear, over the whole tensor) and gives floats.
  std::map<Use, Quantization> overrides;
  /// Signed codes (i8, i16, i32; i64 for the biases of 16-bit activations, whose float image
  /// rounds) of constants. Where present they are authoritative and the float constant is only
  /// their image; a pass that edits the weight or its scale must erase the payload.
  std::map<ValueId, Tensor> payloads;
  /// Graph inputs and outputs that the file states as integers (i8, u8, i16) in the quantization of
  /// the value, and not as floats. Engines take and give floats all the same; a format that knows
  /// integer inputs writes these as such, and whoever feeds a model may hand over the codes
  /// themselves (quantizing what was dequantized gives the same code).
  std::map<ValueId, DType> coded_io;
  /// Rule by which the integer operators requantize.
  Rule rule = Rule::onnx;
  /// Name of the target profile that the plan was made for, "" when imported.
  std::string target;
  DynamicForm dynamic_form = DynamicForm::integer_operators;

  [[nodiscard]] bool empty() const { return values.empty() && overrides.empty(); }
  /// Quantization of a value, or nullptr when it stays float.
  [[nodiscard]] const Quantization* find(ValueId id) const;
  /// Quantization that this use sees: the override, else the value's, else nullptr.
  [[nodiscard]] const Quantization* find(const Graph& graph, const Use& use) const;
};

struct QuantizedGraph {
  Graph graph;
  QuantPlan plan;
};

/// Whether the node gives codes of its inputs as they are, or that of zero: an operator that moves
/// elements or takes some (MaxPool, Reshape, Concat, Relu ...), whose output has the params under
/// which it reads.
[[nodiscard]] bool moves_codes(const QuantizedGraph& model, NodeId id);

/// Signed codes of a quantized constant: the payload, or quantize(constant) when there is none.
[[nodiscard]] Result<Tensor> constant_codes(const QuantizedGraph& model, const Use& use);

}  // namespace octet

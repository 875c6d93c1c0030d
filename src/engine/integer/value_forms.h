#pragma once
// The forms in which steps find values: codes under some params and in some order in memory, or
// floats. Adds the steps that take one form to another, each once. Internal to lowering.

#include <map>
#include <tuple>

#include "engine/integer/lowering.h"

namespace octet::integer {

/// Whether codes mean the same.
[[nodiscard]] bool same_params(const kernels::CodeParams& a, const kernels::CodeParams& b);

class ValueForms {
 public:
  /// `model` has inferred shapes; `program.graph` holds the fake constants. Both must outlive this.
  ValueForms(const QuantizedGraph& model, Lowered& program);

  // Buffers

  /// A buffer for codes of a value, in the order in memory that suits the value.
  int add_codes(ValueId value, const kernels::CodeParams& params);
  int add_codes(ValueId value, const kernels::CodeParams& params, bool channels_last);
  /// [N,C,L] as an image.
  int add_image(ValueId value, const kernels::CodeParams& params);
  int add_floats(ValueId value);
  [[nodiscard]] Buffer& buffer(int id) { return program_.buffers[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const kernels::CodeParams& params(int id) { return buffer(id).params; }
  void add_step(StepPointer step) { program_.steps.push_back(std::move(step)); }

  // What has been computed

  /// Declares what the graph's readers of a value see: its codes, or its floats.
  void define(ValueId value, int buffer);
  /// A float buffer that has just been computed: quantized at once where the plan says so.
  void define_floats(ValueId value, int buffer, NodeId node);

  // What a node reads

  /// The floats of a value, as the plan's quantization leaves them.
  Result<int> float_of(ValueId value, NodeId node);
  /// What a float node reads at one of its inputs.
  Result<int> float_input(NodeId node, int input);
  /// The codes that an integer node reads at one of its inputs.
  Result<int> coded_input(NodeId node, int input);
  /// Input 0 of an accumulating node, quantized when the program runs.
  Result<int> dynamic_input(NodeId node, InputOrder order);
  /// The same codes under other params: a table of the quantized values that they stand for.
  int converted(int buffer, const kernels::CodeParams& wanted, NodeId node);
  /// The same for a part of a Concat, which LiteRT computes in another way.
  int joined(int buffer, const kernels::CodeParams& wanted, NodeId node);
  /// The same codes in another order in memory.
  int in_order(int buffer, bool channels_last, NodeId node);
  /// The floats that codes stand for.
  int dequantized(int buffer, NodeId node);

 private:
  int add_buffer(Buffer buffer);
  Result<int> defined(ValueId value) const;
  int constant_floats(ValueId value, const Tensor& constant);
  /// What an override makes of a value's image where LiteRT converts codes to codes; else the
  /// buffer itself.
  int converted_image_of(int buffer, ValueId value, const Quantization& wanted, NodeId node);
  /// Codes of a float buffer, or its fake-quantized image where codes do not fit 8 bits.
  int quantized(int buffer, ValueId value, const Quantization& quantization, NodeId node);

  const QuantizedGraph& model_;
  Lowered& program_;
  std::vector<bool> channels_last_;
  std::map<ValueId, int> defined_;
  std::map<ValueId, int> constants_;
  std::map<int, int> dequantized_;
  std::map<std::pair<int, bool>, int> reordered_;
  std::map<std::pair<int, InputOrder>, int> dynamic_;
  std::map<int, int> dynamic_fake_;
  std::vector<std::pair<int, int>> conversions_;
};

}  // namespace octet::integer

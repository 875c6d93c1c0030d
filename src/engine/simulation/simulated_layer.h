#pragma once
// One Conv, ConvTranspose, Gemm or MatMul on integer-valued f32. Internal to the simulation.

#include <memory>

#include "arithmetic/hybrid.h"
#include "arithmetic/litert.h"
#include "arithmetic/openvino.h"
#include "engine/float/float_op.h"
#include "engine/integer/placement.h"
#include "engine/simulation/simulation_program.h"

namespace octet::simulation {

/// Signed codes in the memory order of an Activation.
struct CodedActivation {
  Tensor codes;  ///< i8; shape() is the logical shape
  bool channels_last = false;
};

/// Codes with the quantization that was chosen for them at run time.
struct DynamicCodes {
  CodedActivation coded;
  std::int32_t zero_point = 0;  ///< signed
  float scale = 1;
};

/// ONNX DynamicQuantizeLinear.
[[nodiscard]] Result<DynamicCodes> quantize_dynamically(const Activation& values);

/// The same codes in row-major order of the logical shape.
[[nodiscard]] CodedActivation to_plain_codes(const CodedActivation& codes);

/// Convolves (q - zero_point) with the weight codes on the float engine and adds the int32 bias;
/// then requantizes, or scales and adds the f32 bias. The layer keeps no reference to the model.
class AccumulateOp {
 public:
  [[nodiscard]] static Result<std::unique_ptr<AccumulateOp>> make(const QuantizedGraph& model,
                                                                  NodeId node,
                                                                  const NodePlacement& placement);

  /// Of OutputForm::codes.
  [[nodiscard]] Result<CodedActivation> run(const CodedActivation& input,
                                            FloatOp::State* state) const;
  /// Of OutputForm::floats, with the input's quantization by the plan or chosen at run time.
  [[nodiscard]] Result<Activation> run_to_floats(const CodedActivation& input,
                                                 FloatOp::State* state) const;
  [[nodiscard]] Result<Activation> run_to_floats(const DynamicCodes& input,
                                                 FloatOp::State* state) const;
  /// With a dynamic input by rules tflite and xnnpack.
  [[nodiscard]] Result<Activation> run_hybrid(const Activation& values,
                                              FloatOp::State* state) const;
  /// Of OutputForm::wide: images of 16-bit codes.
  [[nodiscard]] Result<Activation> run_wide(const Activation& values, FloatOp::State* state) const;
  [[nodiscard]] std::unique_ptr<FloatOp::State> make_state() const { return op_->make_state(); }
  [[nodiscard]] const SimulatedLayer& summary() const { return summary_; }

 private:
  /// Sums without bias: integers in f32.
  [[nodiscard]] Result<Activation> sums(const CodedActivation& input, std::int32_t zero_point,
                                        FloatOp::State* state) const;
  /// Calls fn(position, channel, accumulator) for all elements in memory order.
  template <class Fn>
  void for_each_accumulator(const Activation& sums, Fn fn) const;

  std::unique_ptr<FloatOp> op_;
  SimulatedLayer summary_;
  OutputForm form_ = OutputForm::codes;
  std::vector<float> multipliers_;                ///< floats: the weight scales
  std::vector<openvino::Layer> openvino_layers_;  ///< by channel; codes by rule openvino
  litert::HybridForm hybrid_;
  litert::WideForm wide_;
  Quantization wide_input_, wide_output_;
  std::vector<std::int64_t> wide_bias_;
  litert::Scaling scaling_ = litert::Scaling::floating;
  std::vector<litert::Channel> channels_;  ///< codes by rules tflite and xnnpack
  std::vector<std::int32_t> bias_;
  std::vector<float> float_bias_;
  float input_scale_ = 1;
  std::int32_t input_zero_point_ = 0;
  std::int32_t output_zero_point_ = 0;
  std::int32_t low_ = 0;
  std::int32_t high_ = 0;
  bool channel_axis_is_1_ = false;  ///< Conv; otherwise channels are the last axis
};

}  // namespace octet::simulation

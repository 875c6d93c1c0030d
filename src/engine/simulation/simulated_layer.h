#pragma once
// One Conv, Gemm or MatMul on integer-valued f32. Internal to the simulation.

#include <memory>

#include "engine/float/float_op.h"
#include "engine/integer/placement.h"
#include "engine/simulation/simulation_program.h"

namespace octet::simulation {

/// Signed codes in the memory order of an Activation.
struct CodedActivation {
  Tensor codes;  ///< i8; shape() is the logical shape
  bool channels_last = false;
};

/// Convolves (q - zero_point) with the weight codes on the float engine, adds the int32 bias and
/// requantizes. The layer keeps no reference to the model.
class AccumulateOp {
 public:
  [[nodiscard]] static Result<std::unique_ptr<AccumulateOp>> make(const QuantizedGraph& model,
                                                                  NodeId node,
                                                                  const NodePlacement& placement);

  [[nodiscard]] Result<CodedActivation> run(const CodedActivation& input,
                                            FloatOp::State* state) const;
  [[nodiscard]] std::unique_ptr<FloatOp::State> make_state() const { return op_->make_state(); }
  [[nodiscard]] const SimulatedLayer& summary() const { return summary_; }

 private:
  std::unique_ptr<FloatOp> op_;
  SimulatedLayer summary_;
  std::vector<float> multipliers_;
  std::vector<std::int32_t> bias_;
  std::int32_t input_zero_point_ = 0;
  std::int32_t output_zero_point_ = 0;
  std::int32_t low_ = 0;
  std::int32_t high_ = 0;
  bool channel_axis_is_1_ = false;  ///< Conv; otherwise channels are the last axis
};

/// AveragePool and GlobalAveragePool: int64 sums of (q - zero_point), then rule onnx.
[[nodiscard]] Result<CodedActivation> average_codes(const Node& node, const Quantization& input,
                                                    const Quantization& output,
                                                    const NodePlacement& placement,
                                                    const CodedActivation& codes);

/// Add with numpy broadcasting, by rule onnx.
[[nodiscard]] Result<CodedActivation> add_codes(const Quantization& a_quantization,
                                                const CodedActivation& a,
                                                const Quantization& b_quantization,
                                                const CodedActivation& b,
                                                const Quantization& output,
                                                const NodePlacement& placement);

/// The same codes in row-major order of the logical shape.
[[nodiscard]] CodedActivation to_plain_codes(const CodedActivation& codes);

}  // namespace octet::simulation

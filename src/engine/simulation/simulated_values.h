#pragma once
// The values of one run of the simulation: what nodes write, and what they read through the plan.
// Internal to the simulation.

#include <set>

#include "engine/simulation/simulated_ops.h"

namespace octet::simulation {

/// Quantizes by `rule`, then clamps the codes to [low, high].
[[nodiscard]] Result<CodedActivation> to_codes(const Activation& values,
                                               const Quantization& quantization, Rule rule,
                                               std::int32_t low, std::int32_t high);
/// The same with all codes of the scheme.
[[nodiscard]] Result<CodedActivation> to_codes(const Activation& values,
                                               const Quantization& quantization, Rule rule);

/// Every float value and every code of one run, by ValueId.
class SimulatedValues {
 public:
  /// `graph` is that of `model` with the quantized constants replaced by what their codes stand
  /// for. Both outlive the values.
  SimulatedValues(const QuantizedGraph& model, const Graph& graph) : model_(model), graph_(graph) {}

  /// Forgets all values; `taps` may be null.
  void begin_run(const TapRequest* taps);
  void free(ValueId id) { values_[index(id)] = {}; }

  /// A freshly computed float value: quantized where the plan says so.
  Status set_floats(ValueId id, Activation values);
  void set_codes(ValueId id, CodedActivation codes);
  /// What computes 16-bit codes.
  void set_image(ValueId id, Activation image);

  [[nodiscard]] Result<Activation> floats_of(ValueId id) const;
  /// What a node reads at an input: the floats its quantization leaves.
  [[nodiscard]] Result<Activation> float_input(NodeId node, int input) const;
  /// The same as codes.
  [[nodiscard]] Result<Operand> operand(NodeId node, int input) const;
  /// What a node that moves codes reads by rules tflite and xnnpack: codes under the output's
  /// params where the role says so.
  [[nodiscard]] Result<Activation> moved_input(NodeId node, int input,
                                               const NodePlacement& placement) const;
  /// One part of a Split.
  [[nodiscard]] Result<CodedActivation> part_codes(NodeId node, const Activation& part,
                                                   const Quantization& output) const;

 private:
  /// A value: its codes, or its floats.
  struct Value {
    CodedActivation coded;
    Activation floats;
    [[nodiscard]] bool is_coded() const { return !coded.codes.empty(); }
  };

  [[nodiscard]] const QuantPlan& plan() const { return model_.plan; }
  void tap(ValueId id) const;

  const QuantizedGraph& model_;
  const Graph& graph_;
  std::vector<Value> values_;
  const TapRequest* taps_ = nullptr;
  std::set<ValueId> wanted_;
};

}  // namespace octet::simulation

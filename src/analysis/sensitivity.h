#pragma once
// What each layer of a quantized model costs at its outputs: quantized alone, and left float alone.

#include <string>
#include <vector>

#include "analysis/plan_trials.h"

namespace octet {

/// A node that runs in integers, with the activation or bias Add that it computes along.
struct IntegerLayer {
  std::string name;  ///< of the first node, as --keep-float names it
  std::string op;
  std::vector<NodeId> nodes;       ///< in execution order
  ValueId output = ValueId::none;  ///< what the last one makes
};

struct LayerSensitivity {
  IntegerLayer layer;
  TrialError alone_quantized;  ///< the other layers float
  TrialError left_float;       ///< the other layers quantized

  /// Error at the outputs when nothing else is quantized: KL in nats, or noise over signal where
  /// the outputs are no scores (TrialError::error).
  double alone_quantized_error = 0;
  /// What leaving it float takes off the error of the quantized model; negative where it adds.
  double left_float_gain = 0;
};

struct Sensitivity {
  std::int64_t samples = 0;
  TrialError quantized;                  ///< of the whole model
  std::vector<LayerSensitivity> layers;  ///< in execution order
};

/// Layers that compute in integers, in execution order; nodes that only move codes are none.
[[nodiscard]] Result<std::vector<IntegerLayer>> integer_layers(const QuantizedGraph& model);

/// The plan with this layer alone quantized: its weights and bias, what it reads, what it gives.
[[nodiscard]] QuantPlan plan_alone(const QuantizedGraph& model, const IntegerLayer& layer);

/// The plan that --keep-float would give for these layers: their constants are float; values
/// between them and their neighbours stay quantized where an integer layer reads them, or where
/// their maker has only codes to give; an Add, pooling or lookup whose inputs nothing quantizes any
/// more becomes float, too.
[[nodiscard]] Result<QuantPlan> plan_without(const QuantizedGraph& model,
                                             std::span<const IntegerLayer> layers);

/// Two trials for each layer, see run_trials().
[[nodiscard]] Result<Sensitivity> measure_sensitivity(const QuantizedGraph& model,
                                                      const SampleSource& samples,
                                                      std::int64_t limit,
                                                      const BaseVisitor& visitor = {});

}  // namespace octet

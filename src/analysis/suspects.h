#pragma once
// What may be wrong with a quantized model, layer by layer and over all, each with the remedy as a
// trial whose effect can be measured.

#include <optional>
#include <string>
#include <vector>

#include "analysis/sensitivity.h"
#include "analysis/value_errors.h"
#include "calibration/statistics.h"

namespace octet {

/// A suspicion: it becomes a cause where its remedy takes enough off the error.
struct Suspect {
  std::string cause;  ///< one of the words of docs/cli.md: "weight_bits", "channel_range", ...
  std::string layer;  ///< node or value at fault; "" for the whole model
  std::string text;   ///< one sentence
  std::vector<std::string> evidence;
  std::vector<std::string> options;  ///< of `octet quantize`, beside those that made the model
  std::optional<PlanTrial> remedy;   ///< none: its effect shows in no float arithmetic
  /// Evidence that needs no gain: codes that overflow are wrong whatever the samples show.
  bool certain = false;
};

struct DiagnosisInput {
  const QuantizedGraph& model;  ///< of float_function()
  const std::vector<IntegerLayer>& layers;
  const std::map<ValueId, ValueErrors>& errors;
  /// What the comparison's data give, observed as the file's calibration did (or by mse).
  const Statistics& statistics;
  /// By data set index; empty without labels.
  const std::vector<std::int32_t>& labels;
  bool calibrated = true;  ///< ranges are from samples: static quantization
};

/// Weights: biases beyond int32, accumulators beyond it, layers of few bits, channels out of scale.
[[nodiscard]] Result<std::vector<Suspect>> weight_suspects(const DiagnosisInput& input);
/// Activations: clipped ranges, a calibration set that does not cover the data, channels out of
/// scale.
[[nodiscard]] Result<std::vector<Suspect>> range_suspects(const DiagnosisInput& input);

/// What is no fault's remedy: the layers that cost most in float, one and three of them, and with
/// `wide_values` the value of the costliest layer with 16 bits.
[[nodiscard]] Result<std::vector<Suspect>> improvements(const QuantizedGraph& model,
                                                        const Sensitivity& sensitivity,
                                                        bool wide_values);

/// The plan with a layer's weights quantized anew from the float ones, symmetric by the largest
/// magnitude; per channel along `axis`, or with one scale for axis -1. Its bias becomes float: what
/// stands there corrects the old codes.
[[nodiscard]] Status requantize_weights(const QuantizedGraph& model, const IntegerLayer& layer,
                                        int bits, int axis, QuantPlan& plan);
/// The axis of a layer's weights that counts output channels; -1 where it has no weights.
[[nodiscard]] int weight_axis(const Node& node);

}  // namespace octet

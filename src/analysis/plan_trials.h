#pragma once
// Many plans for one graph, tried on the same samples at the price of a few sweeps.
//
// The float model and the quantized one run once for each batch, and all their values are kept
// while the batch lasts. A trial says in what it differs from one of the two; only what lies behind
// the first difference is computed again. Memory does not grow with the number of samples.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/channel_profile.h"
#include "engine/float/float_op.h"
#include "graph/plan.h"

namespace octet {

/// Which of the two runs a trial shares its values with where it does not differ.
enum class TrialBase : std::uint8_t { floating, quantized };

struct PlanTrial {
  std::string name;
  QuantPlan plan;  ///< all of it; payloads that are the model's are told by their storage
  TrialBase base = TrialBase::quantized;
  /// Constants in place of the graph's (a corrected bias), before they are quantized.
  std::map<ValueId, Tensor> constants = {};
};

/// How far outputs are from the float model's.
struct TrialError {
  std::optional<double> kl;         ///< mean KL(float || trial) of class probabilities, nats
  std::optional<double> agreement;  ///< share of positions with the same largest score
  double noise = 0;                 ///< sum (float - trial)^2 / sum float^2 over all outputs

  /// KL where the first output holds class scores, else noise.
  [[nodiscard]] double error() const { return kl.value_or(noise); }
};

struct TrialErrors {
  std::int64_t samples = 0;
  TrialError quantized;            ///< of the model as it is
  std::vector<TrialError> trials;  ///< in the order they were given
};

/// What the two bases made of a batch, by value slot; constants are empty.
struct BaseValues {
  std::span<const Activation> floating;
  std::span<const Activation> quantized;
};
/// Called once for each batch, by any worker.
using BaseVisitor = std::function<Status(int worker, const Batch& batch, const BaseValues& values)>;

/// Runs all trials on at most `limit` samples. `model.graph` holds the float weights and activation
/// nodes (see passes/float_function.h). Values are rounded and saturated as the plan says between
/// float operators (fake-quant), biases and weights are what their codes stand for; how a rule
/// rounds the accumulator of one operator is not imitated. The same numbers for any thread count.
[[nodiscard]] Result<TrialErrors> run_trials(const QuantizedGraph& model,
                                             std::span<const PlanTrial> trials,
                                             const SampleSource& samples, std::int64_t limit,
                                             const BaseVisitor& visitor = {});

}  // namespace octet

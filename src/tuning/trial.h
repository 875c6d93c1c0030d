#pragma once
// Trials of a search: how a model is quantized, what came of it, and what is wanted.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "tuning/interval.h"

namespace octet {

/// In the order in which a search takes them.
enum class TuneStep : std::uint8_t {
  none,       ///< nothing is optimized
  observers,  ///< other ranges of activations
  fast,       ///< equalization and bias correction
  best,       ///< bias refinement; rounding by reconstruction
  mixed,      ///< layers in float, 16-bit activations, weights of 4 bits
  training,   ///< quantization-aware, with distillation
  pareto,     ///< for the fronts alone
};

[[nodiscard]] std::string_view name(TuneStep step);
[[nodiscard]] std::optional<TuneStep> step_from_name(std::string_view name);

/// How a trial quantizes the model, beyond what is the same for all of them.
struct TrialPlan {
  TuneStep step = TuneStep::none;
  std::string observer = "mse";
  std::string optimize = "none";
  bool round_weights = false;           ///< by reconstruction, with 8 bits as well
  bool wide_activations = false;        ///< all of them with 16 bits
  std::vector<std::string> keep_float;  ///< node names
  std::vector<std::string> wide;        ///< names of values with 16 bits
  std::vector<std::string> narrow;      ///< names of layers with weights of 4 bits
  bool train = false;
};

struct TrialResult {
  double value = 0;  ///< of the metric
  double drop =
      0;  ///< what is lost of it, never better than 0 unless the model beats the float one
  std::optional<Interval> interval;  ///< of the drop
  double error = 0;                  ///< of the outputs
  std::uint64_t bytes = 0;
  std::optional<double> milliseconds;
};

struct Goal {
  double max_drop = 1;
  std::optional<std::uint64_t> bytes;
  std::optional<double> milliseconds;
};

/// Whether the model is as small and as fast as it must be.
[[nodiscard]] bool within_budget(const Goal& goal, const TrialResult& result);
[[nodiscard]] bool reaches(const Goal& goal, const TrialResult& result);

/// Whether the search would rather end with `a` than with `b`. What keeps the budget goes first,
/// then what reaches the target; of two that do the smaller file, of two that miss it the smaller
/// drop, then the smaller output error. Outside the budget the smaller file (the faster model,
/// where only latency is limited) goes first.
[[nodiscard]] bool better(const Goal& goal, const TrialResult& a, const TrialResult& b);

/// What one layer may give and cost.
struct LayerEffect {
  std::string node;          ///< its name
  std::string input;         ///< name of the value that it reads
  double float_gain = 0;     ///< what leaving it in float takes off the output error
  double narrow_loss = 0;    ///< output error that weights of 4 bits add
  std::int64_t weights = 0;  ///< elements
  std::int64_t macs = 0;
  double integer_ms = 0;  ///< 0 where it was not measured
  double float_ms = 0;
  bool may_narrow = true;  ///< the file packs such weights
};

/// Carries trials out. A trial that was carried out before gives the same result at no cost.
class TrialRunner {
 public:
  TrialRunner() = default;
  TrialRunner(const TrialRunner&) = delete;
  TrialRunner& operator=(const TrialRunner&) = delete;
  virtual ~TrialRunner() = default;

  /// nullopt: the trial failed, as the log says, and the search goes on. Errors end the search.
  [[nodiscard]] virtual Result<std::optional<TrialResult>> run(const TrialPlan& plan) = 0;
  /// The layers of the model as this plan quantizes it.
  [[nodiscard]] virtual Result<std::vector<LayerEffect>> layers(const TrialPlan& plan) = 0;
};

}  // namespace octet

#pragma once
// Judging a model by a metric: from outputs of batches to the accumulators of the analysis.

#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "analysis/accumulators.h"
#include "analysis/metric.h"
#include "analysis/output_comparison.h"
#include "api/engine_choice.h"

namespace octet {

/// "" is no metric; an unknown name is an error that lists the known ones.
[[nodiscard]] Result<std::optional<Metric>> parse_metric(const std::string& name);

/// What becomes of labels.
enum class LabelUse : std::uint8_t {
  ignored,
  if_possible,  ///< accuracy where there are labels and class scores; labels must then fit
  if_fitting,   ///< the same, but labels that do not fit are ignored
  needed,       ///< an error where there are none, or no class scores
};

struct JudgeOptions {
  LabelUse accuracy = LabelUse::ignored;
  bool roc = false;             ///< scores against labels 0 and 1
  bool reconstruction = false;  ///< error of the first output against the first input
};

/// What labels and inputs say of a model's outputs.
struct Tally {
  AccuracySums accuracy;
  RocScores roc;
  ErrorSums reconstruction;
};

/// One model's outputs against labels or inputs. Workers add at the same time, each to its own
/// tally.
class Judge {
 public:
  Judge(const OpenData& data, const JudgeOptions& options);

  /// `outputs` of the model for `batch`, whose inputs it was fed.
  [[nodiscard]] Status add(int worker, const Batch& batch, std::span<const Tensor> outputs);
  [[nodiscard]] Tally total() const;

 private:
  [[nodiscard]] Status add_accuracy(const Batch& batch, const Tensor& scores, Tally& tally);
  [[nodiscard]] Status add_roc(const Batch& batch, const Tensor& output, Tally& tally) const;
  [[nodiscard]] Status check_accuracy(const Tensor& scores, std::size_t samples);

  const OpenData& data_;
  JudgeOptions options_;
  std::vector<Tally> tallies_;  ///< by worker
  std::once_flag checked_;
  Status check_;
  bool with_accuracy_ = false;
};

/// Score of the batch's sample i for the area under the ROC curve: its reconstruction error where
/// the output has the first input's form, its only score, or how far the second of two is ahead.
[[nodiscard]] Result<float> roc_score(const Batch& batch, const Tensor& output, std::int64_t i);

/// Value of a metric; `comparison` is nullptr when there is no second model. Errors say what is
/// missing for it.
[[nodiscard]] Result<double> metric_value(Metric metric, const Tally& tally,
                                          const OutputComparison* comparison);

/// JSON-free form of a comparison's outputs.
[[nodiscard]] std::vector<OutputError> output_errors(const OutputComparison& comparison);
[[nodiscard]] OutputError output_error(const std::string& name, const ErrorSums& errors);

/// Samples to a batch such that they can be told apart in the outputs.
[[nodiscard]] int judging_batch(const Graph& graph);

}  // namespace octet

#pragma once
// What is lost between a float model and a quantized one, from both outputs for the same samples.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "analysis/metric.h"
#include "core/result.h"
#include "tuning/interval.h"

namespace octet {

/// What two models give for one sample.
struct PairedSample {
  /// top1, top5: whether the float model is right, 0 or 1. auc: its score.
  double reference = 0;
  /// Likewise of the quantized model. agreement: share of positions where both agree; cosine: of
  /// both models' outputs.
  double model = 0;
  double noise = 0;   ///< sum of (reference - model)^2 over all outputs
  double signal = 0;  ///< sum of reference^2
  double elements = 0;
  std::optional<double> kl;  ///< mean over positions, where the first output holds class scores
  bool positive = false;     ///< auc: its label
};

struct Verdict {
  double value = 0;  ///< of the metric
  /// What is lost. top1, top5, auc: points below the float model; agreement, cosine: points below
  /// 1; sqnr: noise in per cent of the signal; kl, mse: the value.
  double drop = 0;
  std::optional<Interval> interval;  ///< 95 %, of the drop
  double error = 0;                  ///< mean KL, or noise over signal where there are no scores
};

/// By score of `own`: the share of `others` that lies below it, equal ones counting half. In
/// O((m + n) log n).
[[nodiscard]] std::vector<double> shares_below(std::span<const double> own,
                                               std::span<const double> others);

/// Fails when there are no samples or the outputs hold a NaN or an infinity.
[[nodiscard]] Result<Verdict> judge(Metric metric, std::span<const PairedSample> samples);

/// Value of the float model alone: of metrics by labels its own, else that of a model without error
/// (infinity for sqnr).
[[nodiscard]] double reference_value(Metric metric, std::span<const PairedSample> samples);

}  // namespace octet

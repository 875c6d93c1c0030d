#pragma once
// Confidence intervals of a mean of paired differences.

#include <span>

namespace octet {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Samples that are added to those that were seen, so that the interval does not shrink to a point
/// where all are alike.
enum class Adjustment : unsigned char {
  none,
  /// One and one half of a pair each way among differences of -1, 0 and 1: half a 1, half a -1 and
  /// one 0 (Agresti and Min 2005, "Simple improved confidence intervals for comparing matched
  /// proportions").
  matched_pairs,
  /// Two successes and two failures among shares (Agresti and Coull 1998, "Approximate is better
  /// than exact for interval estimation of binomial proportions").
  proportion,
};

/// 95 % interval of the mean by the normal approximation: mean +- 1.96 standard errors, of the
/// differences between two models on the same samples. There must be one at least.
[[nodiscard]] Interval mean_interval(std::span<const double> differences, Adjustment adjustment);

/// The same of the ratio sum(numerators) / sum(denominators), linearized (delta method).
[[nodiscard]] Interval ratio_interval(std::span<const double> numerators,
                                      std::span<const double> denominators);

}  // namespace octet

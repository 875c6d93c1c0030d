#pragma once
// Choosing the range to quantize from a histogram: how much to clip.

#include "calibration/observer.h"

namespace octet {

/// A range of real values that always contains 0.
struct ClipRange {
  double minimum = 0;
  double maximum = 0;
};

/// The percentile observer keeps this share of the values (in per cent) inside the range; what is
/// cut goes half to each side, or all to one side when the scheme is symmetric.
inline constexpr double percentile_kept = 99.999;

/// Distribution of a histogram's values: uniform within each bin, the outermost bins cut at the
/// exact minimum and maximum. Keeps prefix sums, so that questions about intervals cost O(1).
class Distribution {
 public:
  /// `histogram` must have counts, which are copied into the sums.
  explicit Distribution(const Histogram& histogram);

  /// Expected squared difference between a value and its quantized image. With more than 1024 codes
  /// the error inside the range is taken as scale^2 / 12.
  [[nodiscard]] double squared_error(const QuantParams& params, const QuantScheme& scheme) const;

  /// The part of squared_error that lies beyond the outermost codes, each with half a step.
  [[nodiscard]] double clipped_error(const QuantParams& params, const QuantScheme& scheme) const;

  /// Value below which the share `fraction` of the values lies, within [minimum, maximum].
  [[nodiscard]] double quantile(double fraction) const;

  [[nodiscard]] double minimum() const { return minimum_; }
  [[nodiscard]] double maximum() const { return maximum_; }

 private:
  struct Moments {
    double mass = 0, first = 0, second = 0;
  };
  /// Moments of the values below `position`, all in units of the bin width.
  [[nodiscard]] Moments below(double position) const;
  [[nodiscard]] double inner_error(double low, double high, double step) const;
  /// Squared difference from `image` of the values between two positions.
  [[nodiscard]] static double error(const Moments& from, const Moments& to, double image);

  std::vector<double> counts_;
  std::vector<Moments> sums_;  ///< at the lower edge of each bin, and the total
  double first_bin_ = 0;
  double width_ = 1;
  double minimum_ = 0;
  double maximum_ = 0;
};

/// How much more a squared error of clipping counts for mse_range than one of rounding. Rounding
/// errors have no preferred sign and average out in the sums of the next layer; what clipping takes
/// away always has the same sign (docs/decisions/0010-clipping-weighs-more.md).
inline constexpr double clipping_weight = 3;

/// Range with the smallest expected squared error of the quantized values, clipped ones counted
/// clipping_weight times.
[[nodiscard]] ClipRange mse_range(const Histogram& histogram, const QuantScheme& scheme);

/// Range whose quantized distribution has the smallest Kullback-Leibler divergence from the
/// histogram's (Migacz, "8-bit Inference with TensorRT", GTC 2017), searched on both ends.
[[nodiscard]] ClipRange entropy_range(const Histogram& histogram, const QuantScheme& scheme);

/// KL(P || Q) in nats: P is the histogram with what lies outside the range of `params` added to the
/// outermost bins inside; Q spreads what lies inside evenly over the non-empty bins that share a
/// code. A peak in the bin of zero (Relu) is first cut to its highest neighbour, because zero is
/// quantized without error. Infinite when nothing lies inside.
class Divergence {
 public:
  explicit Divergence(const Histogram& histogram);
  [[nodiscard]] double operator()(const QuantParams& params, const QuantScheme& scheme) const;
  [[nodiscard]] double width() const { return width_; }

 private:
  std::vector<double> counts_;
  std::vector<double> mass_;       ///< prefix sums of counts
  std::vector<double> filled_;     ///< of non-empty bins
  std::vector<double> log_terms_;  ///< of count * log(count)
  double first_bin_ = 0;
  double width_ = 1;
};

[[nodiscard]] ClipRange percentile_range(const Histogram& histogram, const QuantScheme& scheme);

}  // namespace octet

#pragma once
// Accumulators behind the metrics: each takes one sample at a time, and two of them merge to the
// same bits as one that saw all samples in any order.

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/exact_sum.h"
#include "core/shape.h"

namespace octet {

/// Accuracy of class scores against labels.
class AccuracySums {
 public:
  /// `label` must be within the scores.
  void add(std::span<const float> scores, std::size_t label);
  void merge(const AccuracySums& other);

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  [[nodiscard]] double top1() const { return share(top1_); }
  [[nodiscard]] double top5() const { return share(top5_); }
  /// Mean of -ln of the label's probability (see class_probabilities).
  [[nodiscard]] double loss() const { return loss_.value() / count(); }

 private:
  [[nodiscard]] double count() const {
    return static_cast<double>(samples_ > 0 ? samples_ : std::int64_t{1});
  }
  [[nodiscard]] double share(std::int64_t hits) const {
    return static_cast<double>(hits) / count();
  }

  std::int64_t samples_ = 0;
  std::int64_t top1_ = 0;
  std::int64_t top5_ = 0;
  ExactSum loss_;
};

/// Where the class scores of one sample lie: `positions` vectors of `classes` elements.
struct ScoreLayout {
  std::int64_t outer = 1;
  std::int64_t classes = 1;
  std::int64_t inner = 1;

  [[nodiscard]] std::int64_t positions() const { return outer * inner; }
};

/// Layout of a sample's scores; `shape` has the batch first, [N, ...]. The classes are: the only
/// axis with more than one element; else the last axis up to rank 3 (a sequence of scores), and
/// axis 1 beyond (a map of scores).
[[nodiscard]] ScoreLayout score_layout(const Shape& shape);

/// How far the class scores of two models agree.
class AgreementSums {
 public:
  void add(std::span<const float> first, std::span<const float> second, const ScoreLayout& layout);
  /// Outputs that are classes themselves, one at each position; these have no divergence.
  void add_classes(std::span<const float> first, std::span<const float> second);
  void merge(const AgreementSums& other);

  [[nodiscard]] std::int64_t positions() const { return positions_; }
  /// Share of positions with the same largest score.
  [[nodiscard]] double agreement() const;
  /// Mean over positions of KL(first || second), in nats; NaN after add_classes.
  [[nodiscard]] double kl() const;

 private:
  std::int64_t positions_ = 0;
  std::int64_t equal_ = 0;
  bool classes_ = false;
  ExactSum kl_;
};

/// Sums over the elements of one sample; those of several outputs of it add up.
struct SampleError {
  double signal = 0;   ///< sum of reference^2
  double noise = 0;    ///< sum of (reference - model)^2
  double model = 0;    ///< sum of model^2
  double product = 0;  ///< sum of reference * model
  std::int64_t count = 0;

  [[nodiscard]] static SampleError between(std::span<const float> reference,
                                           std::span<const float> model);
  SampleError& operator+=(const SampleError& other);
};

/// Error of tensors against a reference, over samples.
class ErrorSums {
 public:
  void add(const SampleError& sample);
  void merge(const ErrorSums& other);

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  /// 10 log10(sum of all signal / sum of all noise): +infinity without noise, -infinity without
  /// signal.
  [[nodiscard]] double sqnr_db() const;
  /// Noise per element.
  [[nodiscard]] double mse() const;
  /// Mean over samples of product / sqrt(signal * model); 1 where both are zero, 0 where one is.
  [[nodiscard]] double cosine() const;

 private:
  ExactSum signal_;
  ExactSum noise_;
  ExactSum cosine_;
  std::int64_t elements_ = 0;
  std::int64_t samples_ = 0;
};

/// Scores of samples that are either positive or not. Keeps them all, 4 bytes each.
class RocScores {
 public:
  void add(float score, bool positive);
  void merge(const RocScores& other);

  [[nodiscard]] std::size_t positives() const { return positive_.size(); }
  [[nodiscard]] std::size_t negatives() const { return negative_.size(); }
  [[nodiscard]] bool has_nan() const { return has_nan_; }
  /// Share of pairs of a positive and a negative sample in which the positive one has the higher
  /// score; equal scores count half. There must be both kinds, and no NaN.
  [[nodiscard]] double area() const;

 private:
  std::vector<float> positive_;
  std::vector<float> negative_;
  bool has_nan_ = false;
};

}  // namespace octet

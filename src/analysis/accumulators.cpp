#include "analysis/accumulators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/metrics.h"

namespace octet {

void AccuracySums::add(std::span<const float> scores, std::size_t label) {
  ++samples_;
  top1_ += arg_max(scores) == label ? 1 : 0;
  top5_ += in_top_k(scores, label, 5) ? 1 : 0;
  loss_.add(-std::log(class_probabilities(scores)[label]));
}

void AccuracySums::merge(const AccuracySums& other) {
  samples_ += other.samples_;
  top1_ += other.top1_;
  top5_ += other.top5_;
  loss_.merge(other.loss_);
}

ScoreLayout score_layout(const Shape& shape) {
  const auto rank = shape.size();
  if (rank < 2) return {};
  std::size_t wide_axes = 0;
  std::size_t axis = rank - 1;
  for (std::size_t d = 1; d < rank; ++d) {
    if (shape[d] == 1) continue;
    ++wide_axes;
    axis = d;
  }
  if (wide_axes != 1) axis = rank > 3 && shape[1] > 1 ? 1 : rank - 1;
  ScoreLayout layout;
  layout.classes = shape[axis];
  for (std::size_t d = 1; d < axis; ++d) layout.outer *= shape[d];
  for (std::size_t d = axis + 1; d < rank; ++d) layout.inner *= shape[d];
  return layout;
}

void AgreementSums::add(std::span<const float> first, std::span<const float> second,
                        const ScoreLayout& layout) {
  const auto classes = static_cast<std::size_t>(layout.classes);
  const auto inner = static_cast<std::size_t>(layout.inner);
  std::vector<float> a(classes);
  std::vector<float> b(classes);
  double kl = 0;
  for (std::size_t o = 0; o < static_cast<std::size_t>(layout.outer); ++o) {
    for (std::size_t i = 0; i < inner; ++i) {
      for (std::size_t c = 0; c < classes; ++c) {
        const auto at = (o * classes + c) * inner + i;
        a[c] = first[at];
        b[c] = second[at];
      }
      equal_ += arg_max(a) == arg_max(b) ? 1 : 0;
      kl += kl_divergence(class_probabilities(a), class_probabilities(b));
    }
  }
  positions_ += layout.positions();
  kl_.add(kl);
}

void AgreementSums::add_classes(std::span<const float> first, std::span<const float> second) {
  for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
    equal_ += first[i] == second[i] ? 1 : 0;
    ++positions_;
  }
  classes_ = true;
}

void AgreementSums::merge(const AgreementSums& other) {
  classes_ = classes_ || other.classes_;
  positions_ += other.positions_;
  equal_ += other.equal_;
  kl_.merge(other.kl_);
}

double AgreementSums::agreement() const {
  return positions_ == 0 ? 1 : static_cast<double>(equal_) / static_cast<double>(positions_);
}

double AgreementSums::kl() const {
  if (classes_) return std::numeric_limits<double>::quiet_NaN();
  return positions_ == 0 ? 0 : kl_.value() / static_cast<double>(positions_);
}

SampleError SampleError::between(std::span<const float> reference, std::span<const float> model) {
  SampleError out;
  const auto count = std::min(reference.size(), model.size());
  for (std::size_t i = 0; i < count; ++i) {
    const double r = reference[i];
    const double m = model[i];
    out.signal += r * r;
    out.noise += (r - m) * (r - m);
    out.model += m * m;
    out.product += r * m;
  }
  out.count = static_cast<std::int64_t>(count);
  return out;
}

SampleError& SampleError::operator+=(const SampleError& other) {
  signal += other.signal;
  noise += other.noise;
  model += other.model;
  product += other.product;
  count += other.count;
  return *this;
}

void ErrorSums::add(const SampleError& sample) {
  ++samples_;
  elements_ += sample.count;
  signal_.add(sample.signal);
  noise_.add(sample.noise);
  const bool silent = sample.signal == 0 || sample.model == 0;
  const double both = sample.signal == sample.model ? 1 : 0;
  cosine_.add(silent ? both
                     : sample.product / (std::sqrt(sample.signal) * std::sqrt(sample.model)));
}

void ErrorSums::merge(const ErrorSums& other) {
  samples_ += other.samples_;
  elements_ += other.elements_;
  signal_.merge(other.signal_);
  noise_.merge(other.noise_);
  cosine_.merge(other.cosine_);
}

double ErrorSums::sqnr_db() const {
  const double noise = noise_.value();
  const double signal = signal_.value();
  if (noise == 0) return std::numeric_limits<double>::infinity();
  if (signal == 0) return -std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

double ErrorSums::mse() const {
  return elements_ == 0 ? 0 : noise_.value() / static_cast<double>(elements_);
}

double ErrorSums::cosine() const {
  return samples_ == 0 ? 1 : cosine_.value() / static_cast<double>(samples_);
}

void RocScores::add(float score, bool positive) {
  has_nan_ = has_nan_ || std::isnan(score);
  (positive ? positive_ : negative_).push_back(score);
}

void RocScores::merge(const RocScores& other) {
  has_nan_ = has_nan_ || other.has_nan_;
  positive_.insert(positive_.end(), other.positive_.begin(), other.positive_.end());
  negative_.insert(negative_.end(), other.negative_.begin(), other.negative_.end());
}

double RocScores::area() const {
  auto sorted = negative_;
  std::sort(sorted.begin(), sorted.end());
  std::uint64_t half_wins = 0;
  for (const float score : positive_) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), score);
    const auto below = static_cast<std::uint64_t>(first - sorted.begin());
    const auto equal = static_cast<std::uint64_t>(last - first);
    half_wins += 2 * below + equal;
  }
  const double pairs = static_cast<double>(positive_.size()) * static_cast<double>(sorted.size());
  return static_cast<double>(half_wins) / (2 * pairs);
}

}  // namespace octet

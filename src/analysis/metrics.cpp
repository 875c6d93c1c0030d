#include "analysis/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace octet {

std::size_t arg_max(std::span<const float> scores) {
  std::size_t best = 0;
  float best_score = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > best_score) {
      best = i;
      best_score = scores[i];
    }
  }
  return best;
}

bool in_top_k(std::span<const float> scores, std::size_t label, std::size_t k) {
  if (label >= scores.size() || std::isnan(scores[label])) return false;
  std::size_t ahead = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > scores[label] || (scores[i] == scores[label] && i < label)) ++ahead;
  }
  return ahead < k;
}

std::vector<double> class_probabilities(std::span<const float> scores) {
  std::vector<double> p(scores.begin(), scores.end());
  if (p.empty()) return p;
  double sum = 0;
  for (const double value : p) sum += value;
  const double smallest = *std::min_element(p.begin(), p.end());
  const bool already = smallest >= 0 && std::abs(sum - 1.0) < 0.05;
  if (!already) {
    const double largest = *std::max_element(p.begin(), p.end());
    sum = 0;
    for (double& value : p) {
      value = std::exp(value - largest);
      sum += value;
    }
  }
  for (double& value : p) value = std::clamp(value / sum, 1e-8, 1.0);
  return p;
}

double kl_divergence(std::span<const double> p, std::span<const double> q) {
  double sum = 0;
  for (std::size_t i = 0; i < std::min(p.size(), q.size()); ++i)
    sum += p[i] * std::log(p[i] / q[i]);
  return sum;
}

void Sqnr::add(std::span<const float> signal, std::span<const float> approximation) {
  for (std::size_t i = 0; i < std::min(signal.size(), approximation.size()); ++i) {
    const double s = signal[i];
    const double n = s - static_cast<double>(approximation[i]);
    signal_ += s * s;
    noise_ += n * n;
  }
}

void Sqnr::merge(const Sqnr& other) {
  signal_ += other.signal_;
  noise_ += other.noise_;
}

double Sqnr::decibel() const {
  if (noise_ == 0) return std::numeric_limits<double>::infinity();
  if (signal_ == 0) return -std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal_ / noise_);
}

}  // namespace octet

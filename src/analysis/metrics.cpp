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

}  // namespace octet

#include "tuning/interval.h"

#include <cmath>
#include <vector>

namespace octet {
namespace {

constexpr double normal_quantile = 1.959963984540054;  ///< 97.5 %

struct Moments {
  double weight = 0;
  double sum = 0;
  double squares = 0;

  void add(double value, double count = 1) {
    weight += count;
    sum += count * value;
    squares += count * value * value;
  }
};

Interval around_mean(const Moments& m) {
  const double mean = m.sum / m.weight;
  const double variance = std::max(0.0, m.squares / m.weight - mean * mean);
  const double half = normal_quantile * std::sqrt(variance / m.weight);
  return {mean - half, mean + half};
}

}  // namespace

Interval mean_interval(std::span<const double> differences, Adjustment adjustment) {
  Moments moments;
  for (const double difference : differences) moments.add(difference);
  if (adjustment == Adjustment::matched_pairs) {
    moments.add(1, 0.5);
    moments.add(-1, 0.5);
    moments.add(0, 1);
  } else if (adjustment == Adjustment::proportion) {
    moments.add(1, 2);
    moments.add(0, 2);
  }
  return around_mean(moments);
}

Interval ratio_interval(std::span<const double> numerators, std::span<const double> denominators) {
  double top = 0;
  double bottom = 0;
  for (const double value : numerators) top += value;
  for (const double value : denominators) bottom += value;
  if (bottom == 0) return {0, 0};
  const double ratio = top / bottom;
  const double mean = bottom / static_cast<double>(denominators.size());
  Moments residuals;
  for (std::size_t i = 0; i < numerators.size(); ++i) {
    residuals.add((numerators[i] - ratio * denominators[i]) / mean);
  }
  const auto around_zero = around_mean(residuals);
  return {ratio + around_zero.low, ratio + around_zero.high};
}

}  // namespace octet

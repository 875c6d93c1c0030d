#include "passes/weight_range.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "arithmetic/params.h"
#include "arithmetic/quantize.h"
#include "core/parallel.h"

namespace octet {
namespace {

/// Ranges tried, as shares of the largest magnitude: 1, 0.98 ... 0.3. Two bits want less than half.
constexpr int candidates = 36;
constexpr double candidate_step = 0.02;

constexpr std::array observers = {WeightObserver::minmax, WeightObserver::mse};

/// A weight as [outer][channels][inner]; a channel's values lie in runs of `inner`.
struct Slices {
  std::span<const float> values;
  std::size_t channels = 1;
  std::size_t inner = 1;

  Slices(const Tensor& weight, int axis) : values(weight.values<float>()), inner(values.size()) {
    if (axis < 0) return;
    channels = static_cast<std::size_t>(weight.dim(axis));
    inner = 1;
    for (int i = axis + 1; i < weight.rank(); ++i) inner *= static_cast<std::size_t>(weight.dim(i));
  }

  template <class Visit>
  void for_each_run(std::size_t channel, Visit visit) const {
    for (auto at = channel * inner; at < values.size(); at += channels * inner) {
      visit(values.subspan(at, inner));
    }
  }
};

float largest_magnitude(const Slices& slices, std::size_t channel) {
  float largest = 0;
  slices.for_each_run(channel, [&](std::span<const float> run) {
    for (const float value : run) largest = std::max(largest, std::abs(value));
  });
  return largest;
}

double squared_error(const Slices& slices, std::size_t channel, double range,
                     const QuantScheme& scheme) {
  const float scale = params_from_range(-range, range, scheme).scale[0];
  const auto lowest = static_cast<std::int32_t>(scheme.qmin());
  const auto highest = static_cast<std::int32_t>(scheme.qmax());
  double sum = 0;
  slices.for_each_run(channel, [&](std::span<const float> run) {
    for (const float value : run) {
      const auto code = quantize_narrow(value, scale, 0, lowest, highest);
      const double difference = static_cast<double>(dequantize_value(code, scale, 0) - value);
      sum += difference * difference;
    }
  });
  return sum;
}

float mse_range_of(const Slices& slices, std::size_t channel, float largest,
                   const QuantScheme& scheme) {
  const auto whole = static_cast<double>(largest);
  double best = whole;
  double best_error = squared_error(slices, channel, whole, scheme);
  for (int i = 1; i < candidates; ++i) {
    const double range = whole * (1 - candidate_step * i);
    const double error = squared_error(slices, channel, range, scheme);
    if (error >= best_error) continue;
    best = range;
    best_error = error;
  }
  return static_cast<float>(best);
}

}  // namespace

std::string_view name(WeightObserver observer) {
  return observer == WeightObserver::mse ? "mse" : "minmax";
}

std::optional<WeightObserver> weight_observer_from_name(std::string_view text) {
  for (const auto observer : observers) {
    if (name(observer) == text) return observer;
  }
  return std::nullopt;
}

std::vector<float> weight_ranges(const Tensor& weight, int axis, const QuantScheme& scheme,
                                 WeightObserver observer) {
  const Slices slices(weight, axis);
  std::vector<float> ranges(slices.channels, 0.0F);
  parallel_for(static_cast<std::int64_t>(slices.channels), [&](std::int64_t i) {
    const auto channel = static_cast<std::size_t>(i);
    const float largest = largest_magnitude(slices, channel);
    const bool search = observer == WeightObserver::mse && largest > 0;
    ranges[channel] = search ? mse_range_of(slices, channel, largest, scheme) : largest;
  });
  return ranges;
}

}  // namespace octet

#include "tuning/mixed_precision.h"

#include <algorithm>

namespace octet {
namespace {

/// Keeps ratios finite where a layer costs nothing.
constexpr double least_cost = 1e-9;

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct Totals {
  double weights = 0;
  double macs = 0;
  double added_ms = 0;
};

double added_ms(const LayerEffect& layer) {
  return std::max(0.0, layer.float_ms - layer.integer_ms);
}

Totals totals_of(const Layers& layers) {
  Totals totals;
  for (const auto& layer : layers) {
    totals.weights += static_cast<double>(layer.weights);
    totals.macs += static_cast<double>(layer.macs);
    totals.added_ms += added_ms(layer);
  }
  return totals;
}

double float_cost(const LayerEffect& layer, const Totals& totals, const Goal& goal) {
  const double weights = share(static_cast<double>(layer.weights), totals.weights);
  const double macs = share(static_cast<double>(layer.macs), totals.macs);
  const double time = share(added_ms(layer), totals.added_ms);
  const bool limited = goal.bytes || goal.milliseconds;
  double cost = limited ? 0 : weights + macs;
  if (goal.bytes) cost += weights;
  if (goal.milliseconds) cost += time;
  return std::max(cost, least_cost);
}

/// The layers by a number, smallest first; equal ones by name.
template <class Rank>
Layers sorted(Layers layers, const Rank& rank) {
  std::sort(layers.begin(), layers.end(), [&](const LayerEffect& a, const LayerEffect& b) {
    const double x = rank(a);
    const double y = rank(b);
    return x != y ? x < y : a.node < b.node;
  });
  return layers;
}

}  // namespace

Layers by_float_gain(const Layers& layers, const Goal& goal) {
  const auto totals = totals_of(layers);
  Layers gaining;
  for (const auto& layer : layers) {
    if (layer.float_gain > 0) gaining.push_back(layer);
  }
  return sorted(std::move(gaining), [&](const LayerEffect& layer) {
    return -layer.float_gain / float_cost(layer, totals, goal);
  });
}

Layers up_to_share(const Layers& ordered, const Layers& all, double limit) {
  const double whole = totals_of(all).macs;
  Layers taken;
  double part = 0;
  for (const auto& layer : ordered) {
    const double with = part + share(static_cast<double>(layer.macs), whole);
    if (with > limit) continue;
    part = with;
    taken.push_back(layer);
  }
  return taken;
}

Layers by_narrow_loss(const Layers& layers) {
  Layers possible;
  for (const auto& layer : layers) {
    if (layer.may_narrow && bytes_saved(layer) > 0) possible.push_back(layer);
  }
  return sorted(std::move(possible), [](const LayerEffect& layer) {
    return layer.narrow_loss / static_cast<double>(bytes_saved(layer));
  });
}

std::optional<std::size_t> layers_to_save(const Layers& ordered, std::uint64_t bytes) {
  std::uint64_t saved = 0;
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    if (saved >= bytes) return i;
    saved += bytes_saved(ordered[i]);
  }
  return saved >= bytes ? std::optional(ordered.size()) : std::nullopt;
}

}  // namespace octet

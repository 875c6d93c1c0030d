#include "calibration/range_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace octet {
namespace {

constexpr int coarse_steps = 16;
constexpr double coarse_ratio = 0.85;  ///< 0.85^15 = 0.087: the strongest clipping tried
constexpr double finest_ratio = 0.002;

/// Smallest cost over ranges [a * minimum, b * maximum], a and b in (0, 1]: a geometric grid, then
/// a pattern search around its best point with ever smaller steps. Ties go to the wider range.
/// `cost` takes a ClipRange.
template <class Cost>
ClipRange search_range(const Histogram& histogram, const QuantScheme& scheme, Cost cost) {
  double low = std::min(static_cast<double>(histogram.minimum()), 0.0);
  double high = std::max(static_cast<double>(histogram.maximum()), 0.0);
  if (scheme.symmetry == Symmetry::symmetric) {
    high = std::max(-low, high);
    low = 0;
  }
  const int low_steps = low < 0 ? coarse_steps : 1;
  const int high_steps = high > 0 ? coarse_steps : 1;
  ClipRange best{low, high};
  double best_cost = cost(best);
  double best_a = 1;
  double best_b = 1;
  const auto consider = [&](double a, double b) {
    const ClipRange range{low * a, high * b};
    const double candidate = cost(range);
    if (!(candidate < best_cost)) return false;
    best = range;
    best_cost = candidate;
    best_a = a;
    best_b = b;
    return true;
  };
  double a = 1;
  for (int i = 0; i < low_steps; ++i, a *= coarse_ratio) {
    double b = 1;
    for (int j = 0; j < high_steps; ++j, b *= coarse_ratio) consider(a, b);
  }
  for (double step = (1 - coarse_ratio) / 2; step > finest_ratio; step /= 2) {
    bool moved = true;
    for (int tries = 0; moved && tries < 4; ++tries) {
      moved = false;
      const double a0 = best_a;
      const double b0 = best_b;
      for (const double da : {0.0, step, -step}) {
        if (da != 0 && low == 0) continue;
        for (const double db : {0.0, step, -step}) {
          if ((db != 0 && high == 0) || (da == 0 && db == 0)) continue;
          moved |= consider(std::min(a0 * (1 + da), 1.0), std::min(b0 * (1 + db), 1.0));
        }
      }
    }
  }
  return best;
}

double log_term(double count) { return count > 0 ? count * std::log(count) : 0.0; }

}  // namespace

ClipRange mse_range(const Histogram& histogram, const QuantScheme& scheme) {
  const Distribution distribution(histogram);
  return search_range(histogram, scheme, [&](const ClipRange& range) {
    const auto params = params_from_range(range.minimum, range.maximum, scheme);
    return distribution.squared_error(params, scheme) +
           (clipping_weight - 1) * distribution.clipped_error(params, scheme);
  });
}

ClipRange entropy_range(const Histogram& histogram, const QuantScheme& scheme) {
  const Divergence divergence(histogram);
  return search_range(histogram, scheme, [&](const ClipRange& range) {
    const auto params = params_from_range(range.minimum, range.maximum, scheme);
    // With less than a bin to a code the divergence no longer sees the rounding.
    if (static_cast<double>(params.scale[0]) < divergence.width()) {
      return std::numeric_limits<double>::infinity();
    }
    return divergence(params, scheme);
  });
}

ClipRange percentile_range(const Histogram& histogram, const QuantScheme& scheme) {
  constexpr double cut = 1 - percentile_kept / 100;
  if (scheme.symmetry == Symmetry::asymmetric) {
    const Distribution distribution(histogram);
    return {std::min(distribution.quantile(cut / 2), 0.0),
            std::max(distribution.quantile(1 - cut / 2), 0.0)};
  }
  // Magnitudes: bin -1-i holds those of bin i (edges are multiples of the width).
  std::vector<double> counts(histogram.counts().size() + 1, 0.0);
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    const std::int64_t bin = histogram.first_bin() + static_cast<std::int64_t>(i);
    counts[static_cast<std::size_t>(bin < 0 ? -1 - bin : bin)] +=
        static_cast<double>(histogram.counts()[i]);
  }
  const double wanted = (1 - cut) * static_cast<double>(histogram.total());
  const double largest =
      std::max(-static_cast<double>(histogram.minimum()), static_cast<double>(histogram.maximum()));
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    sum += counts[i];
    if (sum < wanted || counts[i] == 0) continue;
    const double share = 1 - (sum - wanted) / counts[i];
    const double edge = std::ldexp(static_cast<double>(i) + share, histogram.width_exponent());
    return {0, std::min(edge, largest)};
  }
  return {0, largest};
}

Divergence::Divergence(const Histogram& histogram)
    : counts_(histogram.counts().begin(), histogram.counts().end()),
      first_bin_(static_cast<double>(histogram.first_bin())),
      width_(std::ldexp(1.0, histogram.width_exponent())) {
  const auto zero = static_cast<std::size_t>(-histogram.first_bin());
  const double before = zero > 0 ? counts_[zero - 1] : 0.0;
  const double after = zero + 1 < counts_.size() ? counts_[zero + 1] : 0.0;
  if (std::max(before, after) > 0) {
    counts_[zero] = std::min(counts_[zero], std::max(before, after));
  }
  mass_.assign(1, 0.0);
  filled_.assign(1, 0.0);
  log_terms_.assign(1, 0.0);
  for (const double count : counts_) {
    mass_.push_back(mass_.back() + count);
    filled_.push_back(filled_.back() + (count > 0 ? 1.0 : 0.0));
    log_terms_.push_back(log_terms_.back() + log_term(count));
  }
}

double Divergence::operator()(const QuantParams& params, const QuantScheme& scheme) const {
  const double step = static_cast<double>(params.scale[0]) / width_;
  // First bin whose centre does not lie below `position`.
  const auto bin_from = [this](double position) {
    const double bin = std::ceil(position - 0.5) - first_bin_;
    return static_cast<std::size_t>(std::clamp(bin, 0.0, static_cast<double>(counts_.size())));
  };
  const auto edge = [&](std::int64_t code) {
    return (static_cast<double>(code - params.zero_point[0]) - 0.5) * step;
  };
  const std::size_t begin = bin_from(edge(scheme.qmin()));
  const std::size_t end = bin_from(edge(scheme.qmax() + 1));
  const double inside = mass_[end] - mass_[begin];
  if (!(inside > 0)) return std::numeric_limits<double>::infinity();
  const double total = mass_.back();
  const double before = mass_[begin];
  const double after = total - mass_[end];
  // Sums over the bins of P log P and P log Q, times the total and without the normalisation.
  double p_log_p = log_terms_[end] - log_terms_[begin];
  const auto add_outliers = [&](std::size_t bin, double outliers) {
    p_log_p += log_term(counts_[bin] + outliers) - log_term(counts_[bin]);
  };
  if (begin + 1 == end) {
    add_outliers(begin, before + after);
  } else {
    add_outliers(begin, before);
    add_outliers(end - 1, after);
  }
  constexpr double nothing = 1e-4;  // stands for Q = 0 where outliers make P > 0
  double p_log_q = 0;
  std::size_t from = begin;
  for (std::int64_t code = scheme.qmin(); from < end; ++code) {
    const std::size_t to = code == scheme.qmax() ? end : std::min(bin_from(edge(code + 1)), end);
    if (to == from) continue;
    const double mass = mass_[to] - mass_[from];
    const double filled = filled_[to] - filled_[from];
    const double p_mass = mass + (from == begin ? before : 0.0) + (to == end ? after : 0.0);
    if (p_mass > 0) p_log_q += p_mass * std::log(mass > 0 ? mass / filled : nothing);
    from = to;
  }
  return (p_log_p - p_log_q) / total - std::log(total) + std::log(inside);
}

}  // namespace octet

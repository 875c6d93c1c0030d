#include <algorithm>
#include <cmath>

#include "calibration/range_search.h"

namespace octet {
namespace {

constexpr std::int64_t most_exact_codes = 1024;

/// Share of a bin with support [low, high] that lies below `position`.
double share_below(double position, double low, double high) {
  if (position <= low) return 0.0;
  if (position >= high) return 1.0;
  return (position - low) / (high - low);
}

}  // namespace

Distribution::Distribution(const Histogram& histogram)
    : counts_(histogram.counts().begin(), histogram.counts().end()),
      sums_(histogram.counts().size() + 1),
      first_bin_(static_cast<double>(histogram.first_bin())),
      width_(std::ldexp(1.0, histogram.width_exponent())),
      minimum_(static_cast<double>(histogram.minimum())),
      maximum_(static_cast<double>(histogram.maximum())) {
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    sums_[i + 1] = sums_[i];
    if (counts_[i] == 0) continue;
    const double bin = first_bin_ + static_cast<double>(i);
    const double low = std::max(bin, minimum_ / width_);
    const double high = std::min(bin + 1, maximum_ / width_);
    sums_[i + 1].mass += counts_[i];
    sums_[i + 1].first += counts_[i] * (low + high) / 2;
    sums_[i + 1].second += counts_[i] * (low * low + low * high + high * high) / 3;
  }
}

Distribution::Moments Distribution::below(double position) const {
  const double offset = std::floor(position) - first_bin_;
  if (offset < 0) return {};
  if (offset >= static_cast<double>(counts_.size())) return sums_.back();
  const auto i = static_cast<std::size_t>(offset);
  Moments moments = sums_[i];
  if (counts_[i] == 0) return moments;
  const double bin = first_bin_ + offset;
  const double low = std::max(bin, minimum_ / width_);
  const double high = std::min(bin + 1, maximum_ / width_);
  const double share = share_below(position, low, high);
  const double mass = counts_[i] * share;
  const double end = low + (high - low) * share;
  moments.mass += mass;
  moments.first += mass * (low + end) / 2;
  moments.second += mass * (low * low + low * end + end * end) / 3;
  return moments;
}

double Distribution::inner_error(double low, double high, double step) const {
  return (below(high).mass - below(low).mass) * step * step / 12;
}

double Distribution::error(const Moments& from, const Moments& to, double image) {
  return (to.second - from.second) - 2 * image * (to.first - from.first) +
         image * image * (to.mass - from.mass);
}

double Distribution::squared_error(const QuantParams& params, const QuantScheme& scheme) const {
  const double step = static_cast<double>(params.scale[0]) / width_;
  const auto zero_point = static_cast<std::int64_t>(params.zero_point[0]);
  std::int64_t lowest = scheme.qmin() - zero_point;
  std::int64_t highest = scheme.qmax() - zero_point;
  const auto centre = [step](std::int64_t level) { return static_cast<double>(level) * step; };
  const Moments all = sums_.back();
  double sum = 0;
  if (highest - lowest > most_exact_codes) {
    const double low = centre(lowest);
    const double high = centre(highest);
    sum = inner_error(low, high, step) + error({}, below(low), low) + error(below(high), all, high);
  } else {
    // Codes beyond the values seen have no share.
    const double low = std::floor(minimum_ / width_ / step - 1);
    const double high = std::ceil(maximum_ / width_ / step + 1);
    if (low > static_cast<double>(lowest)) {
      lowest = std::min(static_cast<std::int64_t>(low), highest);
    }
    if (high < static_cast<double>(highest)) {
      highest = std::max(static_cast<std::int64_t>(high), lowest);
    }
    Moments from;
    for (std::int64_t level = lowest; level < highest; ++level) {
      const Moments to = below(centre(level) + step / 2);
      sum += error(from, to, centre(level));
      from = to;
    }
    sum += error(from, all, centre(highest));
  }
  // Cancellation can leave a tiny negative number where all values hit a code.
  return std::max(sum / all.mass, 0.0) * width_ * width_;
}

double Distribution::clipped_error(const QuantParams& params, const QuantScheme& scheme) const {
  const double step = static_cast<double>(params.scale[0]) / width_;
  const double low = static_cast<double>(scheme.qmin() - params.zero_point[0]) * step;
  const double high = static_cast<double>(scheme.qmax() - params.zero_point[0]) * step;
  const Moments all = sums_.back();
  const double sum =
      error({}, below(low - step / 2), low) + error(below(high + step / 2), all, high);
  return std::max(sum / all.mass, 0.0) * width_ * width_;
}

double Distribution::quantile(double fraction) const {
  const double wanted = fraction * sums_.back().mass;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0 || sums_[i + 1].mass < wanted) continue;
    const double bin = first_bin_ + static_cast<double>(i);
    const double low = std::max(bin * width_, minimum_);
    const double high = std::min((bin + 1) * width_, maximum_);
    const double share = std::clamp((wanted - sums_[i].mass) / counts_[i], 0.0, 1.0);
    return low + (high - low) * share;
  }
  return maximum_;
}

}  // namespace octet

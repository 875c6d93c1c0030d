#include "tuning/verdict.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "analysis/accumulators.h"

namespace octet {
namespace {

using Samples = std::span<const PairedSample>;
using Field = std::function<double(const PairedSample&)>;

constexpr double points = 100;

std::vector<double> each(Samples samples, const Field& field) {
  std::vector<double> values;
  values.reserve(samples.size());
  for (const auto& sample : samples) values.push_back(field(sample));
  return values;
}

double sum(Samples samples, const Field& field) {
  double total = 0;
  for (const auto& sample : samples) total += field(sample);
  return total;
}

double mean(Samples samples, const Field& field) {
  return sum(samples, field) / static_cast<double>(samples.size());
}

double noise(const PairedSample& s) { return s.noise; }
double signal(const PairedSample& s) { return s.signal; }
double elements(const PairedSample& s) { return s.elements; }

Interval scaled(Interval interval, double factor) {
  return {interval.low * factor, interval.high * factor};
}

/// Noise over signal; a signal of nothing counts as 1.
double relative_noise(Samples samples) {
  const double whole = sum(samples, signal);
  return sum(samples, noise) / (whole > 0 ? whole : 1);
}

double output_error(Samples samples) {
  const bool scores = samples.front().kl.has_value();
  return scores ? mean(samples, [](const auto& s) { return s.kl.value_or(0); })
                : relative_noise(samples);
}

/// Metrics that are means over the samples, with the float model's part where it is not 1.
Verdict mean_verdict(Samples samples, bool by_labels, Adjustment adjustment) {
  Verdict verdict;
  const Field lost = [by_labels](const PairedSample& s) {
    return (by_labels ? s.reference : 1.0) - s.model;
  };
  verdict.value = mean(samples, [](const auto& s) { return s.model; });
  verdict.drop = points * mean(samples, lost);
  verdict.interval = scaled(mean_interval(each(samples, lost), adjustment), points);
  return verdict;
}

Verdict kl_verdict(Samples samples) {
  const Field kl = [](const PairedSample& s) {
    return s.kl.value_or(std::numeric_limits<double>::quiet_NaN());
  };
  Verdict verdict;
  verdict.value = verdict.drop = mean(samples, kl);
  verdict.interval = mean_interval(each(samples, kl), Adjustment::none);
  return verdict;
}

Verdict mse_verdict(Samples samples) {
  Verdict verdict;
  verdict.value = verdict.drop = sum(samples, noise) / std::max(1.0, sum(samples, elements));
  verdict.interval = ratio_interval(each(samples, noise), each(samples, elements));
  return verdict;
}

Verdict sqnr_verdict(Samples samples) {
  Verdict verdict;
  const double share = relative_noise(samples);
  verdict.value = -10 * std::log10(share);
  verdict.drop = points * share;
  verdict.interval = scaled(ratio_interval(each(samples, noise), each(samples, signal)), points);
  return verdict;
}

double area(Samples samples, const Field& score) {
  RocScores scores;
  for (const auto& s : samples) scores.add(static_cast<float>(score(s)), s.positive);
  return scores.area();
}

std::vector<double> scores_of(Samples samples, const Field& score, bool positive) {
  std::vector<double> scores;
  for (const auto& sample : samples) {
    if (sample.positive == positive) scores.push_back(score(sample));
  }
  return scores;
}

/// By sample of a kind: the share of those of the other kind that it is on the right side of.
std::vector<double> placements(Samples samples, const Field& score, bool positive) {
  auto shares =
      shares_below(scores_of(samples, score, positive), scores_of(samples, score, !positive));
  if (positive) return shares;
  for (double& share : shares) share = 1 - share;
  return shares;
}

/// Two correlated areas: DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or
/// more correlated receiver operating characteristic curves".
Verdict auc_verdict(Samples samples) {
  const Field reference = [](const PairedSample& s) { return s.reference; };
  const Field model = [](const PairedSample& s) { return s.model; };
  Verdict verdict;
  verdict.value = area(samples, model);
  verdict.drop = points * (area(samples, reference) - verdict.value);
  double squares = 0;
  for (const bool positive : {true, false}) {
    auto differences = placements(samples, reference, positive);
    const auto own = placements(samples, model, positive);
    for (std::size_t i = 0; i < own.size(); ++i) differences[i] -= own[i];
    const auto interval = mean_interval(differences, Adjustment::none);
    const double half = (interval.high - interval.low) / 2;
    squares += half * half;
  }
  const double half = points * std::sqrt(squares);
  verdict.interval = Interval{verdict.drop - half, verdict.drop + half};
  return verdict;
}

Verdict verdict_of(Metric metric, Samples samples) {
  switch (metric) {
    case Metric::top1:
    case Metric::top5: return mean_verdict(samples, true, Adjustment::matched_pairs);
    case Metric::agreement: return mean_verdict(samples, false, Adjustment::proportion);
    case Metric::cosine: return mean_verdict(samples, false, Adjustment::none);
    case Metric::kl: return kl_verdict(samples);
    case Metric::mse: return mse_verdict(samples);
    case Metric::sqnr: return sqnr_verdict(samples);
    case Metric::auc: break;
  }
  return auc_verdict(samples);
}

}  // namespace

std::vector<double> shares_below(std::span<const double> own, std::span<const double> others) {
  std::vector<double> sorted(others.begin(), others.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> shares;
  shares.reserve(own.size());
  for (const double score : own) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), score);
    const auto below = static_cast<double>(first - sorted.begin());
    const auto equal = static_cast<double>(last - first);
    shares.push_back((below + equal / 2) / static_cast<double>(sorted.size()));
  }
  return shares;
}

Result<Verdict> judge(Metric metric, std::span<const PairedSample> samples) {
  if (samples.empty()) return bad_input("no sample could be used");
  auto verdict = verdict_of(metric, samples);
  verdict.error = output_error(samples);
  if (std::isfinite(verdict.drop) && std::isfinite(verdict.error)) return verdict;
  return bad_input("no {}: the outputs hold a NaN or an infinity, or no class scores",
                   name(metric));
}

double reference_value(Metric metric, std::span<const PairedSample> samples) {
  const Field reference = [](const PairedSample& s) { return s.reference; };
  switch (metric) {
    case Metric::top1:
    case Metric::top5: return mean(samples, reference);
    case Metric::auc: return area(samples, reference);
    case Metric::sqnr: return std::numeric_limits<double>::infinity();
    case Metric::kl:
    case Metric::mse: return 0;
    case Metric::agreement:
    case Metric::cosine: break;
  }
  return 1;
}

}  // namespace octet

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "analysis/suspects.h"

namespace octet {
namespace {

/// A value's range in the file beside that which the comparison's data give.
struct RangePair {
  ValueId value = ValueId::none;
  std::string name;
  Quantization own;  ///< by the comparison's data
  double file_width = 0;
  double own_width = 0;
  const ValueErrors* errors = nullptr;
  [[nodiscard]] double ratio() const { return file_width / own_width; }
  /// Of the value's power, what lies beyond the range.
  [[nodiscard]] double clipped() const {
    return errors->clipping / (errors->signal > 0 ? errors->signal : 1);
  }
};

double width(const Quantization& q) {
  return range_maximum(q.params, q.scheme) - range_minimum(q.params, q.scheme);
}

std::vector<RangePair> range_pairs(const DiagnosisInput& input) {
  std::vector<RangePair> pairs;
  for (const auto& [id, q] : input.model.plan.values) {
    const auto errors = input.errors.find(id);
    if (errors == input.errors.end()) continue;
    const auto& name = input.model.graph.value(id).name;
    const auto seen = input.statistics.values.find(name);
    if (seen == input.statistics.values.end()) continue;
    const auto params = params_from_statistics(seen->second, input.statistics.observer, q.scheme);
    if (!params) continue;
    RangePair pair{id, name, q, width(q), 0, &errors->second};
    pair.own.params = *params;
    pair.own_width = width(pair.own);
    if (pair.own_width > 0) pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// Mean share of values outside the calibrated ranges: over all samples, and of the class with the
/// least, or, where most classes have too few samples to speak of, of the tenth of the samples.
struct Coverage {
  double mean = 0;
  double least = 0;
  std::int32_t best_class = -1;  ///< -1: of the tenth
};

/// Samples by which a class is judged.
constexpr double enough = 3;

/// The class with the least mean share among those with a few samples, where they have half of all.
void find_best_class(const std::map<std::int64_t, double>& by_sample,
                     const std::vector<std::int32_t>& labels, Coverage& out) {
  std::map<std::int32_t, std::pair<double, double>> by_class;  // sum and count
  for (const auto& [sample, share] : by_sample) {
    if (static_cast<std::size_t>(sample) >= labels.size()) continue;
    auto& of = by_class[labels[static_cast<std::size_t>(sample)]];
    of.first += share;
    of.second += 1;
  }
  std::erase_if(by_class, [](const auto& entry) { return entry.second.second < enough; });
  double judged = 0;
  for (const auto& [label, of] : by_class) judged += of.second;
  if (2 * judged < static_cast<double>(by_sample.size())) return;
  for (const auto& [label, of] : by_class) {
    const double share = of.first / of.second;
    if (out.best_class >= 0 && share >= out.least) continue;
    out.least = share;
    out.best_class = label;
  }
}

Coverage coverage(const DiagnosisInput& input, const std::vector<RangePair>& pairs) {
  std::map<std::int64_t, double> by_sample;
  for (const auto& pair : pairs) {
    for (std::size_t i = 0; i < pair.errors->samples.size(); ++i) {
      by_sample[pair.errors->samples[i]] +=
          pair.errors->outside_by_sample[i] / static_cast<double>(pairs.size());
    }
  }
  Coverage out;
  if (by_sample.empty()) return out;
  std::vector<double> shares;
  for (const auto& [sample, share] : by_sample) {
    out.mean += share / static_cast<double>(by_sample.size());
    shares.push_back(share);
  }
  std::sort(shares.begin(), shares.end());
  out.least = shares[shares.size() / 10];
  find_best_class(by_sample, input.labels, out);
  return out;
}

/// Ranges of values, replaced by those of the comparison's data.
PlanTrial recalibrated(const DiagnosisInput& input, const std::vector<RangePair>& pairs) {
  PlanTrial trial{"calibrated on these data", input.model.plan};
  for (const auto& pair : pairs) {
    trial.plan.values[pair.value] = pair.own;
    for (auto& [use, q] : trial.plan.overrides) {
      const auto read = input.model.graph.node(use.node).input(static_cast<std::size_t>(use.input));
      if (read == pair.value && !is_dynamic(q)) q.params = pair.own.params;
    }
  }
  return trial;
}

std::string range_text(const RangePair& pair) {
  return fmt::format(
      "{}: range {:.4g} wide, these data need {:.4g}; {:.2f} % of the values are cut off",
      pair.name, pair.file_width, pair.own_width, 100 * pair.errors->outside);
}

constexpr double narrow = 0.8;

/// Narrow ranges, the one that cuts off most first, without those that next to it hardly cut off
/// anything: some are always a little narrow by chance.
std::vector<RangePair> cut_ranges(const std::vector<RangePair>& pairs) {
  constexpr double hardly = 0.01;
  std::vector<RangePair> cut;
  for (const auto& pair : pairs) {
    if (pair.ratio() < narrow && pair.clipped() > 0) cut.push_back(pair);
  }
  std::stable_sort(cut.begin(), cut.end(), [](const RangePair& a, const RangePair& b) {
    return a.clipped() > b.clipped();
  });
  std::erase_if(cut, [least = cut.empty() ? 0 : hardly * cut.front().clipped()](
                         const RangePair& pair) { return pair.clipped() < least; });
  return cut;
}

/// Ranges that tell something of the samples, those that values share counted once. What both sets
/// of samples give to the last bit is the model's own bound (Relu6, pixels).
std::size_t telling_ranges(const std::vector<RangePair>& pairs) {
  std::set<std::pair<double, double>> widths;
  for (const auto& pair : pairs) {
    if (pair.file_width != pair.own_width) widths.emplace(pair.file_width, pair.own_width);
  }
  return widths.size();
}

/// The file's ranges are narrower than the data need: a few of them, or most.
void find_narrow_ranges(const DiagnosisInput& input, const std::vector<RangePair>& pairs,
                        std::vector<Suspect>& out) {
  constexpr double few = 0.15;
  constexpr std::size_t most_named = 3;
  const auto cut = cut_ranges(pairs);
  if (cut.empty()) return;
  const auto count = telling_ranges(cut);
  const auto all = telling_ranges(pairs);
  const auto limit = std::max(1.0, few * static_cast<double>(all));
  const auto covered = coverage(input, cut);
  Suspect suspect;
  for (std::size_t i = 0; i < std::min(cut.size(), most_named); ++i) {
    suspect.evidence.push_back(range_text(cut[i]));
  }
  suspect.evidence.push_back(
      fmt::format("{} of {} ranges that depend on the samples are narrower than {:g} of what these "
                  "data give, and cut off values worth speaking of",
                  count, all, narrow));
  // An observer cuts off values of all samples; what one class of them made covers that class.
  constexpr double spared = 0.1;
  const bool some_fit = covered.least < spared * covered.mean;
  if (static_cast<double>(count) <= limit && !some_fit) {
    suspect.cause = "clipped_observer";
    suspect.layer = cut.front().name;
    suspect.text = fmt::format("the range of {} cuts off what it has to hold", cut.front().name);
    suspect.options = {"--observer", "mse"};
    suspect.remedy = recalibrated(input, cut);
    out.push_back(std::move(suspect));
    return;
  }
  suspect.cause = "calibration_set";
  suspect.text = "the calibration samples do not cover these data";
  suspect.evidence.push_back(fmt::format(
      "of the values with narrow ranges {:.3f} % are cut off, {:.3f} % in {}", 100 * covered.mean,
      100 * covered.least,
      covered.best_class >= 0 ? fmt::format("class {}", covered.best_class)
                              : std::string("the tenth of the samples with the least")));
  suspect.remedy = recalibrated(input, pairs);
  out.push_back(std::move(suspect));
}

/// One scale for channels of very different range, in what a layer gives.
void find_channel_ranges(const DiagnosisInput& input, std::vector<Suspect>& out) {
  constexpr double unlike = 32;
  const ValueErrors* worst = nullptr;
  ValueId at = ValueId::none;
  for (const auto& layer : input.layers) {
    const auto it = input.errors.find(layer.output);
    if (it == input.errors.end() || it->second.channel_ratio() < unlike) continue;
    if (input.model.graph.is_output(layer.output)) continue;
    if (worst != nullptr && worst->channel_ratio() >= it->second.channel_ratio()) continue;
    worst = &it->second;
    at = layer.output;
  }
  if (worst == nullptr) return;
  PlanTrial remedy{"a scale for each channel of the value", input.model.plan};
  auto& q = remedy.plan.values.at(at);
  const auto one = q.params;
  q.params = {{}, {}, 1};
  for (const float range : worst->channel_range) {
    const bool positive = range_minimum(one, q.scheme) >= 0;
    const auto params = params_from_range(positive ? 0.0 : -static_cast<double>(range),
                                          static_cast<double>(range), q.scheme);
    q.params.scale.push_back(params.scale[0]);
    q.params.zero_point.push_back(params.zero_point[0]);
  }
  const auto& name = input.model.graph.value(at).name;
  out.push_back({"channel_range",
                 name,
                 fmt::format("one scale for all channels of {}, whose ranges differ", name),
                 {fmt::format("its largest channel has {:.0f} times the range of the median one",
                              worst->channel_ratio())},
                 {"--equalize"},
                 std::move(remedy)});
}

}  // namespace

Result<std::vector<Suspect>> range_suspects(const DiagnosisInput& input) {
  std::vector<Suspect> out;
  const auto pairs = range_pairs(input);
  if (input.calibrated) find_narrow_ranges(input, pairs, out);
  find_channel_ranges(input, out);
  return out;
}

}  // namespace octet

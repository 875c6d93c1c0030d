#include "passes/data_free.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "passes/channel_importance.h"
#include "passes/integer_rules.h"
#include "passes/weight_view.h"

namespace octet {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Ranges end at the mean and so many standard deviations.
constexpr double range_deviations = 4.5;
/// Quantiles that stand for a channel in histograms.
constexpr int quantile_count = 512;

double density(double x) {
  return std::isfinite(x) ? std::exp(-0.5 * x * x) * 0.3989422804014327 : 0.0;
}
double distribution(double x) { return 0.5 * std::erfc(-x * 0.7071067811865476); }

/// One channel: normal, cut off at bounds.
struct ClippedNormal {
  double mean = 0;
  double deviation = 0;
  double low = -infinity;
  double high = infinity;

  [[nodiscard]] double clip(double x) const { return std::min(std::max(x, low), high); }
  /// The value `deviations` standard deviations from the mean, cut off.
  [[nodiscard]] double at(double deviations) const { return clip(mean + deviation * deviations); }

  /// Mean and variance of clip(x): integrals of the normal density over the three pieces.
  [[nodiscard]] std::pair<double, double> moments() const {
    if (deviation <= 0) return {clip(mean), 0.0};
    const double a = (low - mean) / deviation;
    const double b = (high - mean) / deviation;
    const double below = distribution(a);
    const double above = distribution(-b);
    const double inside = 1 - below - above;
    const double slope = density(a) - density(b);
    double first = mean * inside + deviation * slope;
    double second = (mean * mean + deviation * deviation) * inside + 2 * mean * deviation * slope;
    if (std::isfinite(low)) {
      first += low * below;
      second += low * low * below + deviation * deviation * a * density(a);
    }
    if (std::isfinite(high)) {
      first += high * above;
      second += high * high * above - deviation * deviation * b * density(b);
    }
    return {first, std::max(0.0, second - first * first)};
  }
  [[nodiscard]] double inside() const {
    if (deviation <= 0) return mean > low && mean < high ? 1.0 : 0.0;
    return distribution((high - mean) / deviation) - distribution((low - mean) / deviation);
  }
};

/// A channel: its moments, and the distribution that gives its range. A sum of cut off channels
/// has the sum of their moments, but is no cut off normal.
struct Channel {
  ClippedNormal shape;
  double mean = 0;
  double variance = 0;

  explicit Channel(const ClippedNormal& normal) : shape(normal) {
    std::tie(mean, variance) = normal.moments();
  }
};

using Channels = std::vector<Channel>;

/// Points of the standard normal distribution with equal probability between them, and the ends of
/// the range.
std::vector<double> standard_quantiles() {
  std::vector<double> points;
  for (int i = 0; i < quantile_count - 2; ++i) {
    const double wanted = (i + 0.5) / (quantile_count - 2);
    double low = -10;
    double high = 10;
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      (distribution(middle) < wanted ? low : high) = middle;
    }
    points.push_back((low + high) / 2);
  }
  points.push_back(-range_deviations);
  points.push_back(range_deviations);
  return points;
}

class Propagation {
 public:
  Propagation(const Graph& graph, const std::vector<InputRange>& inputs)
      : graph_(graph), inputs_(inputs) {}

  Status run() {
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) OCTET_TRY(start(i));
    OCTET_ASSIGN(const auto order, graph_.topological_order());
    for (const auto id : order) visit(graph_.node(id));
    return {};
  }

  [[nodiscard]] Result<const Channels*> find(ValueId id) const {
    const auto found = known_.find(id);
    if (found != known_.end()) return &found->second;
    return bad_input("value {} has no statistics without data: {}", graph_.value(id).name, reason_);
  }

 private:
  Status start(std::size_t i) {
    const auto id = graph_.inputs[i];
    const auto channels = channels_of(graph_, id);
    if (i >= inputs_.size() || channels == 0 || inputs_[i].lowest.empty()) {
      return bad_input(
          "the range of input {} is not known without data; give the recipe of its "
          "images",
          graph_.value(id).name);
    }
    Channels all;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto& range = inputs_[i];
      const auto at = range.lowest.size() == 1 ? 0 : static_cast<std::size_t>(c);
      if (at >= range.lowest.size()) {
        return bad_input("the recipe has {} channels, input {} has {}", range.lowest.size(),
                         graph_.value(id).name, channels);
      }
      const double low = range.lowest[at];
      const double high = range.highest[at];
      all.emplace_back(ClippedNormal{(low + high) / 2, (high - low) / 4, low, high});
    }
    known_[id] = std::move(all);
    raw_.push_back(id);
    return {};
  }

  void note(const Node& node, std::string_view why) {
    if (reason_.empty()) reason_ = fmt::format("node {} ({}) {}", node.name, node.op, why);
  }

  void visit(const Node& node) {
    const auto output = node.output();
    if (output == ValueId::none) return;
    if (const auto& moments = graph_.value(output).moments) {
      Channels all;
      for (std::size_t c = 0; c < moments->mean.size(); ++c) {
        all.emplace_back(ClippedNormal{static_cast<double>(moments->mean[c]),
                                       static_cast<double>(moments->stddev[c])});
      }
      known_[output] = std::move(all);
      return;
    }
    const auto found = known_.find(node.input(0));
    if (found == known_.end()) return note(node, "reads a value without statistics");
    const Channels input = found->second;
    if (node.is("Conv") || node.is("Gemm") || node.is("ConvTranspose")) {
      return through_weights(node, input);
    }
    if (const auto limits = activation_limits(graph_, node)) {
      known_[output] =
          cut(input, static_cast<double>(limits->low), static_cast<double>(limits->high));
      return;
    }
    if (node.is("Add")) return add(node, input);
    if (keeps(node)) {
      known_[output] = input;
      return;
    }
    note(node, "cannot be followed");
  }

  [[nodiscard]] bool keeps(const Node& node) const {
    constexpr std::array<std::string_view, 9> names = {
        "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity",
        "Pad",     "Flatten",     "Reshape",           "Squeeze"};
    return node.domain.empty() && std::find(names.begin(), names.end(), node.op) != names.end() &&
           channels_of(graph_, node.input(0)) == channels_of(graph_, node.output());
  }

  static Channels cut(Channels channels, double low, double high) {
    for (auto& channel : channels) {
      auto shape = channel.shape;
      shape.low = std::min(std::max(shape.low, low), high);
      shape.high = std::max(std::min(shape.high, high), low);
      channel = Channel(shape);
    }
    return channels;
  }

  void add(const Node& node, const Channels& left) {
    const auto found = known_.find(node.input(1));
    if (found == known_.end() || found->second.size() != left.size()) {
      return note(node, "adds something without statistics");
    }
    Channels sum;
    for (std::size_t c = 0; c < left.size(); ++c) {
      const auto& right = found->second[c];
      Channel both = left[c];
      both.mean += right.mean;
      both.variance += right.variance;
      both.shape = {both.mean, std::sqrt(both.variance), both.shape.low + right.shape.low,
                    both.shape.high + right.shape.high};
      sum.push_back(both);
    }
    known_[node.output()] = std::move(sum);
  }

  void through_weights(const Node& node, const Channels& input) {
    if (std::find(raw_.begin(), raw_.end(), node.input(0)) != raw_.end()) {
      return note(node, "has no BatchNormalization behind it");
    }
    const Tensor* weight = graph_.constant(node.input(1));
    if (weight == nullptr || weight->dtype() != DType::f32) {
      return note(node, "has no constant weights");
    }
    const auto view = view_of(node, *weight);
    const Tensor* bias = graph_.constant(node.input(2));
    if (static_cast<std::int64_t>(input.size()) != view.input_channels() ||
        (bias != nullptr && bias->size() != view.output_channels())) {
      return note(node, "reads another number of channels");
    }
    const auto shares = tap_shares(graph_, node, *weight, view.taps);
    Channels all;
    for (std::int64_t o = 0; o < view.output_channels(); ++o) {
      double mean = bias == nullptr ? 0.0 : static_cast<double>(bias->data<float>()[o]);
      double variance = 0;
      const auto group = o / view.outputs;
      for (std::int64_t i = 0; i < view.inputs; ++i) {
        const auto& from = input[static_cast<std::size_t>(group * view.inputs + i)];
        for (std::int64_t tap = 0; tap < view.taps; ++tap) {
          const double share = shares[static_cast<std::size_t>(tap)];
          const double w =
              static_cast<double>(weight->data<float>()[view.at(group, o % view.outputs, i, tap)]);
          mean += share * w * from.mean;
          variance += share * w * w * from.variance;
        }
      }
      all.emplace_back(ClippedNormal{mean, std::sqrt(variance)});
    }
    known_[node.output()] = std::move(all);
  }

  const Graph& graph_;
  const std::vector<InputRange>& inputs_;
  std::map<ValueId, Channels> known_;
  std::vector<ValueId> raw_;  ///< graph inputs
  std::string reason_;
};

ValueStatistics statistics_of(const Channels& channels, const std::vector<double>& quantiles) {
  const auto count = static_cast<std::int64_t>(channels.size());
  Tensor sample(DType::f32, {1, count, quantile_count});
  float* out = sample.mutable_data<float>();
  Tensor means(DType::f32, {1, count});
  float* mean = means.mutable_data<float>();
  for (const auto& channel : channels) {
    *mean++ = static_cast<float>(channel.mean);
    for (const double point : quantiles) {
      *out++ = static_cast<float>(channel.shape.at(point));
    }
  }
  ValueStatistics seen;
  seen.histogram.observe(sample.values<float>());
  seen.average_minimum = static_cast<double>(seen.histogram.minimum());
  seen.average_maximum = static_cast<double>(seen.histogram.maximum());
  TapView view;
  view.shape = means.shape();
  view.values = means.values<float>();
  seen.means.observe(view);
  return seen;
}

ChannelProfile profile_of(const Channels& channels) {
  ChannelProfile profile;
  for (const auto& channel : channels) {
    profile.mean.push_back(channel.mean);
    profile.variance.push_back(channel.variance);
    profile.minimum.push_back(channel.shape.at(-range_deviations));
    profile.maximum.push_back(channel.shape.at(range_deviations));
    profile.inside.push_back(channel.shape.inside());
  }
  return profile;
}

}  // namespace

QuantizeSources data_free_sources(std::vector<InputRange> inputs, ObserverKind observer) {
  QuantizeSources sources;
  sources.statistics = [inputs, observer](
                           const Graph& graph,
                           const std::vector<ValueId>& values) -> Result<Statistics> {
    Propagation propagation(graph, inputs);
    OCTET_TRY(propagation.run());
    const auto quantiles = standard_quantiles();
    Statistics statistics;
    statistics.observer = observer;
    for (const auto id : values) {
      OCTET_ASSIGN(const auto* channels, propagation.find(id));
      statistics.values[graph.value(id).name] = statistics_of(*channels, quantiles);
    }
    return statistics;
  };
  sources.profiles = [inputs](
                         const Graph& graph,
                         const std::vector<ProfileRequest>& requests) -> Result<ChannelProfiles> {
    Propagation propagation(graph, inputs);
    OCTET_TRY(propagation.run());
    ChannelProfiles profiles;
    for (const auto& request : requests) {
      const auto channels = propagation.find(request.value);
      if (channels) profiles[request.value] = profile_of(**channels);
    }
    return profiles;
  };
  return sources;
}

}  // namespace octet

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "passes/channel_importance.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"
#include "passes/scale_classes.h"
#include "passes/scale_search.h"
#include "passes/weight_view.h"

// Cross-layer equalization (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization
// and Bias Correction", section 4.1), with scales that minimise the modelled noise at the outputs
// (passes/scale_search.h) rather than make the ranges of two layers' channels equal.
//
// A Clip at 6 does not commute with scaling. A channel that reaches the bound in the profile stays
// as it is; one that does not may grow until its largest value comes within `headroom` of the
// bound.

namespace octet::passes {
namespace {

/// Share of a bound that a channel may reach after scaling; the less was seen, the less.
constexpr double headroom = 0.8;
constexpr double headroom_of_few = 0.6;
constexpr std::int64_t few_samples = 64;
/// Log of the largest factor.
constexpr double widest_scale = 10;
/// Channels are taken to reach and to vary at least this share of what the largest does.
constexpr double smallest_magnitude = 1e-3;
constexpr double smallest_variance = 1e-6;
/// A channel that comes this close to a bound reaches it.
constexpr double touching = 0.999;

double magnitude_of(const ChannelProfile& profile, std::size_t channel) {
  return std::max({profile.maximum[channel], -profile.minimum[channel], 0.0});
}

/// Whether only a Relu or Clip reads the value: it gets no codes of its own.
bool is_fused(const Graph& graph, const std::vector<std::vector<Use>>& uses, ValueId id) {
  const auto& readers = uses[index(id)];
  return readers.size() == 1 && activation_limits(graph, graph.node(readers[0].node)).has_value();
}

class Equalizer {
 public:
  explicit Equalizer(PassContext& context)
      : context_(context), graph_(context.model.graph), classes_(scale_classes(graph_)) {
    for (std::size_t k = 0; k < classes_.size(); ++k) {
      for (const auto id : classes_[k].values) class_of_[id] = static_cast<int>(k);
      layers_.insert(classes_[k].makers.begin(), classes_[k].makers.end());
      layers_.insert(classes_[k].readers.begin(), classes_[k].readers.end());
    }
  }

  Status run() {
    if (classes_.empty()) return {};
    OCTET_ASSIGN(profiles_, context_.sources.profiles(graph_, requests()));
    drop_unknown();
    OCTET_ASSIGN(importance_, channel_importance(graph_, profiles_));
    const auto problem = state_problem();
    OCTET_ASSIGN(const auto solution, search_scales(problem));
    if (!(solution.noise_after < solution.noise_before)) return {};
    return apply(solution);
  }

 private:
  [[nodiscard]] int class_of(ValueId id) const {
    const auto found = class_of_.find(id);
    return found == class_of_.end() ? -1 : found->second;
  }

  /// Values that are coded, and what every activation lets through.
  std::vector<ProfileRequest> requests() {
    const auto uses = graph_.uses();
    std::set<ValueId> wanted;
    for (const auto& [id, k] : class_of_) {
      if (!is_fused(graph_, uses, id)) coded_.push_back(id);
    }
    wanted.insert(coded_.begin(), coded_.end());
    for (const auto id : layers_) wanted.insert(graph_.node(id).input(0));
    const auto producers = graph_.producers();
    for (std::size_t i = 0; i < graph_.node_slots(); ++i) {
      const Node& node = graph_.node(static_cast<NodeId>(i));
      if (node.alive && activation_limits(graph_, node)) wanted.insert(node.output());
    }
    std::vector<ProfileRequest> all;
    for (const auto id : wanted) {
      ActivationBounds bounds;
      const auto producer = producers[index(id)];
      if (producer != NodeId::none) {
        bounds = activation_limits(graph_, graph_.node(producer)).value_or(bounds);
      }
      all.push_back({id, bounds.low, bounds.high});
    }
    return all;
  }

  [[nodiscard]] const ChannelProfile* profile_of(ValueId id, std::int64_t channels) const {
    const auto found = profiles_.find(id);
    const bool fits =
        found != profiles_.end() && static_cast<std::int64_t>(found->second.channels()) == channels;
    return fits ? &found->second : nullptr;
  }

  /// Classes of which something that was to be profiled could not be stay as they are.
  void drop_unknown() {
    std::set<int> unknown;
    for (const auto id : coded_) {
      const int k = class_of(id);
      if (profile_of(id, classes_[static_cast<std::size_t>(k)].channels) == nullptr)
        unknown.insert(k);
    }
    for (const int k : unknown) {
      for (const auto id : classes_[static_cast<std::size_t>(k)].values) class_of_.erase(id);
    }
  }

  ScaleClass bounds_of(const ValueClass& one) const {
    const auto count = static_cast<std::size_t>(one.channels);
    ScaleClass bounds{std::vector<double>(count, -widest_scale),
                      std::vector<double>(count, widest_scale)};
    for (const auto clip : one.clips) {
      const auto limits = *activation_limits(graph_, graph_.node(clip));
      const auto* profile = profile_of(graph_.node(clip).output(), one.channels);
      const bool few = profile != nullptr && profile->samples > 0 && profile->samples < few_samples;
      const double room = few ? headroom_of_few : headroom;
      constexpr double unknown = 1e30;
      for (std::size_t c = 0; c < count; ++c) {
        limit(bounds, c, static_cast<double>(limits.high),
              profile == nullptr ? unknown : profile->maximum[c], room);
        limit(bounds, c, static_cast<double>(-limits.low),
              profile == nullptr ? unknown : -profile->minimum[c], room);
      }
    }
    return bounds;
  }

  /// Keeps channel c, which reaches up to `largest`, from being changed by a bound.
  static void limit(ScaleClass& bounds, std::size_t c, double bound, double largest, double room) {
    if (bound == 0 || !std::isfinite(bound)) return;
    if (bound < 0 || largest >= touching * bound) {
      bounds.lowest[c] = bounds.highest[c] = 0;
    } else if (bounds.highest[c] > 0 && largest > 0) {
      bounds.highest[c] =
          std::min(bounds.highest[c], std::max(0.0, std::log(bound * room / largest)));
    }
  }

  ScaleProblem state_problem() const {
    ScaleProblem problem;
    for (const auto& one : classes_) problem.classes.push_back(bounds_of(one));
    for (const auto id : layers_) add_layer(problem, id);
    for (const auto id : coded_) add_value(problem, id);
    return problem;
  }

  void add_layer(ScaleProblem& problem, NodeId id) const {
    const Node& node = graph_.node(id);
    const Tensor& weight = *graph_.constant(node.input(1));
    const auto view = view_of(node, weight);
    const auto importance = importance_.find(node.output());
    if (importance == importance_.end()) return;
    NoisyLayer layer;
    layer.in = class_of(node.input(0));
    layer.out = class_of(node.output());
    layer.groups = view.groups;
    layer.outputs = view.outputs;
    layer.inputs = view.inputs;
    layer.taps = static_cast<double>(view.taps);
    const auto scheme = context_.weight_scheme(id);
    layer.per_channel = scheme.granularity == Granularity::per_channel;
    layer.levels = static_cast<double>(scheme.qmax());
    layer.importance = importance->second;
    const auto* profile = profile_of(node.input(0), view.input_channels());
    layer.variance = profile != nullptr ? profile->variance
                                        : std::vector<double>(
                                              static_cast<std::size_t>(view.input_channels()), 1.0);
    const double widest = *std::max_element(layer.variance.begin(), layer.variance.end());
    for (auto& value : layer.variance) value = std::max(value, widest * smallest_variance);
    layer.magnitude.resize(static_cast<std::size_t>(weight.size() / view.taps));
    float largest = 0;
    std::size_t at = 0;
    for (std::int64_t g = 0; g < view.groups; ++g) {
      for (std::int64_t o = 0; o < view.outputs; ++o) {
        for (std::int64_t i = 0; i < view.inputs; ++i, ++at) {
          for (std::int64_t tap = 0; tap < view.taps; ++tap) {
            const float size = std::abs(weight.data<float>()[view.at(g, o, i, tap)]);
            layer.magnitude[at] = std::max(layer.magnitude[at], size);
          }
          largest = std::max(largest, layer.magnitude[at]);
        }
      }
    }
    if (largest > 0 && std::isfinite(largest)) problem.layers.push_back(std::move(layer));
  }

  void add_value(ScaleProblem& problem, ValueId id) const {
    const int k = class_of(id);
    const auto importance = importance_.find(id);
    if (k < 0 || importance == importance_.end()) return;
    const auto& profile = profiles_.at(id);
    NoisyValue value;
    value.scale_class = k;
    value.importance = importance->second;
    double largest = 0;
    bool negative = false;
    for (std::size_t c = 0; c < profile.channels(); ++c) {
      value.magnitude.push_back(magnitude_of(profile, c));
      largest = std::max(largest, value.magnitude.back());
      negative = negative || profile.minimum[c] < 0;
    }
    if (!(largest > 0)) return;
    for (auto& size : value.magnitude) size = std::max(size, largest * smallest_magnitude);
    const int bits = context_.options.activation_bits;
    value.levels = std::ldexp(1.0, bits) - 1;
    if (negative) value.levels /= 2;
    problem.values.push_back(std::move(value));
  }

  Status apply(const ScaleSolution& solution) {
    for (const auto id : layers_) OCTET_TRY(scale_layer(solution, id));
    for (const auto& [id, k] : class_of_) {
      auto& moments = graph_.value(id).moments;
      if (!moments) continue;
      for (std::size_t c = 0; c < moments->mean.size(); ++c) {
        const auto factor = static_cast<float>(scale_of(solution, k, static_cast<std::int64_t>(c)));
        moments->mean[c] *= factor;
        moments->stddev[c] *= factor;
      }
    }
    return {};
  }

  static double scale_of(const ScaleSolution& solution, int k, std::int64_t channel) {
    if (k < 0) return 1;
    return std::exp(
        solution.log_scales[static_cast<std::size_t>(k)][static_cast<std::size_t>(channel)]);
  }

  /// Empty for no class.
  static std::vector<double> scales_of(const ScaleSolution& solution, int k) {
    if (k < 0) return {};
    auto scales = solution.log_scales[static_cast<std::size_t>(k)];
    for (double& scale : scales) scale = std::exp(scale);
    return scales;
  }

  Status scale_layer(const ScaleSolution& solution, NodeId id) {
    const int in = class_of(graph_.node(id).input(0));
    const int out = class_of(graph_.node(id).output());
    if (in < 0 && out < 0) return {};
    const auto weight_id = own_constant(graph_, {id, 1});
    Tensor& weight = *graph_.value(weight_id).constant;
    const auto view = view_of(graph_.node(id), weight);
    const auto up = scales_of(solution, out);
    const auto down = scales_of(solution, in);
    scale_channels(view, out < 0 ? nullptr : &up, in < 0 ? nullptr : &down,
                   weight.mutable_data<float>());
    if (out < 0 || graph_.node(id).input(2) == ValueId::none) return {};
    const auto bias_id = own_constant(graph_, {id, 2});
    float* bias = graph_.value(bias_id).constant->mutable_data<float>();
    for (std::int64_t o = 0; o < view.output_channels(); ++o) {
      bias[o] = static_cast<float>(static_cast<double>(bias[o]) * up[static_cast<std::size_t>(o)]);
    }
    return {};
  }

  PassContext& context_;
  Graph& graph_;
  std::vector<ValueClass> classes_;
  std::map<ValueId, int> class_of_;
  std::set<NodeId> layers_;
  std::vector<ValueId> coded_;
  ChannelProfiles profiles_;
  std::map<ValueId, std::vector<double>> importance_;
};

}  // namespace

Status equalize(PassContext& context) {
  if (!context.options.equalize || !context.sources.profiles) return {};
  return Equalizer(context).run();
}

}  // namespace octet::passes

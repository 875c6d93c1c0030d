#include "passes/channel_importance.h"

#include <algorithm>
#include <numeric>

#include "passes/integer_rules.h"
#include "passes/weight_view.h"

namespace octet {
namespace {

/// What gets through an activation that was never seen to let anything through.
constexpr double smallest_share = 1e-3;

class Importance {
 public:
  Importance(const Graph& graph, const ChannelProfiles& profiles)
      : graph_(graph), profiles_(profiles) {}

  Result<std::map<ValueId, std::vector<double>>> run() {
    for (const auto id : graph_.outputs) add_uniform(id, 1);
    OCTET_ASSIGN(const auto order, graph_.topological_order());
    for (auto it = order.rbegin(); it != order.rend(); ++it) visit(graph_.node(*it));
    return std::move(found_);
  }

 private:
  std::vector<double>& of(ValueId id, std::int64_t channels) {
    auto& all = found_[id];
    all.resize(static_cast<std::size_t>(channels), 0.0);
    return all;
  }

  void add_uniform(ValueId id, double amount) {
    const auto channels = channels_of(graph_, id);
    if (channels == 0) return;
    for (auto& value : of(id, channels)) value += amount;
  }

  void add(ValueId id, const std::vector<double>& amounts) {
    auto& all = of(id, static_cast<std::int64_t>(amounts.size()));
    for (std::size_t c = 0; c < amounts.size(); ++c) all[c] += amounts[c];
  }

  [[nodiscard]] bool multiplies(const Node& node) const {
    const bool known = node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm");
    const Tensor* weight = graph_.constant(node.input(1));
    return known && weight != nullptr && weight->dtype() == DType::f32 && weight->rank() >= 2 &&
           graph_.constant(node.input(0)) == nullptr;
  }

  void through_weights(const Node& node, const std::vector<double>& amounts) {
    const Tensor& weight = *graph_.constant(node.input(1));
    const auto view = view_of(node, weight);
    const auto input = static_cast<std::size_t>(view.input_channels());
    if (static_cast<std::int64_t>(amounts.size()) != view.output_channels() ||
        channels_of(graph_, node.input(0)) != view.input_channels()) {
      return add_uniform(node.input(0), mean(amounts));
    }
    std::vector<double> sums(input, 0.0);
    const float* values = weight.data<float>();
    for (std::int64_t g = 0; g < view.groups; ++g) {
      for (std::int64_t o = 0; o < view.outputs; ++o) {
        const double amount = amounts[static_cast<std::size_t>(g * view.outputs + o)];
        for (std::int64_t i = 0; i < view.inputs; ++i) {
          double squares = 0;
          for (std::int64_t tap = 0; tap < view.taps; ++tap) {
            const double w = static_cast<double>(values[view.at(g, o, i, tap)]);
            squares += w * w;
          }
          sums[static_cast<std::size_t>(g * view.inputs + i)] += amount * squares;
        }
      }
    }
    add(node.input(0), sums);
  }

  void through_activation(const Node& node, std::vector<double> amounts) {
    const auto profile = profiles_.find(node.output());
    if (profile != profiles_.end() && profile->second.channels() == amounts.size()) {
      for (std::size_t c = 0; c < amounts.size(); ++c) {
        amounts[c] *= std::max(profile->second.inside[c], smallest_share);
      }
    }
    add(node.input(0), amounts);
  }

  static double mean(const std::vector<double>& amounts) {
    return std::accumulate(amounts.begin(), amounts.end(), 0.0) /
           static_cast<double>(std::max<std::size_t>(amounts.size(), 1));
  }

  void visit(const Node& node) {
    const auto known = found_.find(node.output());
    if (known == found_.end()) return;
    const auto amounts = known->second;
    if (multiplies(node)) return through_weights(node, amounts);
    if (activation_limits(graph_, node)) return through_activation(node, amounts);
    for (const auto id : node.inputs) {
      if (id == ValueId::none || graph_.constant(id) != nullptr) continue;
      if (channels_of(graph_, id) == static_cast<std::int64_t>(amounts.size())) {
        add(id, amounts);
      } else {
        add_uniform(id, mean(amounts));
      }
    }
  }

  const Graph& graph_;
  const ChannelProfiles& profiles_;
  std::map<ValueId, std::vector<double>> found_;
};

}  // namespace

std::int64_t channels_of(const Graph& graph, ValueId id) {
  const auto& shape = graph.value(id).shape;
  if (!shape || shape->size() < 2 || (*shape)[1] <= 0) return 0;
  return (*shape)[1];
}

Result<std::map<ValueId, std::vector<double>>> channel_importance(const Graph& graph,
                                                                  const ChannelProfiles& profiles) {
  return Importance(graph, profiles).run();
}

}  // namespace octet

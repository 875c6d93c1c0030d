#include <algorithm>
#include <cmath>

#include "graph/spatial.h"
#include "passes/channel_importance.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"
#include "passes/scale_classes.h"
#include "passes/weight_view.h"

// High-bias absorption (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and
// Bias Correction", section 4.1.3). Where x, what a layer gives before its Relu, is never below
// c > 0 in a channel,
//
//   W2 relu(x) + b2 = W2 relu(x - c) + (b2 + W2 c),
//
// so c is taken out of the layer's bias and the activation needs a range that is smaller by c. With
// samples c is the least value that any of them has there; from the statistics of
// BatchNormalization it is beta - 3 |gamma|. Below c the function changes.
//
// Every reader has to take its share. Padding is 0 and not c, which no bias makes up for at the
// border, so a padded reader takes none. A Clip keeps its bound although that would have to move
// down by c, so channels that reach it stay as they are.

namespace octet::passes {
namespace {

/// Samples whose least values count; their sums are kept by sample.
constexpr std::int64_t sample_limit = 1024;
/// Standard deviations below the mean where no samples say more.
constexpr double deviations = 3;
/// A channel that comes this close to the bound of a Clip reaches it.
constexpr double touching = 0.999;

struct Layer {
  NodeId id = NodeId::none;
  float high = 0;  ///< bound of the activation
  std::vector<NodeId> readers;
};

/// f(x + c) = f(x) + c, channel by channel.
bool keeps_shifts(const Graph& graph, const Node& node) {
  if (node.outputs.size() != 1) return false;
  if (node.is("Flatten") || node.is("Reshape")) return flattens_pixels(graph, node);
  if (node.is("AveragePool")) return node.int_attribute("count_include_pad", 0) == 0;
  return node.is("Identity") || node.is("MaxPool") || node.is("GlobalMaxPool") ||
         node.is("GlobalAveragePool");
}

bool is_padded(const Graph& graph, const Node& node) {
  const auto& input = graph.value(node.input(0)).shape;
  const Tensor& weight = *graph.constant(node.input(1));
  if (!input) return true;
  // The pads of SAME depend on extents.
  const bool same = node.string_attribute("auto_pad", "NOTSET").starts_with("SAME");
  if (same && view_of(node, weight).taps != 1) return true;
  const auto geometry = resolve_conv(node, *input, weight.shape());
  const auto some = [](const auto& pads) {
    return std::any_of(pads.begin(), pads.end(), [](auto pad) { return pad != 0; });
  };
  return !geometry || some(geometry->pads_begin) || some(geometry->pads_end);
}

bool takes_shifts(const Graph& graph, const Node& node) {
  if (!has_scalable_weights(graph, node)) return false;
  return node.is("Gemm") || (node.is("Conv") && !is_padded(graph, node));
}

class Absorber {
 public:
  explicit Absorber(PassContext& context)
      : context_(context), graph_(context.model.graph), uses_(graph_.uses()) {}

  Status run() {
    find_layers();
    if (layers_.empty()) return {};
    OCTET_ASSIGN(const auto profiles, profile());
    int channels = 0;
    for (const auto& layer : layers_) {
      const auto found = profiles.find(graph_.node(layer.id).output());
      if (found == profiles.end()) continue;
      const auto shifts = shifts_of(layer, found->second);
      const auto moved =
          std::count_if(shifts.begin(), shifts.end(), [](double shift) { return shift > 0; });
      channels += static_cast<int>(moved);
      if (moved > 0) OCTET_TRY(absorb(layer, shifts));
    }
    context_.report.notes.push_back(fmt::format(
        "biases of {} channel{} absorbed by the next layers", channels, channels == 1 ? "" : "s"));
    return {};
  }

 private:
  void find_layers() {
    for (std::size_t i = 0; i < graph_.node_slots(); ++i) {
      const auto id = static_cast<NodeId>(i);
      const Node& node = graph_.node(id);
      if (!node.alive || !has_scalable_weights(graph_, node)) continue;
      const auto& readers = uses_[index(node.output())];
      if (readers.size() != 1 || graph_.is_output(node.output())) continue;
      const Node& activation = graph_.node(readers[0].node);
      const auto limits = activation_limits(graph_, activation);
      if (!limits || limits->low != 0) continue;
      Layer layer{id, limits->high, {}};
      if (find_readers(activation.output(), layer.readers)) layers_.push_back(std::move(layer));
    }
  }

  /// All that read the value, at once or behind what keeps shifts; false where one takes no shift.
  bool find_readers(ValueId value, std::vector<NodeId>& found) const {
    if (graph_.is_output(value) || uses_[index(value)].empty()) return false;
    for (const auto& use : uses_[index(value)]) {
      const Node& reader = graph_.node(use.node);
      if (use.input != 0) return false;
      if (takes_shifts(graph_, reader)) {
        found.push_back(use.node);
      } else if (!keeps_shifts(graph_, reader) || !find_readers(reader.output(), found)) {
        return false;
      }
    }
    return true;
  }

  Result<ChannelProfiles> profile() const {
    std::vector<ProfileRequest> requests;
    for (const auto& layer : layers_) requests.push_back({graph_.node(layer.id).output()});
    if (!context_.sources.samples) return context_.sources.profiles(graph_, requests);
    return profile_channels(graph_, requests, context_.sources.samples, sample_limit);
  }

  [[nodiscard]] std::vector<double> shifts_of(const Layer& layer,
                                              const ChannelProfile& profile) const {
    std::vector<double> shifts(profile.channels(), 0.0);
    if (static_cast<std::int64_t>(shifts.size()) !=
        channels_of(graph_, graph_.node(layer.id).output())) {
      return {};
    }
    for (std::size_t c = 0; c < shifts.size(); ++c) {
      if (profile.maximum[c] >= touching * static_cast<double>(layer.high)) continue;
      const double least = profile.samples > 0
                               ? profile.minimum[c]
                               : profile.mean[c] - deviations * std::sqrt(profile.variance[c]);
      if (std::isfinite(least)) shifts[c] = std::max(0.0, least);
    }
    return shifts;
  }

  Status absorb(const Layer& layer, const std::vector<double>& shifts) {
    const auto channels = static_cast<std::int64_t>(shifts.size());
    OCTET_ASSIGN(const auto bias_id, own_bias(graph_, layer.id, channels));
    float* bias = graph_.value(bias_id).constant->mutable_data<float>();
    auto& moments = graph_.value(graph_.node(layer.id).output()).moments;
    for (std::size_t c = 0; c < shifts.size(); ++c) {
      bias[c] = static_cast<float>(static_cast<double>(bias[c]) - shifts[c]);
      if (moments) moments->mean[c] -= static_cast<float>(shifts[c]);
    }
    for (const auto reader : layer.readers) OCTET_TRY(give(reader, shifts));
    return {};
  }

  /// b2 += W2 c
  Status give(NodeId reader, const std::vector<double>& shifts) {
    const Tensor weight = *graph_.constant(graph_.node(reader).input(1));
    const auto view = view_of(graph_.node(reader), weight);
    OCTET_ASSIGN(const auto bias_id, own_bias(graph_, reader, view.output_channels()));
    float* bias = graph_.value(bias_id).constant->mutable_data<float>();
    std::vector<double> sums(bias, bias + view.output_channels());
    for_each_weight(view, [&](std::size_t o, std::size_t i, std::size_t at) {
      sums[o] += shifts[i] * static_cast<double>(weight.data<float>()[at]);
    });
    std::transform(sums.begin(), sums.end(), bias,
                   [](double sum) { return static_cast<float>(sum); });
    return {};
  }

  PassContext& context_;
  Graph& graph_;
  const std::vector<std::vector<Use>> uses_;
  std::vector<Layer> layers_;
};

}  // namespace

Status absorb_bias(PassContext& context) {
  if (!context.options.absorb_bias) return {};
  if (!context.sources.samples && !context.sources.profiles) return {};
  return Absorber(context).run();
}

}  // namespace octet::passes

#include "passes/scale_classes.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "passes/channel_importance.h"
#include "passes/integer_rules.h"
#include "passes/weight_view.h"

namespace octet {
namespace {

bool is_f32(const Graph& graph, ValueId id) {
  const Tensor* constant = graph.constant(id);
  return constant != nullptr && constant->dtype() == DType::f32;
}

class Classes {
 public:
  explicit Classes(const Graph& graph) : graph_(graph) {
    for (std::size_t i = 0; i < graph.value_slots(); ++i) {
      const auto id = static_cast<ValueId>(i);
      parents_.push_back(id);
      fixed_.push_back(channels_of(graph, id) == 0 || graph.value(id).dtype != DType::f32 ||
                       graph.value(id).is_constant());
    }
  }

  std::vector<ValueClass> run() {
    for (const auto id : graph_.inputs) fix(id);
    for (const auto id : graph_.outputs) fix(id);
    for (std::size_t i = 0; i < graph_.node_slots(); ++i) {
      const Node& node = graph_.node(static_cast<NodeId>(i));
      if (node.alive) visit(static_cast<NodeId>(i), node);
    }
    return collect();
  }

 private:
  void fix(ValueId id) {
    if (id != ValueId::none) fixed_[index(root(id))] = true;
  }
  void fix_all(const Node& node) {
    for (const auto id : node.inputs) fix(id);
    for (const auto id : node.outputs) fix(id);
  }
  ValueId root(ValueId id) {
    while (parents_[index(id)] != id) id = parents_[index(id)];
    return id;
  }
  void unite(ValueId a, ValueId b) {
    if (channels_of(graph_, a) != channels_of(graph_, b)) {
      fix(a);
      fix(b);
      return;
    }
    const auto first = root(a);
    const auto second = root(b);
    const bool fixed = fixed_[index(first)] || fixed_[index(second)];
    parents_[index(std::max(first, second))] = std::min(first, second);
    fixed_[index(std::min(first, second))] = fixed;
  }

  /// f(t * x) = t * f(x) for t > 0, channel by channel.
  [[nodiscard]] bool homogeneous(const Node& node) const {
    if (node.is("Relu") || node.is("LeakyRelu") || node.is("Identity") || node.is("MaxPool") ||
        node.is("AveragePool") || node.is("GlobalAveragePool") || node.is("GlobalMaxPool")) {
      return node.outputs.size() == 1;
    }
    if (node.is("PRelu")) return is_f32(graph_, node.input(1));
    if (node.is("Clip")) return activation_limits(graph_, node).has_value();
    if (node.is("Pad")) return pads_zeros(node);
    if (node.is("Flatten") || node.is("Reshape")) return flattens_pixels(graph_, node);
    return false;
  }

  /// Pads with zeros, and not along the channels.
  [[nodiscard]] bool pads_zeros(const Node& node) const {
    if (node.string_attribute("mode", "constant") != "constant") return false;
    const Tensor* fill = graph_.constant(node.input(2));
    if (node.input(2) != ValueId::none &&
        (!is_f32(graph_, node.input(2)) || fill->size() != 1 || fill->data<float>()[0] != 0)) {
      return false;
    }
    return channels_of(graph_, node.input(0)) == channels_of(graph_, node.output());
  }

  [[nodiscard]] bool plain_sum(const Node& node) const {
    if (!node.is("Add")) return false;
    const auto& out = graph_.value(node.output()).shape;
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return graph_.constant(id) == nullptr && graph_.value(id).shape == out;
    });
  }

  void visit(NodeId id, const Node& node) {
    if (has_scalable_weights(graph_, node)) {
      makers_[node.output()] = id;
      readers_[node.input(0)].push_back(id);
      return;
    }
    if (plain_sum(node)) {
      unite(node.input(0), node.output());
      unite(node.input(1), node.output());
      return;
    }
    if (!homogeneous(node)) return fix_all(node);
    unite(node.input(0), node.output());
    const auto limits = activation_limits(graph_, node);
    const auto bounded = [](float bound) { return bound != 0 && std::isfinite(bound); };
    if (limits && (bounded(limits->low) || bounded(limits->high))) clips_.push_back(id);
  }

  std::vector<ValueClass> collect() {
    std::map<ValueId, ValueClass> found;
    const auto producers = graph_.producers();
    for (std::size_t i = 0; i < parents_.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const auto representative = root(id);
      if (fixed_[index(representative)] || producers[i] == NodeId::none) continue;
      auto& one = found[representative];
      one.channels = channels_of(graph_, id);
      one.values.push_back(id);
      if (const auto maker = makers_.find(id); maker != makers_.end()) {
        one.makers.push_back(maker->second);
      }
      if (const auto reader = readers_.find(id); reader != readers_.end()) {
        one.readers.insert(one.readers.end(), reader->second.begin(), reader->second.end());
      }
    }
    for (const auto id : clips_) {
      const auto one = found.find(root(graph_.node(id).output()));
      if (one != found.end()) one->second.clips.push_back(id);
    }
    std::vector<ValueClass> classes;
    for (auto& [id, one] : found) {
      if (!one.makers.empty() && !one.readers.empty()) classes.push_back(std::move(one));
    }
    return classes;
  }

  const Graph& graph_;
  std::vector<ValueId> parents_;
  std::vector<bool> fixed_;
  std::map<ValueId, NodeId> makers_;
  std::map<ValueId, std::vector<NodeId>> readers_;
  std::vector<NodeId> clips_;
};

}  // namespace

bool has_scalable_weights(const Graph& graph, const Node& node) {
  if (!node.is("Conv") && !node.is("ConvTranspose") && !node.is("Gemm")) return false;
  if (!is_f32(graph, node.input(1)) || graph.constant(node.input(0)) != nullptr) return false;
  const Tensor& weight = *graph.constant(node.input(1));
  if (weight.size() == 0 || weight.rank() < (node.is("Gemm") ? 2 : 3)) return false;
  if (node.is("Gemm") &&
      (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
       node.int_attribute("transA", 0) != 0)) {
    return false;
  }
  const auto view = view_of(node, weight);
  if (channels_of(graph, node.input(0)) != view.input_channels() ||
      channels_of(graph, node.output()) != view.output_channels()) {
    return false;
  }
  if (node.input(2) == ValueId::none) return true;
  return is_f32(graph, node.input(2)) &&
         graph.constant(node.input(2))->size() == view.output_channels();
}

bool flattens_pixels(const Graph& graph, const Node& node) {
  for (const auto id : {node.input(0), node.output()}) {
    const auto& shape = graph.value(id).shape;
    if (!shape || shape->size() < 2) return false;
    if (!std::all_of(shape->begin() + 2, shape->end(), [](auto extent) { return extent == 1; })) {
      return false;
    }
  }
  return channels_of(graph, node.input(0)) == channels_of(graph, node.output());
}

std::vector<ValueClass> scale_classes(const Graph& graph) { return Classes(graph).run(); }

}  // namespace octet

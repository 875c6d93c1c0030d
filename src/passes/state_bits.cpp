#include "passes/state_bits.h"

#include <algorithm>
#include <vector>

#include "passes/integer_rules.h"

namespace octet {
namespace {

constexpr int file_bits = 8;

bool is_narrow(const Quantization& q) { return !is_dynamic(q) && q.scheme.bits < file_bits; }

/// The values that the smallest and the largest code stand for.
struct Bounds {
  float low;
  float high;
};
Bounds bounds_of(const Quantization& q) {
  return {static_cast<float>(range_minimum(q.params, q.scheme)),
          static_cast<float>(range_maximum(q.params, q.scheme))};
}

class Stating {
 public:
  explicit Stating(QuantizedGraph& model)
      : model_(model), graph_(model.graph), producers_(graph_.producers()), uses_(graph_.uses()) {}

  void run() {
    std::vector<ValueId> narrow;
    for (const auto& [id, q] : model_.plan.values) {
      if (is_narrow(q) && graph_.constant(id) == nullptr) narrow.push_back(id);
    }
    // Those whose codes come from others are judged before those others change.
    std::vector<ValueId> limited;
    std::copy_if(narrow.begin(), narrow.end(), std::back_inserter(limited),
                 [&](ValueId id) { return !takes_codes_over(id); });
    for (const auto id : limited) limit(id);
    for (const auto id : narrow) {
      const auto found = model_.plan.values.find(id);
      if (found != model_.plan.values.end()) found->second.scheme.bits = file_bits;
    }
    for (const auto& [use, q] : std::map(model_.plan.overrides)) {
      if (is_narrow(q)) limit_use(use, q);
    }
  }

 private:
  /// Its codes are within the bits already.
  [[nodiscard]] bool takes_codes_over(ValueId id) const {
    const auto producer = producers_[index(id)];
    return producer != NodeId::none && moves_codes(model_, producer);
  }

  void limit(ValueId id) {
    const Quantization q = model_.plan.values.at(id);
    const auto producer = producers_[index(id)];
    if (producer == NodeId::none) {
      limit_input(id, q);
      return;
    }
    if (narrow_activation(producer, q)) return;
    Value before = graph_.value(id);
    before.name += "_unlimited";
    const auto unlimited = graph_.add_value(std::move(before));
    std::replace(graph_.node(producer).outputs.begin(), graph_.node(producer).outputs.end(), id,
                 unlimited);
    add_clip(unlimited, id, bounds_of(q));
  }

  void limit_input(ValueId id, Quantization q) {
    const auto limited = add_like(id, "_limited");
    for (const auto& use : uses_[index(id)]) {
      if (model_.plan.overrides.contains(use)) continue;
      graph_.node(use.node).inputs[static_cast<std::size_t>(use.input)] = limited;
    }
    add_clip(id, limited, bounds_of(q));
    model_.plan.values.erase(id);
    q.scheme.bits = file_bits;
    model_.plan.values[limited] = std::move(q);
  }

  void limit_use(const Use& use, Quantization q) {
    const auto input = static_cast<std::size_t>(use.input);
    const auto id = graph_.node(use.node).input(input);
    const auto limited = add_like(id, "_limited");
    add_clip(id, limited, bounds_of(q));
    graph_.node(use.node).inputs[input] = limited;
    model_.plan.overrides.erase(use);
    q.scheme.bits = file_bits;
    model_.plan.values[limited] = std::move(q);
  }

  /// Lets a Relu or Clip before the quantization, which nothing else reads coded, limit further.
  bool narrow_activation(NodeId id, const Quantization& q) {
    const auto limits = activation_limits(graph_, graph_.node(id));
    if (!limits || model_.plan.find(graph_, {id, 0}) != nullptr) return false;
    const Bounds range = bounds_of(q);
    Node& node = graph_.node(id);
    node.op = "Clip";
    node.attributes.clear();
    node.inputs = {node.inputs[0]};
    add_bounds(id, {std::max(range.low, static_cast<float>(limits->low)),
                    std::min(range.high, static_cast<float>(limits->high))});
    return true;
  }

  ValueId add_like(ValueId id, std::string_view suffix) {
    Value value = graph_.value(id);
    value.name += suffix;
    return graph_.add_value(std::move(value));
  }

  void add_clip(ValueId from, ValueId to, const Bounds& bounds) {
    Node node;
    node.op = "Clip";
    node.name = graph_.value(to).name + "_clip";
    node.inputs = {from};
    node.outputs = {to};
    add_bounds(graph_.add_node(std::move(node)), bounds);
  }

  void add_bounds(NodeId id, const Bounds& bounds) {
    const std::string name = graph_.node(id).name;
    for (const float bound : {bounds.low, bounds.high}) {
      const auto constant = graph_.add_constant(name + "_bound", Tensor::from<float>({bound}, {}));
      graph_.node(id).inputs.push_back(constant);
    }
  }

  QuantizedGraph& model_;
  Graph& graph_;
  std::vector<NodeId> producers_;
  std::vector<std::vector<Use>> uses_;
};

}  // namespace

void state_bits(QuantizedGraph& model) { Stating(model).run(); }

}  // namespace octet

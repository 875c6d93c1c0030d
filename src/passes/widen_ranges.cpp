#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/integer_rules.h"
#include "passes/passes.h"

// Raising a scale keeps the zero point, so that the range grows on both sides. What is too fine for
// what it is made of loses nothing by it: its steps were smaller than those of the operands. An
// operand that is too fine for the sum that it enters is raised itself where only that sum reads
// it, and requantized for the sum otherwise. Raising one scale moves the ratios of its neighbours,
// so all operators are looked at until nothing changes.

namespace octet {
namespace {

/// What does not settle in this many rounds, or below this scale, multiplies by more than the limit
/// in a circle: a value that shares the params of what it is multiplied to.
constexpr int most_rounds = 16;
constexpr double most_scale = 1e30;
/// Ratios are f32 quotients of f32 products in the runtime.
constexpr double rounding_margin = 1e-6;
/// A bias code stays below 2^30, bias correction included (passes/accumulator_room.cpp).
constexpr double bias_codes = 0x1p29;
/// In the products of an input by weights of 8 bits: below it no sum reaches 2^31 output steps.
constexpr double sum_limit = 0x1p16;

float largest_magnitude(const Tensor& tensor) {
  float largest = 0;
  for (const float value : tensor.values<float>()) largest = std::max(largest, std::abs(value));
  return largest;
}

class Widener {
 public:
  explicit Widener(PassContext& context)
      : context_(context), graph_(context.model.graph), placement_(context.placement) {}

  Status run() {
    OCTET_ASSIGN(order_, graph_.topological_order());
    for (int round = 0; changed_ && round < most_rounds; ++round) {
      changed_ = false;
      for (std::size_t i = 0; i < order_.size(); ++i) check(order_[i]);
    }
    for (const auto& [root, quantization] : context_.group_quantizations) hand_on(root);
    describe();
    return {};
  }

 private:
  struct Raised {
    float from = 0;
    NodeId node = NodeId::none;  ///< the first that needed it
  };

  [[nodiscard]] ValueId root(ValueId value) const {
    while (placement_.fused_into[index(value)] != ValueId::none) {
      value = placement_.fused_into[index(value)];
    }
    return placement_.group[index(value)];
  }
  [[nodiscard]] Quantization* shared(ValueId value) {
    if (value == ValueId::none || index(value) >= placement_.group.size()) return nullptr;
    const auto it = context_.group_quantizations.find(root(value));
    return it == context_.group_quantizations.end() ? nullptr : &it->second;
  }
  [[nodiscard]] ValueId operand(const Use& use) const {
    return graph_.node(use.node).input(static_cast<std::size_t>(use.input));
  }

  /// Scale of what a node reads; of a constant that which passes/quantize_weights.cpp will give it.
  /// 0 where it is not quantized.
  [[nodiscard]] double scale(const Use& use) {
    const auto value = operand(use);
    if (const Tensor* constant = value == ValueId::none ? nullptr : graph_.constant(value)) {
      return static_cast<double>(constant_quantization(value, *constant).params.scale[0]);
    }
    const auto* quantization = shared(value);
    return quantization == nullptr ? 0 : static_cast<double>(quantization->params.scale[0]);
  }
  [[nodiscard]] Quantization constant_quantization(ValueId value, const Tensor& constant) const {
    if (const auto* known = context_.model.plan.find(value)) return *known;
    const auto values = constant.values<float>();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const auto scheme = context_.activation_scheme();
    return {scheme,
            params_from_range(static_cast<double>(*low), static_cast<double>(*high), scheme),
            Origin::observed, context_.activation_storage()};
  }

  /// Largest unit of an accumulator: weight scales may yet be raised for the bias.
  [[nodiscard]] double layer_unit(NodeId id) {
    const Node& node = graph_.node(id);
    const auto scheme = context_.weight_scheme(id);
    const double largest = static_cast<double>(largest_magnitude(*graph_.constant(node.input(1))));
    const auto weight = params_from_range(-largest, largest, scheme);
    const double unit = scale({id, 0}) * static_cast<double>(weight.scale[0]);
    const auto bias = context_.bias_of(id);
    if (!bias) return unit;
    const Tensor& constant = *graph_.constant(operand(*bias));
    return std::max(unit, static_cast<double>(largest_magnitude(constant)) / bias_codes);
  }
  /// Ratio that the sums of a layer must stay below, at least 1: accumulators fit int32.
  [[nodiscard]] double layer_limit(NodeId id, double limit) const {
    if (context_.target.activation.bits > 8) return limit;
    const Node& node = graph_.node(id);
    const Tensor& weight = *graph_.constant(node.input(1));
    const auto depth = static_cast<double>(weight.size()) /
                       static_cast<double>(weight.dim(output_channel_axis(node)));
    return std::min(limit, std::max(1.0, sum_limit / depth));
  }

  void check(NodeId id) {
    const Node& node = graph_.node(id);
    const auto& kind = placement_.kinds[index(id)];
    if (!kind || *kind == IntegerKind::bias || shared(node.output()) == nullptr) return;
    if (node.is("Clip"))
      raise(node.output(), static_cast<double>(context_.target.least_clipped), id);
    const auto& known = context_.target.limits;
    const auto limits = std::find_if(known.begin(), known.end(),
                                     [&](const ScaleLimits& entry) { return entry.op == node.op; });
    if (limits == known.end() || !node.domain.empty()) return;
    const auto below = static_cast<double>(limits->below);
    if (*kind == IntegerKind::accumulate) {
      return keep_below(id, layer_unit(id), layer_limit(id, below));
    }
    raise(node.input(0), static_cast<double>(limits->least_input), id);
    if (*kind == IntegerKind::product || node.is("Mul")) {
      return keep_below(id, scale({id, 0}) * scale({id, 1}), below);
    }
    if (node.is("PRelu")) keep_below(id, scale({id, 0}) * scale({id, 1}), below);
    const bool sums = node.is("Add") || node.is("Sub");
    for (const int input : sums ? std::vector<int>{0, 1} : std::vector<int>{0}) {
      keep_below(id, scale({id, input}), below);
      keep_from({id, input}, static_cast<double>(limits->least));
    }
  }

  void keep_below(NodeId id, double unit, double limit) {
    const auto output = graph_.node(id).output();
    const auto step = static_cast<double>(shared(output)->params.scale[0]);
    if (unit * (1 + rounding_margin) < limit * step) return;
    raise(output, 2 * unit / limit, id);
  }

  void keep_from(const Use& use, double limit) {
    const double unit = scale(use);
    const auto step = static_cast<double>(shared(graph_.node(use.node).output())->params.scale[0]);
    if (limit == 0 || unit == 0 || unit >= limit * step * (1 + rounding_margin)) return;
    const double wanted = 2 * limit * step;
    const auto value = operand(use);
    if (const Tensor* constant = graph_.constant(value)) {
      auto quantization = constant_quantization(value, *constant);
      const auto own = own_constant(graph_, use);
      raised_constants_.try_emplace(own, Raised{quantization.params.scale[0], use.node});
      quantization.params.scale[0] = static_cast<float>(wanted);
      context_.model.plan.values[own] = quantization;
      changed_ = true;
    } else if (read_once(value)) {
      raise(value, wanted, use.node);
    } else {
      requantize(use, wanted);
    }
  }

  /// Nothing but one use sees the params of this value.
  [[nodiscard]] bool read_once(ValueId value) {
    if (shared(value)->origin == Origin::fixed || graph_.is_output(value)) return false;
    const auto sharing = std::count(placement_.group.begin(), placement_.group.end(), root(value));
    return sharing == 1 && graph_.uses()[index(value)].size() == 1;
  }

  void raise(ValueId value, double least, NodeId why) {
    Quantization* quantization = shared(value);
    if (quantization == nullptr || quantization->origin == Origin::fixed) return;
    float& scale = quantization->params.scale[0];
    if (static_cast<double>(scale) >= least) return;
    if (least > most_scale) {
      unsettled_ = true;
      return;
    }
    raised_.try_emplace(root(value), Raised{scale, why});
    scale = std::nextafter(static_cast<float>(least), std::numeric_limits<float>::infinity());
    changed_ = true;
  }

  /// An Identity that gives this use alone the value with a larger scale.
  void requantize(const Use& use, double scale) {
    const auto value = operand(use);
    auto quantization = *shared(value);
    quantization.params.scale[0] = static_cast<float>(scale);
    quantization.origin = Origin::derived;
    Value wider = graph_.value(value);
    wider.name += "_for_" + graph_.value(graph_.node(use.node).output()).name;
    Node node;
    node.op = "Identity";
    node.name = wider.name;
    const auto result = graph_.add_value(std::move(wider));
    node.inputs = {value};
    node.outputs = {result};
    order_.push_back(graph_.add_node(std::move(node)));
    graph_.node(use.node).inputs[static_cast<std::size_t>(use.input)] = result;
    placement_.add_requantized(order_.back(), result);
    const Node& reader = graph_.node(use.node);
    requantized_.push_back(fmt::format(
        "value {}: node {} ({}) reads it requantized to scale {:.3g}, which it needs in target {}",
        graph_.value(value).name, reader.name, reader.op, scale, context_.target.name));
    context_.group_quantizations[result] = std::move(quantization);
    changed_ = true;
  }

  /// Values that were given their params already.
  void hand_on(ValueId group) {
    if (!raised_.contains(group)) return;
    for (const auto source : placement_.sources) {
      if (placement_.group[index(source)] != group) continue;
      context_.model.plan.values[source] = context_.group_quantizations.at(group);
    }
  }

  [[nodiscard]] std::string raised_note(std::string_view what, ValueId value, const Raised& raised,
                                        float scale) const {
    const Node& node = graph_.node(raised.node);
    return fmt::format(
        "{} {}: scale raised from {:.3g} to {:.3g}, which node {} ({}) needs in target {}", what,
        graph_.value(value).name, raised.from, scale, node.name, node.op, context_.target.name);
  }

  /// The first few of a kind, and how many more there are.
  void note_some(std::vector<std::string> kind, std::string_view more) {
    constexpr std::size_t shown = 5;
    auto& notes = context_.report.notes;
    const std::size_t count = kind.size();
    kind.resize(std::min(count, shown));
    notes.insert(notes.end(), kind.begin(), kind.end());
    if (count > shown)
      notes.push_back(fmt::format("{} more {} for the same reason", count - shown, more));
  }

  void describe() {
    std::vector<std::string> raised;
    for (const auto& [group, from] : raised_) {
      const float scale = context_.group_quantizations.at(group).params.scale[0];
      raised.push_back(raised_note("value", group, from, scale));
    }
    for (const auto& [constant, from] : raised_constants_) {
      const float scale = context_.model.plan.values.at(constant).params.scale[0];
      raised.push_back(raised_note("constant", constant, from, scale));
    }
    note_some(std::move(raised), "scales raised");
    note_some(std::move(requantized_), "values requantized");
    auto& notes = context_.report.notes;
    if (changed_ || unsettled_) {
      notes.push_back(fmt::format(
          "scales beyond what target {} takes remain: values share the params of what they are "
          "multiplied to; the file may not load",
          context_.target.name));
    }
  }

  PassContext& context_;
  Graph& graph_;
  Placement& placement_;
  std::vector<NodeId> order_;
  std::map<ValueId, Raised> raised_;            ///< by group
  std::map<ValueId, Raised> raised_constants_;  ///< each for its one reader
  std::vector<std::string> requantized_;        ///< notes
  bool changed_ = true;
  bool unsettled_ = false;
};

}  // namespace

void Placement::add_requantized(NodeId node, ValueId value) {
  kinds.resize(index(node) + 1);
  kinds[index(node)] = IntegerKind::elementwise;
  reasons.resize(kinds.size());
  while (group.size() <= index(value)) group.push_back(static_cast<ValueId>(group.size()));
  quantized.resize(group.size(), false);
  quantized[index(value)] = true;
  fused_into.resize(group.size(), ValueId::none);
  float_readers.resize(group.size(), false);
}

Status passes::widen_ranges(PassContext& context) {
  if (context.target.limits.empty()) return {};
  return Widener(context).run();
}

}  // namespace octet

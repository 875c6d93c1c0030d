#include <algorithm>

#include "arithmetic/params.h"
#include "passes/integer_rules.h"
#include "passes/litert.h"

namespace octet::litert {
namespace {

using Fixed = std::optional<FixedOutput>;

class Separator {
 public:
  Separator(Graph& graph, const TargetProfile& target)
      : graph_(graph), target_(target), uses_(graph.uses()), fixed_(graph.value_slots()) {}

  Result<int> run() {
    OCTET_ASSIGN(const auto order, graph_.topological_order());
    for (const auto id : order) visit(id);
    return changes_;
  }

 private:
  void visit(NodeId id) {
    const auto* op = find_integer_op(target_, graph_.node(id));
    if (op == nullptr) return;
    if (requantizes(graph_, graph_.node(id), uses_[index(graph_.node(id).output())])) return;
    Fixed given = op->fixed;
    if (!given && op->kind == IntegerKind::pass_through) given = of(graph_.node(id).input(0));
    if (op->kind == IntegerKind::join) given = joined(id);
    for (const auto output : graph_.node(id).outputs) {
      if (output != ValueId::none) fixed_[index(output)] = given;
    }
  }

  [[nodiscard]] Fixed of(ValueId value) const {
    // Values that were added since are requantized ones.
    return value == ValueId::none || index(value) >= fixed_.size() ? Fixed{} : fixed_[index(value)];
  }

  /// The params that all operands have anyway; where they do not agree, fixed ones are requantized.
  Fixed joined(NodeId id) {
    Fixed common;
    bool first = true;
    bool agree = true;
    for (const auto input : graph_.node(id).inputs) {
      if (input == ValueId::none || graph_.constant(input) != nullptr) continue;
      agree = agree && (first || of(input) == common);
      common = of(input);
      first = false;
    }
    if (agree && (!common || holds_constants(id, *common))) return common;
    for (std::size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      if (of(graph_.node(id).input(i))) requantize(id, i);
    }
    return {};
  }

  /// Whether the constant operands lie in the range of the params.
  [[nodiscard]] bool holds_constants(NodeId id, const FixedOutput& fixed) const {
    const QuantParams params{{fixed.scale}, {fixed.zero_point}, -1};
    const auto low = range_minimum(params, target_.activation);
    const auto high = range_maximum(params, target_.activation);
    for (const auto input : graph_.node(id).inputs) {
      const Tensor* constant = graph_.constant(input);
      if (constant == nullptr || constant->dtype() != DType::f32) continue;
      const auto values = constant->values<float>();
      const bool inside = std::all_of(values.begin(), values.end(), [&](float value) {
        return static_cast<double>(value) >= low && static_cast<double>(value) <= high;
      });
      if (!inside) return false;
    }
    return true;
  }

  void requantize(NodeId id, std::size_t slot) {
    const auto input = graph_.node(id).input(slot);
    Value value = graph_.value(input);
    value.name += "_requantized";
    value.constant.reset();
    Node identity;
    identity.op = "Identity";
    identity.name = value.name;
    identity.inputs = {input};
    identity.outputs = {graph_.add_value(std::move(value))};
    graph_.node(id).inputs[slot] = identity.outputs[0];
    graph_.add_node(std::move(identity));
    ++changes_;
  }

  Graph& graph_;
  const TargetProfile& target_;
  std::vector<std::vector<Use>> uses_;
  std::vector<Fixed> fixed_;
  int changes_ = 0;
};

}  // namespace

Result<int> separate_fixed_outputs(Graph& graph, const TargetProfile& target) {
  return Separator(graph, target).run();
}

}  // namespace octet::litert

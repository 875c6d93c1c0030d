#include <map>

#include "core/parallel.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

struct Group {
  ValueStatistics seen;
  bool constant = false;  ///< a constant takes part
  std::optional<FixedOutput> fixed;
  QuantScheme scheme;
  std::vector<ValueId> sources;
  Result<QuantParams> params;
};

/// Constants that a Concat joins to a group, and tables that a Gather looks up, take part in its
/// range.
void observe_joined_constants(const PassContext& context, ObserverKind observer,
                              std::map<ValueId, Group>& groups) {
  const Graph& graph = context.model.graph;
  const Placement& placement = context.placement;
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    if (!placement.kinds[i]) continue;
    const auto kind = *placement.kinds[i];
    if (kind != IntegerKind::join && kind != IntegerKind::pass_through) continue;
    const Node& node = graph.node(static_cast<NodeId>(i));
    auto& group = groups[placement.group[index(node.output())]];
    for (const int input : data_inputs(graph, node)) {
      const Tensor* constant = graph.constant(node.input(static_cast<std::size_t>(input)));
      if (constant == nullptr) continue;
      ValueStatistics of_constant;
      if (observer == ObserverKind::minmax || observer == ObserverKind::moving_average) {
        of_constant.histogram.observe_range(constant->values<float>());
      } else {
        of_constant.histogram.observe(constant->values<float>());
      }
      of_constant.average_minimum = static_cast<double>(of_constant.histogram.minimum());
      of_constant.average_maximum = static_cast<double>(of_constant.histogram.maximum());
      merge_into(group.seen, of_constant);
      group.constant = true;
    }
  }
}

/// Notes values that never changed: a dead layer, or data or a recipe that does not fit the model.
void note_constant_values(PassContext& context, const Statistics& statistics) {
  constexpr int shown = 5;
  int count = 0;
  for (const auto id : context.placement.sources) {
    const std::string& name = context.model.graph.value(id).name;
    const Histogram& seen = statistics.values.at(name).histogram;
    if (seen.total() < 2 || seen.minimum() != seen.maximum()) continue;
    if (++count > shown) continue;
    const auto what = seen.minimum() == 0
                          ? std::string("0 in all samples")
                          : fmt::format("the constant {} in all samples", seen.minimum());
    context.report.notes.push_back(
        fmt::format("value {} is {}; check data and recipe", name, what));
  }
  if (count <= shown) return;
  context.report.notes.push_back(
      fmt::format("{} more values are constant in all samples", count - shown));
}

/// What the target demands of the values that these nodes make.
void find_fixed(const PassContext& context, std::map<ValueId, Group>& groups) {
  const Placement& placement = context.placement;
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    if (!placement.kinds[i]) continue;
    const Node& node = context.model.graph.node(static_cast<NodeId>(i));
    const auto* op = find_integer_op(context.target, node);
    if (op == nullptr || !op->fixed) continue;
    groups[placement.group[index(node.output())]].fixed = op->fixed;
  }
}

/// Overrides for products that read a value with fewer bits than it has.
Status narrow_uses(PassContext& context, const ValueBits& bits,
                   const std::map<ValueId, Group>& groups, ObserverKind observer) {
  for (const auto& [use, few] : bits.uses) {
    const auto value =
        context.model.graph.node(use.node).input(static_cast<std::size_t>(use.input));
    const auto& group = groups.at(context.placement.group[index(value)]);
    const auto scheme = context.activation_scheme(few);
    OCTET_ASSIGN(auto params, params_from_statistics(group.seen, observer, scheme));
    context.model.plan.overrides[use] = {scheme, std::move(params), Origin::observed,
                                         context.activation_storage()};
  }
  return {};
}

}  // namespace

Status calibrate(PassContext& context) {
  const Graph& graph = context.model.graph;
  const Placement& placement = context.placement;
  OCTET_ASSIGN(const auto statistics, context.sources.statistics(graph, placement.observed()));
  std::map<ValueId, Group> groups;
  for (const auto id : placement.sources) {
    const auto it = statistics.values.find(graph.value(id).name);
    if (it == statistics.values.end()) {
      return bad_input(
          "the statistics hold nothing of value {}; calibrate with this model and these options",
          graph.value(id).name);
    }
    Group& group = groups[placement.group[index(id)]];
    group.sources.push_back(id);
    merge_into(group.seen, it->second);
    context.means[id] = it->second.means;
  }
  for (const auto id : placement.turned) {
    const auto it = statistics.values.find(graph.value(id).name);
    if (it != statistics.values.end()) context.means[id] = it->second.means;
  }
  note_constant_values(context, statistics);
  observe_joined_constants(context, statistics.observer, groups);
  find_fixed(context, groups);

  std::vector<Group*> work;
  for (auto& [id, group] : groups) {
    if (!group.sources.empty() || group.constant) work.push_back(&group);
  }
  const ValueBits bits = value_bits(context);
  for (auto& [root, group] : groups) {
    const auto few = bits.values.find(root);
    group.scheme = few == bits.values.end() ? context.activation_scheme()
                                            : context.activation_scheme(few->second);
  }
  parallel_for(static_cast<std::int64_t>(work.size()), [&](std::int64_t i) {
    Group& group = *work[static_cast<std::size_t>(i)];
    if (group.fixed) {
      group.params = QuantParams{{group.fixed->scale}, {group.fixed->zero_point}, -1};
      return;
    }
    group.params = params_from_statistics(group.seen, statistics.observer, group.scheme);
  });
  for (auto& [root, group] : groups) {
    if (group.sources.empty() && !group.constant) continue;
    if (!group.params) {
      return tl::unexpected(
          group.params.error().with_context(fmt::format("value {}", graph.value(root).name)));
    }
    const Origin origin = group.fixed                ? Origin::fixed
                          : group.sources.size() > 1 ? Origin::shared
                                                     : Origin::observed;
    const Quantization quantization{group.scheme, *group.params, origin,
                                    context.activation_storage()};
    for (const auto id : group.sources) context.model.plan.values[id] = quantization;
    context.group_quantizations[root] = quantization;
  }
  return narrow_uses(context, bits, groups, statistics.observer);
}

}  // namespace octet::passes

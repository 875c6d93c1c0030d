#include <algorithm>
#include <numeric>
#include <set>

#include "graph/op_schema.h"
#include "passes/glob.h"
#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/placement.h"
#include "passes/wide_values.h"

namespace octet {
namespace {

/// Activations that limit codes and so can become part of the integer operator before them.
bool limits_codes(const Graph& graph, const Node& node) {
  return activation_limits(graph, node).has_value();
}

class Placer {
 public:
  Placer(const Graph& graph, const TargetProfile& target, const QuantizeOptions& options,
         std::vector<NodeId> order)
      : graph_(graph),
        target_(target),
        options_(options),
        order_(std::move(order)),
        uses_(graph_.uses()),
        producers_(graph_.producers()) {
    result_.kinds.resize(graph.node_slots());
    result_.reasons.resize(graph.node_slots());
    result_.quantized.assign(graph.value_slots(), false);
    result_.float_readers.assign(graph.value_slots(), false);
    result_.fused_into.assign(graph.value_slots(), ValueId::none);
    result_.group.resize(graph.value_slots());
    for (std::size_t i = 0; i < result_.group.size(); ++i) {
      result_.group[i] = static_cast<ValueId>(i);
    }
  }

  Placement run() {
    find_candidates();
    if (target_.extent == Extent::everywhere) {
      drop_idle_moves();
    } else {
      drop_unsupplied(wanted_values());
      drop_useless();
    }
    free_addends();
    mark_values();
    fuse_activations();
    mark_float_readers();
    join_groups();
    list_sources();
    list_turned();
    return std::move(result_);
  }

 private:
  [[nodiscard]] const Node& node(NodeId id) const { return graph_.node(id); }
  [[nodiscard]] std::optional<IntegerKind>& kind(NodeId id) { return result_.kinds[index(id)]; }
  [[nodiscard]] static bool moves(IntegerKind kind) {
    return kind == IntegerKind::pass_through || kind == IntegerKind::join;
  }
  [[nodiscard]] static bool multiplies(IntegerKind kind) {
    return kind == IntegerKind::accumulate || kind == IntegerKind::product;
  }
  void make_float(NodeId id, std::string reason) {
    kind(id).reset();
    result_.reasons[index(id)] = std::move(reason);
  }

  /// Non-constant inputs that carry values.
  [[nodiscard]] std::vector<ValueId> activations(NodeId id) const {
    std::vector<ValueId> ids;
    for (const int i : data_inputs(graph_, node(id))) {
      const auto value = node(id).input(static_cast<std::size_t>(i));
      if (value != ValueId::none && graph_.constant(value) == nullptr) ids.push_back(value);
    }
    return ids;
  }
  [[nodiscard]] std::vector<ValueId> outputs(NodeId id) const {
    std::vector<ValueId> ids;
    for (const auto value : node(id).outputs) {
      if (value != ValueId::none) ids.push_back(value);
    }
    return ids;
  }
  /// A use by a node that takes part in integers, as a value that it computes with.
  [[nodiscard]] bool is_integer_use(const Use& use) {
    if (!kind(use.node) || *kind(use.node) == IntegerKind::bias) return false;
    if (float_addends_.contains(use)) return false;
    const auto inputs = data_inputs(graph_, node(use.node));
    return std::find(inputs.begin(), inputs.end(), use.input) != inputs.end();
  }
  [[nodiscard]] bool has_integer_reader(ValueId value) {
    const auto& readers = uses_[index(value)];
    return std::any_of(readers.begin(), readers.end(),
                       [&](const Use& use) { return is_integer_use(use); });
  }
  /// Whether the target can have the node's result as floats without running it in float.
  [[nodiscard]] bool gives_floats(NodeId id) {
    if (!kind(id)) return true;
    if (*kind(id) == IntegerKind::bias) return true;
    const auto* op = find_integer_op(target_, node(id));
    return op != nullptr && op->form == IntegerForm::float_output;
  }

  /// A value that this node reads and that holds what masks do, unless it multiplies by weights.
  [[nodiscard]] ValueId read_mask(NodeId id, const std::vector<bool>& masks) const {
    const auto* op = find_integer_op(target_, node(id));
    if (op != nullptr && multiplies(op->kind)) return ValueId::none;
    for (const auto value : activations(id)) {
      if (masks[index(value)]) return value;
    }
    return ValueId::none;
  }

  void find_candidates() {
    const auto masks = mask_values(graph_, order_);
    const auto kept = kept_in_float(graph_, options_.keep_float, result_.notes);
    for (const auto id : order_) {
      const auto* op = find_integer_op(target_, node(id));
      if (op == nullptr) {
        make_float(id,
                   fmt::format("operator {} stays float in target {}", node(id).op, target_.name));
      } else if (kept[index(id)]) {
        make_float(id, "kept by --keep-float");
      } else if (auto reason = float_reason(graph_, node(id), target_); !reason.empty()) {
        make_float(id, std::move(reason));
      } else if (const auto mask = read_mask(id, masks); mask != ValueId::none) {
        make_float(id, fmt::format("its input {} is masked by constants of {:g} and more",
                                   graph_.value(mask).name, mask_limit));
      } else if (is_bias(id)) {
        kind(id) = IntegerKind::bias;
      } else if (activations(id).empty() && !looks_up_table(graph_, node(id))) {
        make_float(id, "all its inputs are constant");
      } else if (!target_.products &&
                 refined_kind(graph_, node(id), op->kind) == IntegerKind::product) {
        make_float(id, "the target multiplies two activations in float");
      } else if (requantizes(graph_, node(id), uses_[index(node(id).output())])) {
        kind(id) = target_.litert ? IntegerKind::elementwise : op->kind;
      } else {
        kind(id) = refined_kind(graph_, node(id), op->kind);
      }
    }
  }

  /// Params that the target demands of the node's output.
  [[nodiscard]] bool has_fixed_output(NodeId id) const {
    const auto* op = find_integer_op(target_, node(id));
    return op != nullptr && op->fixed.has_value();
  }

  /// An Add that alone reads what an integer MatMul gives, and adds a constant row.
  [[nodiscard]] bool is_bias(NodeId id) {
    if (!node(id).is("Add")) return false;
    for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
      const auto value = node(id).input(slot);
      const auto maker = producers_[index(value)];
      if (maker == NodeId::none || !node(maker).is("MatMul")) continue;
      if (kind(maker) != IntegerKind::accumulate || graph_.is_output(value)) continue;
      if (uses_[index(value)].size() != 1) continue;
      const auto channels = graph_.constant(node(maker).input(1))->shape().back();
      if (bias_input(graph_, node(id), channels) >= 0) return true;
    }
    return false;
  }

  /// Values that Conv, Gemm and MatMul read, directly or through nodes that only move values: they
  /// are worth quantizing even where a float node makes them.
  std::vector<bool> wanted_values() {
    std::vector<bool> wanted(graph_.value_slots(), false);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (!kind(*it)) continue;
      const auto made = outputs(*it);
      const bool wants =
          multiplies(*kind(*it)) ||
          (moves(*kind(*it)) && std::any_of(made.begin(), made.end(),
                                            [&](ValueId value) { return wanted[index(value)]; }));
      if (!wants) continue;
      for (const auto value : activations(*it)) wanted[index(value)] = true;
    }
    return wanted;
  }

  /// Everything but products needs inputs that are quantized anyway. What the target computes in
  /// float between codes needs inputs that it cannot have as floats.
  void drop_unsupplied(const std::vector<bool>& wanted) {
    std::vector<bool> supplied = wanted;
    std::vector<bool> only_codes(graph_.value_slots(), false);
    for (const auto id : order_) {
      if (!kind(id)) continue;
      const auto inputs = activations(id);
      const auto* op = find_integer_op(target_, node(id));
      const bool has_kernel = op->form != IntegerForm::between;
      if (!multiplies(*kind(id)) && *kind(id) != IntegerKind::bias) {
        const auto missing = std::find_if(inputs.begin(), inputs.end(), [&](ValueId value) {
          return has_kernel ? !supplied[index(value)] : !only_codes[index(value)];
        });
        if (missing != inputs.end()) {
          const auto& name = graph_.value(*missing).name;
          make_float(id, has_kernel
                             ? fmt::format("input {} is not quantized", name)
                             : fmt::format("target {} computes it in float, and has its input {} "
                                           "in float",
                                           target_.name, name));
          continue;
        }
      }
      const bool codes = moves(*kind(id))
                             ? std::all_of(inputs.begin(), inputs.end(),
                                           [&](ValueId value) { return only_codes[index(value)]; })
                             : !gives_floats(id);
      for (const auto value : outputs(id)) {
        supplied[index(value)] = true;
        only_codes[index(value)] = codes;
      }
    }
  }

  /// Quantizing a value only to dequantize it again costs accuracy for nothing. An activation that
  /// becomes part of the integer operator before it, and a table of codes, are of use anyway.
  void drop_useless() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const auto id = *it;
      if (!kind(id) || multiplies(*kind(id)) || *kind(id) == IntegerKind::bias) continue;
      const auto made = outputs(id);
      const bool read = std::any_of(made.begin(), made.end(),
                                    [&](ValueId value) { return has_integer_reader(value); });
      if (read || looks_up_table(graph_, node(id)) || is_fused(id)) continue;
      make_float(id, "no integer node reads its output");
    }
  }

  /// Moving codes around between floats is of no use: of the nodes that only move, those stay that
  /// have a computing integer node somewhere before or behind them.
  void drop_idle_moves() {
    join_groups();
    std::vector<bool> busy(graph_.value_slots(), false);
    for (const auto id : order_) {
      if (!kind(id) || moves(*kind(id))) continue;
      for (const auto value : activations(id)) busy[index(root(value))] = true;
      for (const auto value : outputs(id)) busy[index(root(value))] = true;
    }
    for (const auto id : order_) {
      if (!kind(id) || !moves(*kind(id)) || busy[index(root(node(id).output()))]) continue;
      make_float(id, "it moves values that nothing computes with in integers");
    }
    for (std::size_t i = 0; i < result_.group.size(); ++i) {
      result_.group[i] = static_cast<ValueId>(i);
    }
  }

  /// A Relu or Clip that alone reads what the target only has as codes.
  [[nodiscard]] bool is_fused(NodeId id) {
    if (!limits_codes(graph_, node(id))) return false;
    const auto value = node(id).input(0);
    const auto maker = producers_[index(value)];
    return maker != NodeId::none && kind(maker) && !moves(*kind(maker)) && !gives_floats(maker) &&
           uses_[index(value)].size() == 1 && !graph_.is_output(value);
  }

  /// The accumulating node whose result, or what activations make of it, alone reaches this use;
  /// `activations` gets those in between.
  NodeId addend(const Use& use, std::vector<NodeId>& activations_between) {
    auto value = node(use.node).input(static_cast<std::size_t>(use.input));
    for (;;) {
      const auto maker = producers_[index(value)];
      if (maker == NodeId::none || !kind(maker)) return NodeId::none;
      if (uses_[index(value)].size() != 1 || graph_.is_output(value)) return NodeId::none;
      if (*kind(maker) == IntegerKind::accumulate) return maker;
      const bool between = limits_codes(graph_, node(maker)) ||
                           find_integer_op(target_, node(maker))->form == IntegerForm::between;
      if (!between || node(maker).is("PRelu")) return NodeId::none;
      activations_between.push_back(maker);
      value = node(maker).input(0);
    }
  }

  /// Where a target adds floats to codes, what an accumulating node gives an Add stays float: of
  /// two such operands that which is computed last.
  void free_addends() {
    if (!target_.float_addends) return;
    std::vector<std::size_t> position(graph_.node_slots(), 0);
    for (std::size_t i = 0; i < order_.size(); ++i) position[index(order_[i])] = i;
    for (const auto id : order_) {
      if (kind(id) != IntegerKind::elementwise || !node(id).is("Add")) continue;
      std::vector<NodeId> between[2];
      const NodeId makers[] = {addend({id, 0}, between[0]), addend({id, 1}, between[1])};
      if (makers[0] == NodeId::none && makers[1] == NodeId::none) continue;
      const bool second =
          makers[0] == NodeId::none ||
          (makers[1] != NodeId::none && position[index(makers[1])] > position[index(makers[0])]);
      float_addends_.insert({id, second ? 1 : 0});
      for (const auto activation : between[second ? 1 : 0]) {
        make_float(activation, "what it gives is added in float");
      }
    }
  }

  void mark_values() {
    for (const auto id : order_) {
      if (!kind(id)) continue;
      for (const int i : data_inputs(graph_, node(id))) {
        const auto value = node(id).input(static_cast<std::size_t>(i));
        if (value == ValueId::none || graph_.constant(value) != nullptr) continue;
        if (is_integer_use({id, i})) result_.quantized[index(value)] = true;
      }
      for (const auto value : outputs(id)) {
        if (!gives_floats(id) || has_integer_reader(value)) result_.quantized[index(value)] = true;
      }
    }
  }

  void fuse_activations() {
    for (const auto id : order_) {
      if (!kind(id) || moves(*kind(id)) || has_fixed_output(id)) continue;
      const auto value = node(id).output();
      const auto& readers = uses_[index(value)];
      if (readers.size() != 1 || readers[0].input != 0 || graph_.is_output(value)) continue;
      const auto reader = readers[0].node;
      if (!kind(reader) || !limits_codes(graph_, node(reader))) continue;
      result_.quantized[index(value)] = false;
      result_.fused_into[index(value)] = node(reader).output();
    }
  }

  void mark_float_readers() {
    for (std::size_t i = 0; i < result_.quantized.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const auto maker = producers_[i];
      if (!result_.quantized[i] || (maker != NodeId::none && !gives_floats(maker))) continue;
      const auto& readers = uses_[i];
      result_.float_readers[i] =
          graph_.is_output(id) || std::any_of(readers.begin(), readers.end(),
                                              [&](const Use& use) { return !is_integer_use(use); });
    }
  }

  ValueId root(ValueId id) {
    while (result_.group[index(id)] != id) id = result_.group[index(id)];
    return id;
  }
  void unite(ValueId a, ValueId b) {
    const auto first = root(a);
    const auto second = root(b);
    result_.group[index(std::max(first, second))] = std::min(first, second);
  }
  void join_groups() {
    for (const auto id : order_) {
      if (!kind(id) || !moves(*kind(id))) continue;
      const auto made = outputs(id);
      for (const auto value : made) unite(value, made.front());
      for (const auto value : activations(id)) unite(value, made.front());
    }
    for (std::size_t i = 0; i < result_.group.size(); ++i) {
      result_.group[i] = root(static_cast<ValueId>(i));
    }
  }

  void list_sources() {
    for (std::size_t i = 0; i < result_.quantized.size(); ++i) {
      if (!result_.quantized[i]) continue;
      const auto producer = producers_[i];
      if (producer != NodeId::none && kind(producer) && moves(*kind(producer))) continue;
      result_.sources.push_back(static_cast<ValueId>(i));
    }
  }

  void list_turned() {
    for (std::size_t i = 0; i < result_.quantized.size(); ++i) {
      const auto maker = producers_[i];
      if (!result_.quantized[i] || maker == NodeId::none || !kind(maker)) continue;
      if (!node(maker).is("Transpose")) continue;
      const bool convolved = std::any_of(uses_[i].begin(), uses_[i].end(), [&](const Use& use) {
        return use.input == 0 && node(use.node).is("Conv") && kind(use.node);
      });
      if (convolved) result_.turned.push_back(static_cast<ValueId>(i));
    }
  }

  const Graph& graph_;
  const TargetProfile& target_;
  const QuantizeOptions& options_;
  std::vector<NodeId> order_;
  std::vector<std::vector<Use>> uses_;
  std::vector<NodeId> producers_;
  std::set<Use> float_addends_;  ///< uses by an Add that takes floats there
  Placement result_;
};

}  // namespace

std::vector<ValueId> Placement::observed() const {
  auto ids = sources;
  ids.insert(ids.end(), turned.begin(), turned.end());
  return ids;
}

bool computes_floats(const Graph& graph, const Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    if (id == ValueId::none) return false;
    const DType dtype = graph.value(id).dtype;
    return !is_integer(dtype) && dtype != DType::boolean && dtype != DType::string;
  });
}

std::vector<bool> kept_in_float(const Graph& graph, const std::vector<std::string>& globs,
                                std::vector<std::string>& notes) {
  std::vector<bool> kept(graph.node_slots(), false);
  for (const auto& glob : globs) {
    bool matched = false;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const Node& node = graph.node(static_cast<NodeId>(i));
      if (!node.alive || !matches(glob, node.name)) continue;
      kept[i] = true;
      matched = true;
    }
    if (!matched) notes.push_back(fmt::format("--keep-float {} matches no node", glob));
  }
  return kept;
}

Result<Placement> place(const Graph& graph, const TargetProfile& target,
                        const QuantizeOptions& options) {
  OCTET_ASSIGN(auto order, graph.topological_order());
  const auto first = order.empty() ? NodeId::none : order.front();
  auto placement = Placer(graph, target, options, std::move(order)).run();
  find_wide(graph, options.wide, placement);
  const auto computes = [](const std::optional<IntegerKind>& kind) {
    return kind && *kind != IntegerKind::pass_through && *kind != IntegerKind::join;
  };
  if (std::any_of(placement.kinds.begin(), placement.kinds.end(), computes)) return placement;
  if (first == NodeId::none) return bad_input("the graph has no nodes to quantize");
  // A node whose own shape is the obstacle tells more than one that the target does not have.
  auto shown = first;
  for (std::size_t i = 0; i < placement.reasons.size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const auto* op = find_integer_op(target, graph.node(id));
    if (!graph.node(id).alive || op == nullptr || op->kind != IntegerKind::accumulate) continue;
    shown = id;
    break;
  }
  return bad_input("no node can run in integers on target {}; node {} ({}): {}", target.name,
                   graph.node(shown).name, graph.node(shown).op, placement.reasons[index(shown)]);
}

void describe_placement(const Graph& graph, const Placement& placement, QuantizeReport& report) {
  std::int64_t all = 0;
  std::int64_t integer = 0;
  report.float_nodes.clear();
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    const std::int64_t macs = node_macs(graph, node);
    all += macs;
    if (touches_wide(graph, placement, static_cast<NodeId>(i))) {
      report.float_nodes.push_back({node.name, node.op, "it reads or gives 16-bit codes"});
    } else if (placement.kinds[i]) {
      integer += macs;
    } else if (computes_floats(graph, node)) {
      report.float_nodes.push_back({node.name, node.op, placement.reasons[i]});
    }
  }
  report.integer_mac_share =
      all > 0 ? static_cast<double>(integer) / static_cast<double>(all) : 0.0;
  report.notes.insert(report.notes.end(), placement.notes.begin(), placement.notes.end());
}

}  // namespace octet

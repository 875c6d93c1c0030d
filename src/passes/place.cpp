#include <fnmatch.h>

#include <algorithm>
#include <numeric>

#include "graph/op_schema.h"
#include "passes/integer_rules.h"
#include "passes/placement.h"

namespace octet {
namespace {

class Placer {
 public:
  Placer(const Graph& graph, const TargetProfile& target, const QuantizeOptions& options,
         std::vector<NodeId> order)
      : graph_(graph),
        target_(target),
        options_(options),
        order_(std::move(order)),
        uses_(graph.uses()) {
    result_.kinds.resize(graph.node_slots());
    result_.reasons.resize(graph.node_slots());
    result_.quantized.assign(graph.value_slots(), false);
    result_.fused_into.assign(graph.value_slots(), ValueId::none);
    result_.group.resize(graph.value_slots());
    for (std::size_t i = 0; i < result_.group.size(); ++i) {
      result_.group[i] = static_cast<ValueId>(i);
    }
  }

  Placement run() {
    find_candidates();
    const auto wanted = wanted_values();
    drop_unsupplied(wanted);
    drop_useless_movers();
    mark_values();
    fuse_activations();
    join_groups();
    list_sources();
    return std::move(result_);
  }

 private:
  [[nodiscard]] const Node& node(NodeId id) const { return graph_.node(id); }
  [[nodiscard]] std::optional<IntegerKind>& kind(NodeId id) { return result_.kinds[index(id)]; }
  [[nodiscard]] static bool moves(IntegerKind kind) {
    return kind == IntegerKind::pass_through || kind == IntegerKind::join;
  }
  void make_float(NodeId id, std::string reason) {
    kind(id).reset();
    result_.reasons[index(id)] = std::move(reason);
  }

  /// Non-constant inputs that carry values.
  [[nodiscard]] std::vector<ValueId> activations(NodeId id) const {
    std::vector<ValueId> ids;
    for (const int i : data_inputs(node(id))) {
      const auto value = node(id).input(static_cast<std::size_t>(i));
      if (value != ValueId::none && graph_.constant(value) == nullptr) ids.push_back(value);
    }
    return ids;
  }

  void find_candidates() {
    std::vector<bool> matched(options_.keep_float.size(), false);
    for (const auto id : order_) {
      bool kept = false;
      for (std::size_t i = 0; i < options_.keep_float.size(); ++i) {
        if (fnmatch(options_.keep_float[i].c_str(), node(id).name.c_str(), 0) != 0) continue;
        matched[i] = true;
        kept = true;
      }
      const auto* op = find_integer_op(target_, node(id));
      if (op == nullptr) {
        make_float(id,
                   fmt::format("operator {} stays float in target {}", node(id).op, target_.name));
      } else if (kept) {
        make_float(id, "kept by --keep-float");
      } else if (auto reason = float_reason(graph_, node(id)); !reason.empty()) {
        make_float(id, std::move(reason));
      } else if (activations(id).empty()) {
        make_float(id, "all its inputs are constant");
      } else {
        kind(id) = op->kind;
      }
    }
    for (std::size_t i = 0; i < matched.size(); ++i) {
      if (matched[i]) continue;
      result_.notes.push_back(
          fmt::format("--keep-float {} matches no node", options_.keep_float[i]));
    }
  }

  /// Values that Conv, Gemm and MatMul read, directly or through nodes that only move values: they
  /// are worth quantizing even where a float node makes them.
  std::vector<bool> wanted_values() {
    std::vector<bool> wanted(graph_.value_slots(), false);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (!kind(*it)) continue;
      const bool wants = *kind(*it) == IntegerKind::accumulate ||
                         (moves(*kind(*it)) && wanted[index(node(*it).output())]);
      if (!wants) continue;
      for (const auto value : activations(*it)) wanted[index(value)] = true;
    }
    return wanted;
  }

  void drop_unsupplied(const std::vector<bool>& wanted) {
    std::vector<bool> supplied = wanted;
    for (const auto id : order_) {
      if (!kind(id)) continue;
      if (*kind(id) != IntegerKind::accumulate) {
        const auto inputs = activations(id);
        const auto missing = std::find_if(inputs.begin(), inputs.end(),
                                          [&](ValueId value) { return !supplied[index(value)]; });
        if (missing != inputs.end()) {
          make_float(id, fmt::format("input {} is not quantized", graph_.value(*missing).name));
          continue;
        }
      }
      supplied[index(node(id).output())] = true;
    }
  }

  /// Quantizing a value only to move it and dequantize it again costs accuracy for nothing.
  void drop_useless_movers() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (!kind(*it) || !moves(*kind(*it))) continue;
      const auto& readers = uses_[index(node(*it).output())];
      const bool useful = std::any_of(readers.begin(), readers.end(), [&](const Use& use) {
        const auto inputs = data_inputs(node(use.node));
        return kind(use.node) && std::find(inputs.begin(), inputs.end(), use.input) != inputs.end();
      });
      if (!useful) make_float(*it, "no integer node reads its output");
    }
  }

  void mark_values() {
    for (const auto id : order_) {
      if (!kind(id)) continue;
      for (const auto value : activations(id)) result_.quantized[index(value)] = true;
      result_.quantized[index(node(id).output())] = true;
    }
  }

  void fuse_activations() {
    for (const auto id : order_) {
      if (!kind(id) || moves(*kind(id))) continue;
      const auto value = node(id).output();
      const auto& readers = uses_[index(value)];
      if (readers.size() != 1 || readers[0].input != 0 || graph_.is_output(value)) continue;
      const auto reader = readers[0].node;
      if (!kind(reader) || !activation_bounds(graph_, node(reader))) continue;
      result_.quantized[index(value)] = false;
      result_.fused_into[index(value)] = node(reader).output();
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
      for (const int i : data_inputs(node(id))) {
        const auto value = node(id).input(static_cast<std::size_t>(i));
        if (graph_.constant(value) == nullptr) unite(value, node(id).output());
      }
    }
    for (std::size_t i = 0; i < result_.group.size(); ++i) {
      result_.group[i] = root(static_cast<ValueId>(i));
    }
  }

  void list_sources() {
    const auto producers = graph_.producers();
    for (std::size_t i = 0; i < result_.quantized.size(); ++i) {
      if (!result_.quantized[i]) continue;
      const auto producer = producers[i];
      if (producer != NodeId::none && kind(producer) && moves(*kind(producer))) continue;
      result_.sources.push_back(static_cast<ValueId>(i));
    }
  }

  const Graph& graph_;
  const TargetProfile& target_;
  const QuantizeOptions& options_;
  std::vector<NodeId> order_;
  std::vector<std::vector<Use>> uses_;
  Placement result_;
};

/// Computes floating-point values (or values of unknown type)?
bool computes_floats(const Graph& graph, const Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    if (id == ValueId::none) return false;
    const DType dtype = graph.value(id).dtype;
    return !is_integer(dtype) && dtype != DType::boolean && dtype != DType::string;
  });
}

}  // namespace

Result<Placement> place(const Graph& graph, const TargetProfile& target,
                        const QuantizeOptions& options) {
  OCTET_ASSIGN(auto order, graph.topological_order());
  const auto first = order.empty() ? NodeId::none : order.front();
  auto placement = Placer(graph, target, options, std::move(order)).run();
  const auto computes = [](const std::optional<IntegerKind>& kind) {
    return kind == IntegerKind::accumulate || kind == IntegerKind::elementwise;
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
    if (placement.kinds[i]) {
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

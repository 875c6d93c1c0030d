#include "analysis/sensitivity.h"

#include <algorithm>
#include <set>

#include "engine/integer/placement.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

bool moves(Role role) {
  return role == Role::move || role == Role::maximum || role == Role::split || role == Role::join;
}
bool multiplies(Role role) { return role == Role::accumulate || role == Role::product; }

/// A model with inferred shapes and what its engine makes of it.
struct Placed {
  QuantizedGraph model;
  std::vector<NodePlacement> nodes;
  std::vector<NodeId> producers;
  std::vector<std::vector<Use>> uses;
};

Result<Placed> placed(const QuantizedGraph& model) {
  Placed out{model, {}, {}, {}};
  OCTET_TRY(infer_shapes(out.model.graph));
  OCTET_ASSIGN(out.nodes, place_nodes(out.model));
  out.producers = out.model.graph.producers();
  out.uses = out.model.graph.uses();
  return out;
}

/// The Relu, Clip or bias Add that alone reads the node's output and is computed with it.
NodeId absorbed_reader(const Placed& placed, NodeId id) {
  const Node& node = placed.model.graph.node(id);
  if (node.outputs.size() != 1 || node.output() == ValueId::none) return NodeId::none;
  const auto& readers = placed.uses[index(node.output())];
  if (readers.size() != 1 || placed.model.graph.is_output(node.output())) return NodeId::none;
  const auto reader = readers.front().node;
  return placed.nodes[index(reader)].role == Role::absorbed ? reader : NodeId::none;
}

/// Closure of nodes that become float along with some, and the plan that is left.
class WithoutLayers {
 public:
  explicit WithoutLayers(Placed placed)
      : placed_(std::move(placed)), floats_(placed_.model.graph.node_slots(), false) {}

  void make_float(NodeId id) {
    if (!floats_[index(id)]) pending_.push_back(id);
    floats_[index(id)] = true;
  }

  QuantPlan run() {
    while (!pending_.empty()) {
      const auto id = pending_.back();
      pending_.pop_back();
      const Node& node = graph().node(id);
      for (const auto output : node.outputs) spread_to_readers(output);
      for (const auto input : node.inputs) spread_to_maker(input);
    }
    plan_ = placed_.model.plan;
    for (std::size_t i = 0; i < floats_.size(); ++i) {
      if (floats_[i]) free_node(static_cast<NodeId>(i));
    }
    return std::move(plan_);
  }

 private:
  [[nodiscard]] const Graph& graph() const { return placed_.model.graph; }
  [[nodiscard]] Role role(NodeId id) const { return placed_.nodes[index(id)].role; }
  [[nodiscard]] bool is_integer(NodeId id) const {
    return !floats_[index(id)] && role(id) != Role::floating && role(id) != Role::absorbed;
  }
  [[nodiscard]] bool constant(ValueId id) const { return graph().constant(id) != nullptr; }

  /// Whether a Conv, Gemm or MatMul reads the value, or what nodes make that only move it.
  [[nodiscard]] bool wanted(ValueId id) const {
    const auto& readers = placed_.uses[index(id)];
    return std::any_of(readers.begin(), readers.end(), [&](const Use& use) {
      if (!is_integer(use.node)) return false;
      if (multiplies(role(use.node))) return true;
      if (!moves(role(use.node))) return false;
      const auto& made = graph().node(use.node).outputs;
      return std::any_of(made.begin(), made.end(),
                         [&](ValueId output) { return output != ValueId::none && wanted(output); });
    });
  }
  [[nodiscard]] bool integer_reads(ValueId id) const {
    const auto& readers = placed_.uses[index(id)];
    return std::any_of(readers.begin(), readers.end(),
                       [&](const Use& use) { return is_integer(use.node); });
  }

  void spread_to_readers(ValueId id) {
    if (id == ValueId::none) return;
    const bool codes = wanted(id);
    for (const auto& use : placed_.uses[index(id)]) {
      const auto reader = role(use.node);
      if (reader == Role::absorbed) make_float(use.node);
      if (!codes && is_integer(use.node) && !multiplies(reader)) make_float(use.node);
    }
  }

  void spread_to_maker(ValueId id) {
    if (id == ValueId::none || constant(id)) return;
    auto maker = placed_.producers[index(id)];
    if (maker == NodeId::none || !is_integer(maker) || multiplies(role(maker))) return;
    const auto& made = graph().node(maker).outputs;
    const bool read = std::any_of(made.begin(), made.end(), [&](ValueId output) {
      return output != ValueId::none && integer_reads(output);
    });
    if (!read) make_float(maker);
  }

  /// Whether the value exists as floats where it is made.
  [[nodiscard]] bool made_as_floats(ValueId id) const {
    auto maker = placed_.producers[index(id)];
    while (maker != NodeId::none && role(maker) == Role::absorbed && !floats_[index(maker)]) {
      maker = placed_.producers[index(graph().node(maker).input(0))];
    }
    return maker == NodeId::none || !is_integer(maker) || multiplies(role(maker));
  }

  void free_value(ValueId id) {
    const auto found = plan_.values.find(id);
    if (found == plan_.values.end() || !made_as_floats(id)) return;
    if (plan_.coded_io.contains(id)) return;
    for (const auto& use : placed_.uses[index(id)]) {
      if (is_integer(use.node)) plan_.overrides.try_emplace(use, found->second);
    }
    plan_.values.erase(found);
  }

  void free_node(NodeId id) {
    const Node& node = graph().node(id);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto input = node.inputs[i];
      if (input == ValueId::none) continue;
      plan_.overrides.erase({id, static_cast<int>(i)});
      if (!constant(input)) {
        free_value(input);
        continue;
      }
      if (integer_reads(input)) continue;
      plan_.values.erase(input);
      plan_.payloads.erase(input);
    }
    for (const auto output : node.outputs) {
      if (output != ValueId::none) free_value(output);
    }
  }

  Placed placed_;
  std::vector<bool> floats_;
  std::vector<NodeId> pending_;
  QuantPlan plan_;
};

}  // namespace

Result<std::vector<IntegerLayer>> integer_layers(const QuantizedGraph& model) {
  OCTET_ASSIGN(const auto read, placed(model));
  OCTET_ASSIGN(const auto order, read.model.graph.topological_order());
  std::vector<IntegerLayer> layers;
  for (const auto id : order) {
    const auto role = read.nodes[index(id)].role;
    if (role == Role::floating || role == Role::absorbed || moves(role)) continue;
    const Node& node = read.model.graph.node(id);
    IntegerLayer layer{node.name, node.op, {}, ValueId::none};
    for (auto next = id; next != NodeId::none; next = absorbed_reader(read, next)) {
      layer.nodes.push_back(next);
    }
    layer.output = read.model.graph.node(layer.nodes.back()).output();
    layers.push_back(std::move(layer));
  }
  return layers;
}

QuantPlan plan_alone(const QuantizedGraph& model, const IntegerLayer& layer) {
  QuantPlan plan;
  plan.rule = model.plan.rule;
  plan.target = model.plan.target;
  std::set<ValueId> inner;
  for (const auto id : layer.nodes) {
    const Node& node = model.graph.node(id);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Use use{id, static_cast<int>(i)};
      const auto input = node.inputs[i];
      const auto* q = model.plan.find(model.graph, use);
      if (q == nullptr || inner.contains(input)) continue;
      const bool overridden = model.plan.overrides.contains(use);
      if (model.graph.constant(input) == nullptr || overridden) {
        plan.overrides[use] = *q;
        continue;
      }
      plan.values[input] = *q;
      const auto payload = model.plan.payloads.find(input);
      if (payload != model.plan.payloads.end()) plan.payloads[input] = payload->second;
    }
    for (const auto output : node.outputs) {
      if (output == ValueId::none) continue;
      inner.insert(output);
      if (const auto* q = model.plan.find(output)) plan.values[output] = *q;
    }
  }
  return plan;
}

Result<QuantPlan> plan_without(const QuantizedGraph& model, std::span<const IntegerLayer> layers) {
  OCTET_ASSIGN(auto read, placed(model));
  WithoutLayers without(std::move(read));
  for (const auto& layer : layers) {
    for (const auto id : layer.nodes) without.make_float(id);
  }
  return without.run();
}

Result<Sensitivity> measure_sensitivity(const QuantizedGraph& model, const SampleSource& samples,
                                        std::int64_t limit, const BaseVisitor& visitor) {
  OCTET_ASSIGN(auto layers, integer_layers(model));
  std::vector<PlanTrial> trials;
  for (const auto& layer : layers) {
    trials.push_back({layer.name, plan_alone(model, layer), TrialBase::floating});
    OCTET_ASSIGN(auto without, plan_without(model, std::span(&layer, 1)));
    trials.push_back({layer.name, std::move(without), TrialBase::quantized});
  }
  OCTET_ASSIGN(const auto errors, run_trials(model, trials, samples, limit, visitor));
  Sensitivity out;
  out.samples = errors.samples;
  out.quantized = errors.quantized;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto& alone = errors.trials[2 * i];
    const auto& without = errors.trials[2 * i + 1];
    out.layers.push_back({std::move(layers[i]), alone, without, alone.error(),
                          errors.quantized.error() - without.error()});
  }
  return out;
}

}  // namespace octet

#include "analysis/layer_cut.h"

#include <algorithm>
#include <map>

#include "engine/integer/placement.h"

namespace octet {
namespace {

/// Whether the plan says something about an input or an output of the node.
bool touched(const QuantizedGraph& model, NodeId id) {
  const auto& node = model.graph.node(id);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (model.plan.find(model.graph, {id, static_cast<int>(i)}) != nullptr) return true;
  }
  return std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
    return output != ValueId::none && model.plan.find(output) != nullptr;
  });
}

/// Copies nodes of a model into a model of their own.
class Cutter {
 public:
  explicit Cutter(const QuantizedGraph& whole) : whole_(whole) {
    cut_.model.graph.name = whole.graph.name;
    cut_.model.graph.opsets = whole.graph.opsets;
    cut_.model.plan.rule = whole.plan.rule;
    cut_.model.plan.target = whole.plan.target;
    cut_.model.plan.dynamic_form = whole.plan.dynamic_form;
  }

  void add(NodeId id) {
    const auto& source = whole_.graph.node(id);
    Node node = source;
    for (auto& input : node.inputs) input = copy(input, true);
    for (auto& output : node.outputs) output = copy(output, false);
    const auto added = cut_.model.graph.add_node(std::move(node));
    for (std::size_t i = 0; i < source.inputs.size(); ++i) {
      const auto it = whole_.plan.overrides.find({id, static_cast<int>(i)});
      if (it == whole_.plan.overrides.end()) continue;
      cut_.model.plan.overrides[{added, static_cast<int>(i)}] = it->second;
    }
  }

  LayerCut finish(const std::vector<ValueId>& outputs) {
    for (const auto output : outputs) {
      if (output == ValueId::none) continue;
      cut_.outputs.push_back(output);
      cut_.model.graph.outputs.push_back(copies_.at(output));
    }
    return std::move(cut_);
  }

 private:
  ValueId copy(ValueId id, bool read) {
    if (id == ValueId::none) return id;
    if (const auto it = copies_.find(id); it != copies_.end()) return it->second;
    const auto& value = whole_.graph.value(id);
    const auto copied = cut_.model.graph.add_value(value);
    copies_[id] = copied;
    if (read && !value.is_constant()) {
      cut_.inputs.push_back(id);
      cut_.model.graph.inputs.push_back(copied);
    }
    if (const auto* q = whole_.plan.find(id)) cut_.model.plan.values[copied] = *q;
    const auto payload = whole_.plan.payloads.find(id);
    if (payload != whole_.plan.payloads.end()) cut_.model.plan.payloads[copied] = payload->second;
    return copied;
  }

  const QuantizedGraph& whole_;
  LayerCut cut_;
  std::map<ValueId, ValueId> copies_;
};

/// The node that a node's engine computes along with it (an activation, the Add of a bias), which
/// alone reads its output; or NodeId::none.
NodeId absorbed_reader(const Graph& graph, const std::vector<NodePlacement>& placements, NodeId id,
                       const std::vector<std::vector<Use>>& uses) {
  const auto& node = graph.node(id);
  if (node.outputs.size() != 1 || node.output() == ValueId::none) return NodeId::none;
  const auto& readers = uses[index(node.output())];
  if (readers.size() != 1 || graph.is_output(node.output())) return NodeId::none;
  const auto reader = readers.front().node;
  return placements[index(reader)].role == Role::absorbed ? reader : NodeId::none;
}

}  // namespace

Result<std::vector<LayerCut>> cut_layers(const QuantizedGraph& model) {
  OCTET_ASSIGN(const auto order, model.graph.topological_order());
  OCTET_ASSIGN(const auto placements, place_nodes(model));
  const auto uses = model.graph.uses();
  std::vector<bool> absorbed(model.graph.node_slots(), false);
  std::vector<LayerCut> cuts;
  for (const auto id : order) {
    if (absorbed[index(id)] || !touched(model, id)) continue;
    Cutter cutter(model);
    auto last = id;
    for (auto next = id; next != NodeId::none;
         next = absorbed_reader(model.graph, placements, next, uses)) {
      cutter.add(next);
      absorbed[index(next)] = true;
      last = next;
    }
    cuts.push_back(cutter.finish(model.graph.node(last).outputs));
  }
  return cuts;
}

Result<std::vector<bool>> layer_outputs(const QuantizedGraph& model) {
  OCTET_ASSIGN(const auto placements, place_nodes(model));
  std::vector<bool> out(model.graph.value_slots(), false);
  for (const auto& [id, q] : model.plan.values) {
    out[index(id)] = !model.graph.value(id).is_constant();
  }
  const auto uses = model.graph.uses();
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const auto& node = model.graph.node(id);
    if (!node.alive || !touched(model, id)) continue;
    const bool inner = absorbed_reader(model.graph, placements, id, uses) != NodeId::none;
    for (const auto output : node.outputs) {
      if (output != ValueId::none)
        out[index(output)] = !inner || model.plan.find(output) != nullptr;
    }
  }
  // What an absorbed node makes is the result of the layer that it belongs to.
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    const auto& node = model.graph.node(static_cast<NodeId>(i));
    const bool absorbed = node.alive && placements[i].role == Role::absorbed;
    const bool ends = absorbed && absorbed_reader(model.graph, placements, static_cast<NodeId>(i),
                                                  uses) == NodeId::none;
    if (ends && node.output() != ValueId::none) out[index(node.output())] = true;
  }
  return out;
}

}  // namespace octet

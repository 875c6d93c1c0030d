#include "analysis/layer_cut.h"

#include <algorithm>
#include <map>

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

/// The activation that alone reads a node's unquantized output, or NodeId::none.
NodeId fused_activation(const QuantizedGraph& model, NodeId id,
                        const std::vector<std::vector<Use>>& uses) {
  const auto& graph = model.graph;
  const auto& node = graph.node(id);
  if (node.outputs.size() != 1 || model.plan.find(node.output()) != nullptr) return NodeId::none;
  if (graph.is_output(node.output())) return NodeId::none;
  const auto& readers = uses[index(node.output())];
  if (readers.size() != 1 || readers.front().input != 0) return NodeId::none;
  const auto& reader = graph.node(readers.front().node);
  const bool activation = reader.is("Relu") || reader.is("Clip");
  const bool coded = model.plan.find(reader.output()) != nullptr;
  return activation && coded ? readers.front().node : NodeId::none;
}

}  // namespace

Result<std::vector<LayerCut>> cut_layers(const QuantizedGraph& model) {
  OCTET_ASSIGN(const auto order, model.graph.topological_order());
  const auto uses = model.graph.uses();
  std::vector<bool> fused(model.graph.node_slots(), false);
  std::vector<LayerCut> cuts;
  for (const auto id : order) {
    if (fused[index(id)] || !touched(model, id)) continue;
    Cutter cutter(model);
    cutter.add(id);
    auto last = id;
    if (const auto activation = fused_activation(model, id, uses); activation != NodeId::none) {
      cutter.add(activation);
      fused[index(activation)] = true;
      last = activation;
    }
    cuts.push_back(cutter.finish(model.graph.node(last).outputs));
  }
  return cuts;
}

std::vector<bool> layer_outputs(const QuantizedGraph& model) {
  std::vector<bool> out(model.graph.value_slots(), false);
  for (const auto& [id, q] : model.plan.values) {
    out[index(id)] = !model.graph.value(id).is_constant();
  }
  const auto uses = model.graph.uses();
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!model.graph.node(id).alive || !touched(model, id)) continue;
    if (fused_activation(model, id, uses) != NodeId::none) continue;
    for (const auto output : model.graph.node(id).outputs) {
      if (output != ValueId::none) out[index(output)] = true;
    }
  }
  return out;
}

}  // namespace octet

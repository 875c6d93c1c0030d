#include "formats/onnx/qdq.h"

namespace octet::onnx {
namespace {

constexpr std::string_view gate_suffix = "_sigmoid";

/// x where `multiply` is x * Sigmoid(x) and nothing else reads the Sigmoid; else ValueId::none.
ValueId gated_input(const QuantizedGraph& model, const Node& multiply,
                    const std::vector<NodeId>& producers,
                    const std::vector<std::vector<Use>>& uses) {
  const Graph& graph = model.graph;
  if (!multiply.is("Mul") || multiply.inputs.size() != 2) return ValueId::none;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto gate = multiply.inputs[slot];
    const auto x = multiply.inputs[1 - slot];
    if (gate == ValueId::none || x == ValueId::none || gate == x) continue;
    const auto maker = producers[index(gate)];
    if (maker == NodeId::none || !graph.node(maker).is("Sigmoid")) continue;
    if (graph.node(maker).input(0) != x || uses[index(gate)].size() != 1) continue;
    if (graph.is_output(gate) || model.plan.find(gate) != nullptr) continue;
    return x;
  }
  return ValueId::none;
}

/// Takes the override that both uses have; false when they see the value differently.
bool merge_overrides(QuantPlan& plan, const Use& first, const Use& second, const Use& merged) {
  const auto a = plan.overrides.find(first);
  const auto b = plan.overrides.find(second);
  const bool none = a == plan.overrides.end() && b == plan.overrides.end();
  if (none) return true;
  if (a == plan.overrides.end() || b == plan.overrides.end()) return false;
  if (!same_numbers(a->second, b->second)) return false;
  const auto shared = a->second;
  plan.overrides.erase(a);
  plan.overrides.erase(second);
  plan.overrides[merged] = shared;
  return true;
}

}  // namespace

void join_swish(QuantizedGraph& model) {
  if (model.plan.empty()) return;
  Graph& graph = model.graph;
  const auto producers = graph.producers();
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive) continue;
    const auto x = gated_input(model, graph.node(id), producers, uses);
    if (x == ValueId::none) continue;
    const int slot = graph.node(id).inputs[0] == x ? 0 : 1;
    const auto sigmoid =
        producers[index(graph.node(id).inputs[static_cast<std::size_t>(1 - slot)])];
    // The gate itself must be seen as it is.
    if (model.plan.overrides.contains({id, 1 - slot})) continue;
    if (!merge_overrides(model.plan, {sigmoid, 0}, {id, slot}, {id, 0})) continue;
    graph.remove_node(sigmoid);
    auto& node = graph.node(id);
    node.op = "Swish";
    node.inputs = {x};
    node.attributes.clear();
  }
}

void split_swish(Graph& graph) {
  const auto slots = graph.node_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive || !graph.node(id).is("Swish")) continue;
    const auto x = graph.node(id).input(0);
    const auto name = graph.node(id).name;
    const float alpha = graph.node(id).float_attribute("alpha", 1.0F);
    const auto add = [&](std::string_view op, std::vector<ValueId> inputs,
                         std::string_view suffix) {
      Node node;
      node.op = std::string(op);
      node.name = fmt::format("{}{}", name, suffix);
      node.inputs = std::move(inputs);
      Value value;
      value.name = node.name;
      value.dtype = graph.value(x).dtype;
      value.shape = graph.value(x).shape;
      value.dim_names = graph.value(x).dim_names;
      node.outputs = {graph.add_value(std::move(value))};
      const auto output = node.outputs[0];
      graph.add_node(std::move(node));
      return output;
    };
    auto argument = x;
    if (alpha != 1.0F) {
      const auto factor = graph.add_constant(name + "_alpha", Tensor::from<float>({alpha}, {}));
      argument = add("Mul", {x, factor}, "_scaled");
    }
    const auto gate = add("Sigmoid", {argument}, gate_suffix);
    auto& node = graph.node(id);
    node.op = "Mul";
    node.inputs = {x, gate};
    node.attributes.clear();
  }
}

}  // namespace octet::onnx

#include "passes/layer_bits.h"

#include <algorithm>
#include <set>

#include "passes/glob.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int whole_bits = 8;
constexpr int narrow_bits = 4;

/// First and last layers: the bits that they have when they are not named.
void set_edge_bits(const QuantizeOptions& options, LayerBits& own) {
  if (!options.edge_weight_bits) return;
  own.weights = *options.edge_weight_bits;
  own.inputs = std::max(own.inputs, own.weights);
}

bool multiplies(const Node& node) {
  return node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul");
}

/// By node slot: whether a layer lies on a way from the graph's inputs to the node, itself left
/// out. With `order` reversed and readers for makers: from the node to the outputs.
std::vector<bool> behind_layers(const Graph& graph, const std::vector<NodeId>& order,
                                const std::vector<std::vector<NodeId>>& before) {
  std::vector<bool> behind(graph.node_slots(), false);
  for (const auto id : order) {
    behind[index(id)] = std::any_of(
        before[index(id)].begin(), before[index(id)].end(),
        [&](NodeId other) { return behind[index(other)] || is_layer(graph, graph.node(other)); });
  }
  return behind;
}

}  // namespace

bool is_layer(const Graph& graph, const Node& node) {
  return multiplies(node) && graph.constant(node.input(1)) != nullptr;
}

bool is_depthwise(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  return node.is("Conv") && weight != nullptr && weight->rank() > 2 && weight->dim(1) == 1 &&
         node.int_attribute("group", 1) > 1;
}

Result<std::vector<LayerBits>> layer_bits(const Graph& graph, const QuantizeOptions& options) {
  OCTET_ASSIGN(auto order, graph.topological_order());
  const auto producers = graph.producers();
  std::vector<std::vector<NodeId>> makers(graph.node_slots());
  std::vector<std::vector<NodeId>> readers(graph.node_slots());
  for (const auto id : order) {
    for (const auto value : graph.node(id).inputs) {
      if (value == ValueId::none || producers[index(value)] == NodeId::none) continue;
      makers[index(id)].push_back(producers[index(value)]);
      readers[index(producers[index(value)])].push_back(id);
    }
  }
  const auto behind = behind_layers(graph, order, makers);
  std::reverse(order.begin(), order.end());
  const auto ahead = behind_layers(graph, order, readers);
  std::vector<LayerBits> bits(graph.node_slots());
  for (const auto id : order) {
    const Node& node = graph.node(id);
    if (!multiplies(node)) continue;
    LayerBits& own = bits[index(id)];
    own.inputs = options.activation_bits;
    if (!is_layer(graph, node)) continue;
    own.weights = options.weight_bits;
    if (is_depthwise(graph, node))
      own.weights = options.depthwise_weight_bits.value_or(own.weights);
    if (!behind[index(id)] || !ahead[index(id)]) set_edge_bits(options, own);
    own.narrow = std::any_of(options.narrow.begin(), options.narrow.end(),
                             [&](const std::string& glob) { return matches(glob, node.name); });
    if (own.narrow) own.weights = std::min(own.weights, narrow_bits);
  }
  return bits;
}

void note_narrow(const Graph& graph, const QuantizeOptions& options,
                 std::vector<std::string>& notes) {
  for (const auto& glob : options.narrow) {
    bool matched = false;
    for (std::size_t i = 0; i < graph.node_slots() && !matched; ++i) {
      const Node& node = graph.node(static_cast<NodeId>(i));
      matched = node.alive && is_layer(graph, node) && matches(glob, node.name);
    }
    if (!matched) notes.push_back(fmt::format("--int4 {} matches no layer", glob));
  }
}

ValueBits value_bits(const PassContext& context) {
  ValueBits bits;
  if (context.options.activation_bits >= whole_bits) return bits;
  const Graph& graph = context.model.graph;
  const Placement& placement = context.placement;
  std::map<ValueId, std::set<int>> wanted;  // whole_bits: by sums and outputs, too
  std::vector<std::pair<Use, ValueId>> products;
  for (std::size_t i = 0; i < placement.kinds.size(); ++i) {
    if (!placement.kinds[i]) continue;
    const auto kind = *placement.kinds[i];
    if (kind == IntegerKind::pass_through || kind == IntegerKind::join) continue;
    const auto id = static_cast<NodeId>(i);
    const bool product = kind == IntegerKind::accumulate || kind == IntegerKind::product;
    for (const int input : data_inputs(graph, graph.node(id))) {
      const auto value = graph.node(id).input(static_cast<std::size_t>(input));
      if (value == ValueId::none || graph.constant(value) != nullptr) continue;
      const auto root = placement.group[index(value)];
      const int few = product ? std::min(context.layer_bits[i].inputs, whole_bits) : whole_bits;
      wanted[root].insert(few);
      if (product && few < whole_bits) products.emplace_back(Use{id, input}, root);
    }
  }
  for (const auto output : graph.outputs) {
    wanted[placement.group[index(output)]].insert(whole_bits);
  }
  for (const auto& [root, all] : wanted) {
    if (all.size() == 1 && *all.begin() < whole_bits) bits.values[root] = *all.begin();
  }
  for (const auto& [use, root] : products) {
    if (!bits.values.contains(root)) bits.uses[use] = context.layer_bits[index(use.node)].inputs;
  }
  return bits;
}

}  // namespace octet

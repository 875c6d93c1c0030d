#include <algorithm>
#include <limits>

#include "passes/simplify.h"

namespace octet::simplification {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Values that an activation lets through.
struct Interval {
  float low = -infinity;
  float high = infinity;
};

/// The interval of a Relu or a Clip with constant f32 bounds.
std::optional<Interval> interval_of(const Graph& graph, const Node& node) {
  if (node.output() == ValueId::none || graph.value(node.output()).dtype != DType::f32) {
    return std::nullopt;
  }
  if (node.is("Relu")) return Interval{0, infinity};
  if (!node.is("Clip") || !node.attributes.empty()) return std::nullopt;
  Interval interval;
  for (const std::size_t slot : {1U, 2U}) {
    if (node.input(slot) == ValueId::none) continue;
    const auto* bound = f32_constant(graph, node, slot);
    if (bound == nullptr || bound->size() != 1) return std::nullopt;
    (slot == 1 ? interval.low : interval.high) = bound->data<float>()[0];
  }
  // Also refuses NaN; ONNX leaves an empty interval to the runtime.
  if (!(interval.low <= interval.high)) return std::nullopt;
  return interval;
}

/// Values that the output of any node can take, as far as the operator alone tells.
Interval range_of(const Graph& graph, const Node& node) {
  if (const auto interval = interval_of(graph, node)) return *interval;
  if (node.is("Sigmoid") || node.is("Softmax") || node.is("HardSigmoid")) return {0, 1};
  return {};
}

void set_interval(Graph& graph, NodeId id, const Interval& interval) {
  const auto input = graph.node(id).input(0);
  const auto bound = [&](const char* suffix, float value) {
    return graph.add_constant(graph.node(id).name + suffix, Tensor::from<float>({value}, {}));
  };
  if (interval.low == 0 && interval.high >= std::numeric_limits<float>::max()) {
    graph.node(id).op = "Relu";
    graph.node(id).inputs = {input};
    return;
  }
  const auto low = interval.low == -infinity ? ValueId::none : bound(".min", interval.low);
  const auto high = interval.high == infinity ? ValueId::none : bound(".max", interval.high);
  auto& node = graph.node(id);
  node.op = "Clip";
  node.inputs = {input, low};
  if (high != ValueId::none) node.inputs.push_back(high);
}

/// x -> first -> second becomes x -> second with the interval that both leave.
bool merge(Graph& graph, NodeId second, const Interval& outer) {
  const auto value = graph.node(second).input(0);
  const auto first = graph.producers()[index(value)];
  if (first == NodeId::none) return false;
  const auto range = range_of(graph, graph.node(first));
  if (outer.low <= range.low && outer.high >= range.high) return bypass(graph, second);
  const auto inner = interval_of(graph, graph.node(first));
  if (!inner || sole_producer(graph, value) != first) return false;
  const auto limit = [&](float x) { return std::min(std::max(x, outer.low), outer.high); };
  graph.node(second).inputs[0] = graph.node(first).input(0);
  graph.remove_node(first);
  set_interval(graph, second, {limit(inner->low), limit(inner->high)});
  return true;
}

}  // namespace

Result<int> fold_activations(Graph& graph) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    const auto interval = interval_of(graph, graph.node(id));
    if (!interval) continue;
    if (merge(graph, id, *interval)) {
      ++changes;
      continue;
    }
    const bool is_relu = interval->low == 0 && interval->high >= std::numeric_limits<float>::max();
    if (is_relu && graph.node(id).is("Clip")) {
      set_interval(graph, id, *interval);
      ++changes;
    }
  }
  return changes;
}

}  // namespace octet::simplification

#include <algorithm>
#include <array>

#include "graph/value_facts.h"
#include "passes/pattern.h"
#include "passes/simplify.h"

// Exporters of channels-last models wrap each convolution in Transposes. A Transpose to
// channels-last is moved behind every node that can do its work on channels-first as well, until it
// meets the Transpose to channels-first before the next convolution (fold_reshapes merges the two).
// Transposes only ever move towards the outputs, so this comes to an end.

namespace octet::simplification {
namespace {

using Permutation = std::vector<std::int64_t>;

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

constexpr std::array<std::string_view, 27> unary_ops = {
    "Relu", "Clip",  "LeakyRelu", "Sigmoid",  "HardSigmoid", "HardSwish", "Swish",
    "Mish", "Tanh",  "Elu",       "Selu",     "Celu",        "Gelu",      "Softplus",
    "Erf",  "Abs",   "Neg",       "Exp",      "Log",         "Sqrt",      "Reciprocal",
    "Ceil", "Floor", "Softsign",  "Identity", "Cast",        "Round"};
constexpr std::array<std::string_view, 6> binary_ops = {"Add", "Sub", "Mul", "Div", "Pow", "PRelu"};
constexpr std::array<std::string_view, 4> reductions = {"ReduceMean", "ReduceMax", "ReduceMin",
                                                        "ReduceSum"};

/// [0, 2, ..., n - 1, 1].
bool is_to_channels_last(const Permutation& perm) {
  if (perm.size() < 3 || perm.front() != 0 || perm.back() != 1) return false;
  for (std::size_t i = 1; i + 1 < perm.size(); ++i) {
    if (perm[i] != static_cast<std::int64_t>(i) + 1) return false;
  }
  return true;
}

/// Elements in channels-last order, put in channels-first order.
std::vector<std::int64_t> to_channels_first(const std::vector<std::int64_t>& list) {
  std::vector<std::int64_t> out{list.front(), list.back()};
  out.insert(out.end(), list.begin() + 1, list.end() - 1);
  return out;
}

/// A constant that broadcasts against rank-`rank` channels-last values, for channels-first ones.
std::optional<Tensor> constant_to_channels_first(const Tensor& constant, std::size_t rank) {
  if (constant.size() == 1 && constant.rank() <= 1) return constant;
  if (constant.dtype() != DType::f32 || constant.shape().size() > rank) return std::nullopt;
  Shape shape(rank - constant.shape().size(), 1);
  shape.insert(shape.end(), constant.shape().begin(), constant.shape().end());
  const auto channels = shape.back();
  const auto outer = shape.front();
  const auto inner = channels * outer == 0 ? 0 : constant.size() / (channels * outer);
  Tensor out(DType::f32, to_channels_first(shape));
  const auto* from = constant.data<float>();
  auto* to = out.mutable_data<float>();
  for (std::int64_t n = 0; n < outer; ++n) {
    for (std::int64_t i = 0; i < inner; ++i) {
      for (std::int64_t c = 0; c < channels; ++c) {
        to[(n * channels + c) * inner + i] = from[(n * inner + i) * channels + c];
      }
    }
  }
  return out;
}

class Pusher {
 public:
  explicit Pusher(Graph& graph) : graph_(graph), producers_(graph.producers()) {}

  /// Moves the Transposes before the node behind it; false, with nothing changed, when that cannot
  /// be.
  bool push(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.inputs.empty() || node.output() == ValueId::none) return false;
    if (graph_.constant(node.input(0)) != nullptr && !is_one_of(node, binary_ops)) return false;
    if (is_one_of(node, unary_ops)) return push_unary(id);
    if (is_one_of(node, binary_ops)) return push_joined(id);
    if (node.is("Concat") || node.is("Split") || node.is("Softmax")) return push_along_axis(id);
    if (node.is("Pad")) return push_pad(id);
    if (is_one_of(node, reductions)) return push_reduction(id);
    return false;
  }

 private:
  /// The permutation of the Transpose that makes a value, when it is one to channels-last that it
  /// pays to move: something behind it may undo it.
  [[nodiscard]] std::optional<Permutation> permutation(ValueId value) const {
    const auto maker = value == ValueId::none ? NodeId::none : producers_[index(value)];
    if (maker == NodeId::none || !graph_.node(maker).is("Transpose")) return std::nullopt;
    auto perm = graph_.node(maker).ints_attribute("perm");
    return is_to_channels_last(perm) ? std::optional(std::move(perm)) : std::nullopt;
  }
  [[nodiscard]] ValueId before(ValueId transposed) const {
    return graph_.node(producers_[index(transposed)]).input(0);
  }

  /// The node now makes channels-first results; a Transpose behind it makes what it made before.
  void transpose_output(NodeId id, std::size_t output, const Permutation& perm) {
    const auto old = graph_.node(id).outputs[output];
    Value value;
    value.name = graph_.value(old).name + "_channels_first";
    value.dtype = graph_.value(old).dtype;
    const auto fresh = graph_.add_value(std::move(value));
    graph_.node(id).outputs[output] = fresh;
    Node transpose;
    transpose.op = "Transpose";
    transpose.name = graph_.node(id).name + "_transpose";
    transpose.inputs = {fresh};
    transpose.outputs = {old};
    transpose.attributes["perm"] = perm;
    graph_.add_node(std::move(transpose));
  }

  bool push_unary(NodeId id) {
    const auto perm = permutation(graph_.node(id).input(0));
    if (!perm || graph_.node(id).outputs.size() != 1) return false;
    graph_.node(id).inputs[0] = before(graph_.node(id).input(0));
    transpose_output(id, 0, *perm);
    return true;
  }

  /// All inputs come from equal Transposes or are constants.
  bool push_joined(NodeId id) {
    const Node& node = graph_.node(id);
    std::optional<Permutation> perm;
    for (const auto input : node.inputs) {
      if (const auto found = permutation(input)) perm = found;
    }
    if (!perm) return false;
    const auto& shape = graph_.value(node.output()).shape;
    if (!shape || shape->size() != perm->size()) return false;
    std::vector<std::optional<Tensor>> constants(node.inputs.size());
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (const auto* constant = graph_.constant(node.inputs[i])) {
        constants[i] = constant_to_channels_first(*constant, perm->size());
        if (!constants[i]) return false;
      } else if (permutation(node.inputs[i]) != perm) {
        return false;
      }
    }
    for (std::size_t i = 0; i < constants.size(); ++i) {
      const auto input = graph_.node(id).inputs[i];
      if (!constants[i]) {
        graph_.node(id).inputs[i] = before(input);
      } else if (!identical(*constants[i], *graph_.constant(input))) {
        graph_.node(id).inputs[i] =
            graph_.add_constant(graph_.value(input).name, std::move(*constants[i]));
      }
    }
    transpose_output(id, 0, *perm);
    return true;
  }

  bool push_along_axis(NodeId id) {
    const auto perm = permutation(graph_.node(id).input(0));
    if (!perm) return false;
    const auto fallback = graph_.node(id).is("Softmax") ? -1 : 0;
    const auto axis = normalize_axis(graph_.node(id).int_attribute("axis", fallback), perm->size());
    if (!axis) return false;
    if (graph_.node(id).is("Concat")) {
      if (!push_joined(id)) return false;
    } else {
      graph_.node(id).inputs[0] = before(graph_.node(id).input(0));
      const auto outputs = graph_.node(id).outputs.size();
      for (std::size_t i = 0; i < outputs; ++i) {
        if (graph_.node(id).outputs[i] != ValueId::none) transpose_output(id, i, *perm);
      }
    }
    graph_.node(id).attributes["axis"] = (*perm)[static_cast<std::size_t>(*axis)];
    return true;
  }

  bool push_pad(NodeId id) {
    const auto perm = permutation(graph_.node(id).input(0));
    const auto* pads = graph_.constant(graph_.node(id).input(1));
    if (!perm || pads == nullptr || graph_.node(id).input(3) != ValueId::none) return false;
    const auto values = to_int64(*pads);
    if (!values || values->size() != 2 * perm->size()) return false;
    const auto middle = values->begin() + static_cast<std::ptrdiff_t>(perm->size());
    auto moved = to_channels_first({values->begin(), middle});
    const auto ends = to_channels_first({middle, values->end()});
    moved.insert(moved.end(), ends.begin(), ends.end());
    graph_.node(id).inputs[0] = before(graph_.node(id).input(0));
    graph_.node(id).inputs[1] =
        graph_.add_constant(graph_.value(graph_.node(id).input(1)).name,
                            Tensor::from<std::int64_t>(moved, pads->shape()));
    transpose_output(id, 0, *perm);
    return true;
  }

  bool push_reduction(NodeId id) {
    const Node& node = graph_.node(id);
    const auto perm = permutation(node.input(0));
    const auto axes = reduced_axes(graph_, node);
    if (!perm || !axes || axes->size() == perm->size()) return false;
    std::vector<std::int64_t> moved;
    for (const auto axis : *axes) moved.push_back((*perm)[static_cast<std::size_t>(axis)]);
    std::sort(moved.begin(), moved.end());
    const bool keeps = node.int_attribute("keepdims", 1) != 0;
    if (!keeps) {
      // What is left must be in order without the Transpose.
      std::int64_t last = -1;
      for (const auto axis : *perm) {
        if (std::find(moved.begin(), moved.end(), axis) != moved.end()) continue;
        if (axis < last) return false;
        last = axis;
      }
    }
    const auto name = node.name;
    auto& changed = graph_.node(id);
    changed.inputs[0] = before(changed.input(0));
    if (changed.input(1) == ValueId::none) {
      changed.attributes["axes"] = moved;
    } else {
      const auto count = static_cast<std::int64_t>(moved.size());
      const auto constant =
          graph_.add_constant(name + ".axes", Tensor::from<std::int64_t>(moved, {count}));
      graph_.node(id).inputs[1] = constant;
    }
    if (keeps) transpose_output(id, 0, *perm);
    return true;
  }

  Graph& graph_;
  std::vector<NodeId> producers_;
};

/// A Transpose that leaves the order of all extents other than 1 alone.
bool become_reshape(Graph& graph, NodeId id, const ValueFacts& input) {
  const Node& node = graph.node(id);
  const auto perm = node.ints_attribute("perm");
  if (!node.is("Transpose") || !input.shape || perm.size() != input.shape->size()) return false;
  std::int64_t last = -1;
  std::vector<std::int64_t> target;
  int unknown = 0;
  for (std::size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] < 0 || perm[i] >= static_cast<std::int64_t>(perm.size())) return false;
    const auto extent = (*input.shape)[static_cast<std::size_t>(perm[i])];
    if (extent != 1) {
      if (perm[i] < last) return false;
      last = perm[i];
    }
    const bool copies = extent < 0 && perm[i] == static_cast<std::int64_t>(i);
    unknown += extent < 0 && !copies ? 1 : 0;
    if (extent == 0) return false;
    target.push_back(copies ? 0 : extent < 0 ? -1 : extent);
  }
  if (unknown > 1) return false;
  const auto rank = static_cast<std::int64_t>(target.size());
  const auto shape =
      graph.add_constant(node.name + ".shape", Tensor::from<std::int64_t>(target, {rank}));
  auto& changed = graph.node(id);
  changed.op = "Reshape";
  changed.inputs = {changed.input(0), shape};
  changed.attributes.clear();
  return true;
}

}  // namespace

Result<int> push_transposes(Graph& graph) {
  OCTET_ASSIGN(const auto facts, infer_facts(graph));
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    if (!graph.node(id).is("Transpose")) continue;
    if (become_reshape(graph, id, facts[index(graph.node(id).input(0))])) ++changes;
  }
  std::optional<Pusher> pusher(graph);
  for (const auto id : order) {
    if (!pusher->push(id)) continue;
    // Every step changes what makes a value.
    pusher.emplace(graph);
    ++changes;
  }
  return changes;
}

}  // namespace octet::simplification

#include <algorithm>

#include "passes/pattern.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) over the axes from `axis` on.
struct Normalized {
  ValueId input = ValueId::none;
  int axis = 0;
  float epsilon = 0;
  std::set<NodeId> nodes;
};

/// The first of the axes when they are the last ones and the mean keeps its dimensions.
std::optional<int> last_axes(const Graph& graph, const Node& mean) {
  if (mean.int_attribute("keepdims", 1) == 0) return std::nullopt;
  const auto axes = reduced_axes(graph, mean);
  if (!axes || axes->empty()) return std::nullopt;
  const auto rank = static_cast<int>(graph.value(mean.input(0)).shape->size());
  const int first = rank - static_cast<int>(axes->size());
  for (std::size_t i = 0; i < axes->size(); ++i) {
    if ((*axes)[i] != first + static_cast<int>(i)) return std::nullopt;
  }
  return first;
}

/// x of x - mean(x) (or mean(x) - x where the sign does not matter).
ValueId centered(const Pattern& pattern, ValueId value, bool either_sign, std::set<NodeId>& nodes,
                 int& axis) {
  const auto sub = pattern.maker(value, "Sub");
  if (sub == NodeId::none) return ValueId::none;
  const auto& graph = pattern.graph();
  for (const std::size_t slot : {std::size_t{1}, std::size_t{0}}) {
    if (slot == 0 && !either_sign) break;
    const auto mean = pattern.maker(graph.node(sub).input(slot), "ReduceMean");
    const auto x = graph.node(sub).input(1 - slot);
    if (mean == NodeId::none || graph.node(mean).input(0) != x) continue;
    const auto first = last_axes(graph, graph.node(mean));
    if (!first) continue;
    axis = *first;
    nodes.insert({sub, mean});
    return x;
  }
  return ValueId::none;
}

/// The value that `value` is the square of.
ValueId square_root(const Pattern& pattern, ValueId value, std::set<NodeId>& nodes) {
  const auto& graph = pattern.graph();
  if (const auto pow = pattern.maker(value, "Pow"); pow != NodeId::none) {
    const auto exponent = pattern.scalar(graph.node(pow).input(1));
    if (!exponent || *exponent != 2) return ValueId::none;
    nodes.insert(pow);
    return graph.node(pow).input(0);
  }
  const auto mul = pattern.maker(value, "Mul");
  if (mul == NodeId::none || graph.node(mul).input(0) != graph.node(mul).input(1)) {
    return ValueId::none;
  }
  nodes.insert(mul);
  return graph.node(mul).input(0);
}

/// Matches variance(x) + epsilon, given as the value under the root.
bool match_variance(const Pattern& pattern, ValueId value, Normalized& found) {
  const auto add = pattern.maker(value, "Add");
  if (add == NodeId::none) return false;
  const auto& graph = pattern.graph();
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto epsilon = pattern.scalar(graph.node(add).input(slot));
    const auto mean = pattern.maker(graph.node(add).input(1 - slot), "ReduceMean");
    if (!epsilon || *epsilon < 0 || mean == NodeId::none) continue;
    const auto axis = last_axes(graph, graph.node(mean));
    found.nodes.insert({add, mean});
    const auto difference = square_root(pattern, graph.node(mean).input(0), found.nodes);
    int centered_axis = -1;
    const auto x = centered(pattern, difference, true, found.nodes, centered_axis);
    if (x == ValueId::none || !axis || *axis != centered_axis) return false;
    found.input = x;
    found.axis = *axis;
    found.epsilon = static_cast<float>(*epsilon);
    return true;
  }
  return false;
}

/// Matches sqrt(variance + epsilon) as Sqrt or Pow 0.5.
bool match_deviation(const Pattern& pattern, ValueId value, Normalized& found) {
  const auto& graph = pattern.graph();
  auto root = pattern.maker(value, "Sqrt");
  if (root == NodeId::none) {
    root = pattern.maker(value, "Pow");
    if (root == NodeId::none) return false;
    const auto exponent = pattern.scalar(graph.node(root).input(1));
    if (!exponent || *exponent != 0.5) return false;
  }
  found.nodes.insert(root);
  return match_variance(pattern, graph.node(root).input(0), found);
}

/// Matches 1 / sqrt(variance + epsilon).
bool match_inverse(const Pattern& pattern, ValueId value, Normalized& found) {
  const auto& graph = pattern.graph();
  if (const auto id = pattern.maker(value, "Reciprocal"); id != NodeId::none) {
    found.nodes.insert(id);
    return match_deviation(pattern, graph.node(id).input(0), found);
  }
  if (const auto id = pattern.maker(value, "Div"); id != NodeId::none) {
    const auto one = pattern.scalar(graph.node(id).input(0));
    if (!one || *one != 1) return false;
    found.nodes.insert(id);
    return match_deviation(pattern, graph.node(id).input(1), found);
  }
  const auto id = pattern.maker(value, "Pow");
  if (id == NodeId::none) return false;
  const auto exponent = pattern.scalar(graph.node(id).input(1));
  if (!exponent || *exponent != -0.5) return false;
  found.nodes.insert(id);
  return match_variance(pattern, graph.node(id).input(0), found);
}

/// Div(x - mean, deviation) or Mul(x - mean, 1 / deviation).
std::optional<Normalized> match_normalized(const Pattern& pattern, NodeId root) {
  const auto& node = pattern.graph().node(root);
  const bool divides = node.is("Div");
  if (!divides && !node.is("Mul")) return std::nullopt;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    if (divides && slot == 1) break;
    Normalized found;
    const auto other = node.input(1 - slot);
    const bool matches =
        divides ? match_deviation(pattern, other, found) : match_inverse(pattern, other, found);
    if (!matches) continue;
    int axis = -1;
    if (centered(pattern, node.input(slot), false, found.nodes, axis) != found.input) continue;
    if (axis == found.axis) return found;
  }
  return std::nullopt;
}

/// Keras: x * s + (beta - mean * s), s = gamma / deviation. Gives the constants, too.
struct KerasForm {
  Normalized normalized;
  ValueId gamma = ValueId::none;
  ValueId beta = ValueId::none;
};

std::optional<KerasForm> match_keras(const Pattern& pattern, NodeId root) {
  const auto& graph = pattern.graph();
  const auto& node = graph.node(root);
  if (!node.is("Add")) return std::nullopt;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto scaled = pattern.maker(node.input(slot), "Mul");
    const auto shift = pattern.maker(node.input(1 - slot), "Sub");
    if (scaled == NodeId::none || shift == NodeId::none) continue;
    const auto mean_scaled = pattern.maker(graph.node(shift).input(1), "Mul");
    if (mean_scaled == NodeId::none) continue;
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      const auto x = graph.node(scaled).input(side);
      const auto scale = graph.node(scaled).input(1 - side);
      const auto& other = graph.node(mean_scaled);
      const auto mean_value = other.input(0) == scale ? other.input(1) : other.input(0);
      if (other.input(0) != scale && other.input(1) != scale) continue;
      const auto mean = pattern.maker(mean_value, "ReduceMean");
      const auto gain = pattern.maker(scale, "Mul");
      if (mean == NodeId::none || graph.node(mean).input(0) != x || gain == NodeId::none) continue;
      for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
        KerasForm form;
        form.gamma = graph.node(gain).input(at);
        form.beta = graph.node(shift).input(0);
        if (graph.constant(form.gamma) == nullptr || graph.constant(form.beta) == nullptr) continue;
        if (!match_inverse(pattern, graph.node(gain).input(1 - at), form.normalized)) continue;
        const auto axis = last_axes(graph, graph.node(mean));
        if (form.normalized.input != x || !axis || *axis != form.normalized.axis) continue;
        form.normalized.nodes.insert({root, scaled, shift, mean_scaled, mean, gain});
        return form;
      }
    }
  }
  return std::nullopt;
}

/// Extents from `axis` on, when they are all known.
std::optional<Shape> normalized_shape(const Graph& graph, ValueId input, int axis) {
  const auto& shape = graph.value(input).shape;
  if (!shape || axis < 0 || axis >= static_cast<int>(shape->size())) return std::nullopt;
  Shape tail(shape->begin() + axis, shape->end());
  return is_static(tail) ? std::optional(tail) : std::nullopt;
}

/// A constant that broadcasts against values of rank `rank` along the last axes only, as one value
/// for each element of `shape`.
std::optional<Tensor> row_of(const Tensor* constant, const Shape& shape, int rank) {
  if (constant == nullptr || constant->dtype() != DType::f32 || constant->rank() > rank) {
    return std::nullopt;
  }
  const auto count = element_count(shape);
  if (constant->size() == 1) {
    Tensor row(DType::f32, shape);
    std::fill_n(row.mutable_data<float>(), count, constant->data<float>()[0]);
    return row;
  }
  // Equal extents at the end, only 1 before them.
  Shape own = constant->shape();
  while (own.size() > shape.size() && own.front() == 1) own.erase(own.begin());
  if (own != shape) return std::nullopt;
  return constant->reshaped(shape);
}

void become_layer_norm(Graph& graph, NodeId id, const Normalized& found, const Tensor& scale,
                       const Tensor* bias) {
  const auto name = graph.node(id).name;
  std::vector<ValueId> inputs{found.input, graph.add_constant(name + ".scale", scale)};
  if (bias != nullptr) inputs.push_back(graph.add_constant(name + ".bias", *bias));
  for (const auto inner : found.nodes) {
    if (inner != id) graph.remove_node(inner);
  }
  const auto rank = static_cast<std::int64_t>(graph.value(found.input).shape->size());
  auto& node = graph.node(id);
  node.op = "LayerNormalization";
  node.inputs = std::move(inputs);
  node.attributes = {{"axis", static_cast<std::int64_t>(found.axis) - rank},
                     {"epsilon", found.epsilon}};
}

bool fuse_core(Graph& graph, const Pattern& pattern, NodeId id) {
  auto keras = match_keras(pattern, id);
  auto found = keras ? std::optional(keras->normalized) : match_normalized(pattern, id);
  if (!found) return false;
  found->nodes.insert(id);
  const auto shape = normalized_shape(graph, found->input, found->axis);
  if (!shape || !pattern.closed(found->nodes, id)) return false;
  if (!pattern.same_shape(found->input, graph.node(id).output())) return false;
  const auto rank = static_cast<int>(graph.value(found->input).shape->size());
  if (!keras) {
    Tensor ones(DType::f32, *shape);
    std::fill_n(ones.mutable_data<float>(), ones.size(), 1.0F);
    become_layer_norm(graph, id, *found, ones, nullptr);
    return true;
  }
  const auto gamma = row_of(graph.constant(keras->gamma), *shape, rank);
  const auto beta = row_of(graph.constant(keras->beta), *shape, rank);
  if (!gamma || !beta) return false;
  become_layer_norm(graph, id, *found, *gamma, &*beta);
  return true;
}

/// Mul of a LayerNormalization without bias, or Add to one, by a constant row.
bool fold_row(Graph& graph, const Pattern& pattern, NodeId id) {
  const auto& node = graph.node(id);
  const bool scales = node.is("Mul");
  if (!scales && !node.is("Add")) return false;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto norm = pattern.maker(node.input(slot), "LayerNormalization");
    if (norm == NodeId::none || graph.node(norm).outputs.size() != 1) continue;
    const auto value = graph.node(norm).output();
    if (graph.is_output(value) || pattern.uses(value).size() != 1) continue;
    const auto* scale = f32_constant(graph, graph.node(norm), 1);
    const auto* bias = f32_constant(graph, graph.node(norm), 2);
    const bool has_bias = graph.node(norm).input(2) != ValueId::none;
    if (scale == nullptr || (has_bias && bias == nullptr) || (scales && has_bias)) continue;
    if (!graph.value(value).shape || !pattern.same_shape(value, node.output())) continue;
    const auto rank = static_cast<int>(graph.value(value).shape->size());
    const auto row = row_of(graph.constant(node.input(1 - slot)), scale->shape(), rank);
    if (!row) continue;
    Tensor changed = scales ? *scale : has_bias ? *bias : Tensor::zeros(DType::f32, row->shape());
    auto* out = changed.mutable_data<float>();
    for (std::int64_t i = 0; i < changed.size(); ++i) {
      out[i] = scales ? out[i] * row->data<float>()[i] : out[i] + row->data<float>()[i];
    }
    if (scales || has_bias) {
      replace_constant(graph, norm, scales ? 1 : 2, std::move(changed));
    } else {
      set_input(graph.node(norm), 2, graph.add_constant(graph.node(norm).name + ".bias", changed));
    }
    graph.node(norm).outputs[0] = graph.node(id).output();
    graph.remove_node(id);
    return true;
  }
  return false;
}

bool fuse(Graph& graph, const Pattern& pattern, NodeId id) {
  return fuse_core(graph, pattern, id) || fold_row(graph, pattern, id);
}

}  // namespace

Result<int> fuse_layer_norm(Graph& graph) {
  if (!allows(graph, 17)) return 0;
  return rewrite_each(graph, fuse);
}

}  // namespace octet::simplification

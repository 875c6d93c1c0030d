#include <algorithm>
#include <cmath>

#include "graph/shape_inference.h"
#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/pattern.h"
#include "passes/simplify.h"

namespace octet {
namespace litert {
namespace {

using simplification::f32_constant;

/// An f32 value of the shape of `like`.
ValueId add_like(Graph& graph, ValueId like, const std::string& name) {
  Value value;
  value.name = name;
  value.dtype = DType::f32;
  value.shape = graph.value(like).shape;
  value.dim_names = graph.value(like).dim_names;
  return graph.add_value(std::move(value));
}

void add_node(Graph& graph, std::string op, const std::string& name, std::vector<ValueId> inputs,
              ValueId output) {
  Node node;
  node.op = std::move(op);
  node.name = name;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  graph.add_node(std::move(node));
}

ValueId add_number(Graph& graph, const std::string& name, double value) {
  return graph.add_constant(name, Tensor::from<float>({static_cast<float>(value)}, {}));
}

/// x * sigmoid(x)
void split_swish(Graph& graph, NodeId id) {
  const auto input = graph.node(id).input(0);
  const auto output = graph.node(id).output();
  const auto name = graph.value(output).name + "_sigmoid";
  const auto gate = add_like(graph, output, name);
  add_node(graph, "Sigmoid", name, {input}, gate);
  graph.node(id).op = "Mul";
  graph.node(id).attributes.clear();
  graph.node(id).inputs = {input, gate};
}

/// alpha * clip(x + beta / alpha, 0, 1 / alpha): with alpha = 1 / 6 the bounds of RELU6.
bool split_hard_sigmoid(Graph& graph, NodeId id) {
  const auto alpha = static_cast<double>(graph.node(id).float_attribute("alpha", 0.2F));
  const auto beta = static_cast<double>(graph.node(id).float_attribute("beta", 0.5F));
  if (!(alpha > 0)) return false;
  const auto input = graph.node(id).input(0);
  const auto output = graph.node(id).output();
  const auto name = graph.value(output).name;
  const auto added = add_like(graph, output, name + "_shifted");
  const auto limited = add_like(graph, output, name + "_limited");
  add_node(graph, "Add", name + "_shift", {input, add_number(graph, name + ".shift", beta / alpha)},
           added);
  add_node(
      graph, "Clip", name + "_limit",
      {added, add_number(graph, name + ".low", 0), add_number(graph, name + ".high", 1 / alpha)},
      limited);
  graph.node(id).op = "Mul";
  graph.node(id).attributes.clear();
  const auto slope = add_number(graph, name + ".slope", alpha);
  graph.node(id).inputs = {limited, slope};
  return true;
}

/// Of int8 LiteRT's reference kernel for sums gives meaningless codes; a sum is so many means.
bool multiply_mean(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.is("ReduceSum") || !litert_reason(graph, node).empty()) return false;
  const auto axes = simplification::reduced_axes(graph, node);
  const auto& shape = graph.value(node.input(0)).shape;
  if (!axes || !shape) return false;
  double count = 1;
  for (const int axis : *axes) {
    const auto extent = (*shape)[static_cast<std::size_t>(axis)];
    if (extent == dynamic_dim) return false;
    count *= static_cast<double>(extent);
  }
  if (count >= static_cast<double>(mask_limit)) return false;
  const auto output = node.output();
  const auto name = graph.value(output).name;
  const auto mean = add_like(graph, output, name + "_mean");
  graph.node(id).op = "ReduceMean";
  graph.node(id).outputs = {mean};
  add_node(graph, "Mul", name, {mean, add_number(graph, name + ".count", count)}, output);
  return true;
}

bool divides_by_constant(const Graph& graph, const Node& node) {
  if (!node.is("Div")) return false;
  const Tensor* divisor = f32_constant(graph, node, 1);
  if (divisor == nullptr || graph.constant(node.input(0)) != nullptr) return false;
  const auto values = divisor->values<float>();
  return std::all_of(values.begin(), values.end(), [](float value) {
    return value != 0 && std::isfinite(value) && std::isfinite(1 / value);
  });
}

/// One window, which is the image.
bool averages_all(const Graph& graph, const Node& node) {
  const auto& shape = graph.value(node.input(0)).shape;
  if (!node.is("AveragePool") || !shape || shape->size() != 4) return false;
  const auto pads = node.ints_attribute("pads");
  const bool padded = std::any_of(pads.begin(), pads.end(), [](auto pad) { return pad != 0; });
  const auto mode = node.string_attribute("auto_pad", "NOTSET");
  if (padded || (mode != "NOTSET" && mode != "VALID")) return false;
  const Shape extents(shape->begin() + 2, shape->end());
  return is_static(extents) && node.ints_attribute("kernel_shape") == extents;
}

/// Swaps an axis with the last one.
std::vector<std::int64_t> swap_with_last(std::size_t rank, std::size_t axis) {
  std::vector<std::int64_t> perm(rank);
  for (std::size_t i = 0; i < rank; ++i) perm[i] = static_cast<std::int64_t>(i);
  std::swap(perm[axis], perm[rank - 1]);
  return perm;
}

/// Channels-first to channels-last and back, what images need, else axes swapped.
std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> turns(std::size_t rank,
                                                                      std::size_t axis) {
  if (rank == 4 && axis == 1) return {{0, 2, 3, 1}, {0, 3, 1, 2}};
  const auto perm = swap_with_last(rank, axis);
  return {perm, perm};
}

void turn_around(Graph& graph, NodeId id, std::size_t rank, std::size_t axis) {
  const auto [there, back] = turns(rank, axis);
  const auto input = graph.node(id).input(0);
  const auto output = graph.node(id).output();
  const auto name = graph.value(output).name;
  const auto transpose = [&](ValueId from, ValueId to, const std::vector<std::int64_t>& perm,
                             std::string_view end) {
    Node node;
    node.op = "Transpose";
    node.name = name + std::string(end);
    node.attributes["perm"] = perm;
    node.inputs = {from};
    node.outputs = {to};
    graph.add_node(std::move(node));
  };
  Value value;
  value.dtype = DType::f32;
  value.name = name + "_turned";
  const auto turned = graph.add_value(value);
  value.name = name + "_last";
  const auto computed = graph.add_value(value);
  transpose(input, turned, there, "_turn");
  transpose(computed, output, back, "_back");
  graph.node(id).inputs[0] = turned;
  graph.node(id).outputs = {computed};
  graph.node(id).attributes["axis"] = std::int64_t{-1};
}

template <class Rewrite>
int for_each_node(Graph& graph, Rewrite rewrite) {
  int changes = 0;
  const auto slots = graph.node_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (graph.node(id).alive && graph.node(id).domain.empty() && rewrite(id)) ++changes;
  }
  return changes;
}

}  // namespace

Result<int> split_gates(Graph& graph) {
  return for_each_node(graph, [&](NodeId id) {
    if (graph.node(id).is("HardSigmoid")) return split_hard_sigmoid(graph, id);
    if (!graph.node(id).is("Swish")) return false;
    split_swish(graph, id);
    return true;
  });
}

Result<int> multiply_by_reciprocals(Graph& graph) {
  return for_each_node(graph, [&](NodeId id) {
    if (!divides_by_constant(graph, graph.node(id))) return false;
    Tensor factors = *graph.constant(graph.node(id).input(1));
    auto* values = factors.mutable_data<float>();
    for (std::int64_t i = 0; i < factors.size(); ++i) values[i] = 1 / values[i];
    simplification::replace_constant(graph, id, 1, std::move(factors));
    graph.node(id).op = "Mul";
    return true;
  });
}

Result<int> sums_by_means(Graph& graph) {
  return for_each_node(graph, [&](NodeId id) { return multiply_mean(graph, id); });
}

Result<int> average_whole_images(Graph& graph) {
  return for_each_node(graph, [&](NodeId id) {
    if (!averages_all(graph, graph.node(id))) return false;
    graph.node(id).op = "GlobalAveragePool";
    graph.node(id).attributes.clear();
    return true;
  });
}

Result<int> move_softmax_axes(Graph& graph) {
  return for_each_node(graph, [&](NodeId id) {
    const Node& node = graph.node(id);
    if (!node.is("Softmax") && !node.is("LogSoftmax")) return false;
    const auto& shape = graph.value(node.input(0)).shape;
    if (!shape || shape->size() < 2) return false;
    const auto axis = normalize_axis(node.int_attribute("axis", -1), shape->size());
    if (!axis || *axis + 1 == static_cast<int>(shape->size())) return false;
    turn_around(graph, id, shape->size(), static_cast<std::size_t>(*axis));
    return true;
  });
}

}  // namespace litert

Status fit_litert(Graph& graph, const TargetProfile& target, bool products_only) {
  const auto finish = [&](int changes) -> Status {
    if (changes == 0) return {};
    graph.remove_dead_nodes();
    return infer_shapes(graph);
  };
  OCTET_ASSIGN(const int products, litert::fit_products(graph));
  OCTET_TRY(finish(products));
  if (products > 0) {
    OCTET_ASSIGN(const int merged, simplification::fold_reshapes(graph));
    OCTET_TRY(finish(merged));
    OCTET_ASSIGN(const int emptied, simplification::remove_identities(graph));
    OCTET_TRY(finish(emptied));
  }
  if (products_only) return {};
  OCTET_ASSIGN(const int gates, litert::split_gates(graph));
  OCTET_ASSIGN(const int reciprocals, litert::multiply_by_reciprocals(graph));
  OCTET_ASSIGN(const int sums, litert::sums_by_means(graph));
  OCTET_ASSIGN(const int averages, litert::average_whole_images(graph));
  OCTET_ASSIGN(const int axes, litert::move_softmax_axes(graph));
  OCTET_TRY(finish(gates + reciprocals + sums + averages + axes));
  OCTET_ASSIGN(const int separated, litert::separate_fixed_outputs(graph, target));
  return finish(separated);
}

}  // namespace octet

#include <algorithm>

#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/simplify.h"

// FULLY_CONNECTED multiplies rows by weights [out, in] and adds a bias row inside the accumulator.

namespace octet::litert {
namespace {

using simplification::f32_constant;

Tensor transposed(const Tensor& matrix, float factor) {
  const auto rows = matrix.dim(0);
  const auto columns = matrix.dim(1);
  Tensor out(DType::f32, {columns, rows});
  const auto* from = matrix.data<float>();
  auto* to = out.mutable_data<float>();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c] * factor;
  }
  return out;
}

Tensor scaled(Tensor tensor, float factor) {
  auto* values = tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < tensor.size(); ++i) values[i] *= factor;
  return tensor;
}

/// One number for each column, of a bias that is the same for all rows; nullopt for others.
std::optional<Tensor> bias_row(const Tensor& bias, std::int64_t columns, float factor) {
  if (bias.size() == 1) {
    const std::vector<float> row(static_cast<std::size_t>(columns), bias.data<float>()[0] * factor);
    return Tensor::from<float>(row, {columns});
  }
  if (bias.size() != columns || bias.rank() < 1 || bias.dim(bias.rank() - 1) != columns) {
    return std::nullopt;
  }
  return scaled(bias.reshaped({columns}), factor);
}

bool fit_gemm(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const Tensor* weight = f32_constant(graph, node, 1);
  if (weight == nullptr || weight->rank() != 2 || node.int_attribute("transA", 0) != 0) {
    return false;
  }
  const float alpha = node.float_attribute("alpha", 1);
  const float beta = node.float_attribute("beta", 1);
  const bool turned = node.int_attribute("transB", 0) != 0;
  const std::int64_t columns = weight->dim(turned ? 0 : 1);
  std::optional<Tensor> bias;
  bool reshaped = false;
  if (node.input(2) != ValueId::none) {
    const Tensor* given = f32_constant(graph, node, 2);
    if (given == nullptr) return false;
    bias = bias_row(*given, columns, beta);
    if (!bias) return false;
    reshaped = given->shape() != bias->shape();
  }
  if (turned && alpha == 1 && beta == 1 && !reshaped) return false;
  if (!turned || alpha != 1) {
    simplification::replace_constant(graph, id, 1,
                                     turned ? scaled(*weight, alpha) : transposed(*weight, alpha));
  }
  if (bias && (beta != 1 || reshaped)) {
    simplification::replace_constant(graph, id, 2, std::move(*bias));
  }
  graph.node(id).attributes = {{"transB", std::int64_t{1}}};
  return true;
}

/// The shape that a Reshape from rows gives back; nullopt where more than one extent is unknown, so
/// that it has to be computed.
std::optional<std::vector<std::int64_t>> target_shape(const Shape& shape) {
  std::vector<std::int64_t> target;
  int unknown = 0;
  for (const auto extent : shape) {
    unknown += extent < 0 ? 1 : 0;
    target.push_back(extent < 0 ? -1 : extent);
  }
  if (unknown > 1) return std::nullopt;
  return target;
}

/// One MatMul on its way to become a Gemm.
class Product {
 public:
  Product(Graph& graph, NodeId id) : graph_(graph), id_(id), name_(graph.node(id).name) {}

  bool fit() {
    const Node node = graph_.node(id_);
    const Tensor* weight = f32_constant(graph_, node, 1);
    if (weight == nullptr || weight->rank() != 2 || graph_.constant(node.input(0)) != nullptr) {
      return false;
    }
    const auto& value = graph_.value(node.input(0));
    if (!value.shape || value.shape->size() < 2 || value.dtype != DType::f32) return false;
    auto shape = *value.shape;
    shape.back() = weight->dim(1);
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return false;
    simplification::replace_constant(graph_, id_, 1, transposed(*weight, 1));
    graph_.node(id_).op = "Gemm";
    graph_.node(id_).attributes = {{"transB", std::int64_t{1}}};
    absorb_bias(shape.back());
    if (shape.size() > 2) reshape_around(shape);
    return true;
  }

 private:
  /// The Add of a constant row that alone reads the product.
  void absorb_bias(std::int64_t columns) {
    const auto reader = sole_reader();
    if (reader.node == NodeId::none) return;
    const Node add = graph_.node(reader.node);
    const int position = bias_input(graph_, add, columns);
    if (position < 0 || position == reader.input) return;
    auto row =
        bias_row(*graph_.constant(add.input(static_cast<std::size_t>(position))), columns, 1);
    const auto hint = graph_.value(add.input(static_cast<std::size_t>(position))).name;
    if (!row) return;
    const auto bias = graph_.add_constant(hint, std::move(*row));
    simplification::set_input(graph_.node(id_), 2, bias);
    take_over(reader.node);
  }

  /// Rows in, rows out; a Relu or Clip behind the product comes before the second Reshape.
  void reshape_around(const Shape& shape) {
    const auto input = graph_.node(id_).input(0);
    const auto depth = graph_.constant(graph_.node(id_).input(1))->dim(1);
    const auto rows = add_value(graph_.value(input).name + "_rows");
    const auto target = target_shape(shape);
    const auto back =
        target ? add_list(name_ + "_shape.to", *target) : computed_target(input, shape);
    add_node("Reshape", name_ + "_rows", {input, add_list(name_ + "_rows.to", {-1, depth})}, rows);
    graph_.node(id_).inputs[0] = rows;
    auto last = id_;
    if (const auto reader = sole_reader(); reader.node != NodeId::none && reader.input == 0 &&
                                           activation_limits(graph_, graph_.node(reader.node))) {
      last = reader.node;
    }
    const auto output = graph_.node(last).output();
    const auto computed = add_value(graph_.value(output).name + "_rows");
    if (last != id_) {
      const auto between = graph_.node(id_).output();
      graph_.value(between).shape.reset();
    }
    graph_.node(last).outputs = {computed};
    add_node("Reshape", name_ + "_shape", {computed, back}, output);
  }

  /// The extents of `input` as they are at run time, but for the last.
  ValueId computed_target(ValueId input, const Shape& shape) {
    const auto& name = graph_.value(input).name;
    const auto extents = add_value(name + "_extents", DType::i64);
    const auto target = add_value(name_ + "_shape.to", DType::i64);
    const auto shape_node = add_node("Shape", name + "_extents", {input}, extents);
    graph_.node(shape_node).attributes["end"] = std::int64_t{-1};
    const auto join = add_node("Concat", name_ + "_shape.to",
                               {extents, add_list(name_ + "_columns", {shape.back()})}, target);
    graph_.node(join).attributes["axis"] = std::int64_t{0};
    return target;
  }

  [[nodiscard]] Use sole_reader() const {
    const auto value = graph_.node(id_).output();
    const auto readers = graph_.uses()[index(value)];
    if (readers.size() != 1 || graph_.is_output(value)) return {};
    return readers[0];
  }
  /// The node computes what `reader` gave.
  void take_over(NodeId reader) {
    const auto output = graph_.node(reader).output();
    graph_.remove_node(reader);
    graph_.node(id_).outputs = {output};
  }
  ValueId add_value(const std::string& name, DType dtype = DType::f32) {
    Value value;
    value.name = name;
    value.dtype = dtype;
    return graph_.add_value(std::move(value));
  }
  ValueId add_list(const std::string& name, const std::vector<std::int64_t>& numbers) {
    const auto count = static_cast<std::int64_t>(numbers.size());
    return graph_.add_constant(name, Tensor::from<std::int64_t>(numbers, {count}));
  }
  NodeId add_node(std::string op, std::string name, std::vector<ValueId> inputs, ValueId output) {
    Node node;
    node.op = std::move(op);
    node.name = std::move(name);
    node.inputs = std::move(inputs);
    node.outputs = {output};
    return graph_.add_node(std::move(node));
  }

  Graph& graph_;
  NodeId id_;
  std::string name_;
};

}  // namespace

Result<int> fit_products(Graph& graph) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  int changes = 0;
  for (const auto id : order) {
    if (!graph.node(id).alive) continue;
    const bool changed = (graph.node(id).is("MatMul") && Product(graph, id).fit()) ||
                         (graph.node(id).is("Gemm") && fit_gemm(graph, id));
    if (changed) ++changes;
  }
  return changes;
}

}  // namespace octet::litert

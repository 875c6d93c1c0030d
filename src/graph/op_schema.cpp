#include "graph/op_schema.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "graph/einsum.h"

namespace octet {
namespace {

/// Arities of the canonical opset (21), sorted by name for binary search. Swish (opset 24) is here
/// because decomposed SiLU is fused to it; the ONNX writer takes it apart again.
constexpr auto schemas = std::to_array<OpSchema>({
    {"Abs", 1, 1},
    {"Add", 2, 2},
    {"And", 2, 2},
    {"ArgMax", 1, 1},
    {"ArgMin", 1, 1},
    {"AveragePool", 1, 1},
    {"BatchNormalization", 5, 5, 1, 3},
    {"Cast", 1, 1},
    {"Ceil", 1, 1},
    {"Celu", 1, 1},
    {"Clip", 1, 3},
    {"Concat", 1, -1},
    {"Constant", 0, 0},
    {"ConstantOfShape", 1, 1},
    {"Conv", 2, 3},
    {"ConvInteger", 2, 4},
    {"ConvTranspose", 2, 3},
    {"Cos", 1, 1},
    {"CumSum", 2, 2},
    {"DepthToSpace", 1, 1},
    {"DequantizeLinear", 2, 3},
    {"Div", 2, 2},
    {"Dropout", 1, 3, 1, 2},
    {"DynamicQuantizeLinear", 1, 1, 3, 3},
    {"Einsum", 1, -1},
    {"Elu", 1, 1},
    {"Equal", 2, 2},
    {"Erf", 1, 1},
    {"Exp", 1, 1},
    {"Expand", 2, 2},
    {"Flatten", 1, 1},
    {"Floor", 1, 1},
    {"GRU", 3, 6, 0, 2},
    {"Gather", 2, 2},
    {"GatherElements", 2, 2},
    {"GatherND", 2, 2},
    {"Gelu", 1, 1},
    {"Gemm", 2, 3},
    {"GlobalAveragePool", 1, 1},
    {"GlobalMaxPool", 1, 1},
    {"Greater", 2, 2},
    {"GreaterOrEqual", 2, 2},
    {"GroupNormalization", 3, 3},
    {"HardSigmoid", 1, 1},
    {"HardSwish", 1, 1},
    {"Identity", 1, 1},
    {"InstanceNormalization", 3, 3},
    {"LSTM", 3, 8, 0, 3},
    {"LayerNormalization", 2, 3, 1, 3},
    {"LeakyRelu", 1, 1},
    {"Less", 2, 2},
    {"LessOrEqual", 2, 2},
    {"Log", 1, 1},
    {"LogSoftmax", 1, 1},
    {"MatMul", 2, 2},
    {"MatMulInteger", 2, 4},
    {"Max", 1, -1},
    {"MaxPool", 1, 1, 1, 2},
    {"Min", 1, -1},
    {"Mish", 1, 1},
    {"Mod", 2, 2},
    {"Mul", 2, 2},
    {"Neg", 1, 1},
    {"Not", 1, 1},
    {"OneHot", 3, 3},
    {"Or", 2, 2},
    {"PRelu", 2, 2},
    {"Pad", 2, 4},
    {"Pow", 2, 2},
    {"QLinearConv", 8, 9},
    {"QLinearMatMul", 8, 8},
    {"QuantizeLinear", 2, 3},
    {"Range", 3, 3},
    {"Reciprocal", 1, 1},
    {"ReduceL1", 1, 2},
    {"ReduceL2", 1, 2},
    {"ReduceMax", 1, 2},
    {"ReduceMean", 1, 2},
    {"ReduceMin", 1, 2},
    {"ReduceProd", 1, 2},
    {"ReduceSum", 1, 2},
    {"ReduceSumSquare", 1, 2},
    {"Relu", 1, 1},
    {"Reshape", 2, 2},
    {"Resize", 1, 4},
    {"Round", 1, 1},
    {"ScatterElements", 3, 3},
    {"ScatterND", 3, 3},
    {"Selu", 1, 1},
    {"Shape", 1, 1},
    {"Sigmoid", 1, 1},
    {"Sign", 1, 1},
    {"Sin", 1, 1},
    {"Slice", 3, 5},
    {"Softmax", 1, 1},
    {"Softplus", 1, 1},
    {"Softsign", 1, 1},
    {"SpaceToDepth", 1, 1},
    {"Split", 1, 2, 1, -1},
    {"Sqrt", 1, 1},
    {"Squeeze", 1, 2},
    {"Sub", 2, 2},
    {"Sum", 1, -1},
    {"Swish", 1, 1},
    {"Tanh", 1, 1},
    {"ThresholdedRelu", 1, 1},
    {"Tile", 2, 2},
    {"TopK", 2, 2, 2, 2},
    {"Transpose", 1, 1},
    {"Trilu", 1, 2},
    {"Unsqueeze", 2, 2},
    {"Where", 3, 3},
    {"Xor", 2, 2},
});

static_assert(std::is_sorted(schemas.begin(), schemas.end(),
                             [](const auto& a, const auto& b) { return a.op < b.op; }));

/// Product with dynamic dimensions counted as 1; saturates instead of overflowing.
std::int64_t product(std::span<const std::int64_t> dims) {
  std::int64_t result = 1;
  for (const auto dim : dims) {
    if (dim == dynamic_dim) continue;
    if (__builtin_mul_overflow(result, dim, &result)) return INT64_MAX;
  }
  return result;
}

const Shape* shape_of(const Graph& graph, ValueId id) {
  if (id == ValueId::none || !graph.value(id).shape) return nullptr;
  return &*graph.value(id).shape;
}

/// Elements of one batch item: everything but the outermost dimension.
std::int64_t item_elements(const Shape& shape) {
  return shape.empty() ? 1 : product(std::span(shape).subspan(1));
}

std::int64_t saturating_product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
}

std::int64_t saturating_sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

std::int64_t matmul_macs(const Shape& a, const Shape& output) {
  if (a.empty()) return 0;
  const auto depth = std::max<std::int64_t>(a.back(), 1);
  // A matrix times a matrix has the batch outermost; a vector result has none.
  const auto rows = output.size() >= 2 ? item_elements(output) : product(output);
  return saturating_product(depth, rows);
}

/// X is [steps, batch, in], or [batch, steps, in] for layout 1; each step multiplies by W and R.
std::int64_t recurrent_macs(const Graph& graph, const Node& node, const Shape& input) {
  const auto* weight = shape_of(graph, node.input(1));
  const auto* recurrence = shape_of(graph, node.input(2));
  if (input.size() != 3 || weight == nullptr || recurrence == nullptr) return 0;
  const auto steps = input[node.int_attribute("layout", 0) != 0 ? 1 : 0];
  const auto each = saturating_sum(product(*weight), product(*recurrence));
  return saturating_product(std::max<std::int64_t>(steps, 1), each);
}

/// Of two operands: the product of all extents but the result's outermost.
std::int64_t einsum_macs(const Graph& graph, const Node& node, const Shape& output) {
  const auto* a = shape_of(graph, node.input(0));
  const auto* b = shape_of(graph, node.input(1));
  if (node.inputs.size() != 2 || a == nullptr || b == nullptr) return 0;
  const auto equation = parse_einsum(node.string_attribute("equation", ""), 2);
  if (!equation) return 0;
  const auto extents = resolve_einsum(*equation, {*a, *b});
  if (!extents) return 0;
  Shape all = extents->ellipsis;
  for (char c = 'A'; c <= 'z'; ++c) {
    const bool occurs = equation->inputs[0].find(c) != EinsumTerm::npos ||
                        equation->inputs[1].find(c) != EinsumTerm::npos;
    if (occurs) all.push_back(extents->letters[static_cast<std::size_t>(c)]);
  }
  const auto outermost = output.empty() ? 1 : std::max<std::int64_t>(output.front(), 1);
  return product(all) / outermost;
}

}  // namespace

std::span<const OpSchema> all_schemas() { return schemas; }

const OpSchema* find_schema(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  const auto it =
      std::lower_bound(schemas.begin(), schemas.end(), node.op,
                       [](const OpSchema& schema, std::string_view op) { return schema.op < op; });
  return it != schemas.end() && it->op == node.op ? &*it : nullptr;
}

NodeId first_unknown_node(const Graph& graph) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (graph.node(id).alive && find_schema(graph.node(id)) == nullptr) return id;
  }
  return NodeId::none;
}

std::int64_t node_macs(const Graph& graph, const Node& node) {
  const auto* output = shape_of(graph, node.output());
  const auto* first = shape_of(graph, node.input(0));
  if (!node.domain.empty() || first == nullptr) return 0;
  if (node.op == "LSTM" || node.op == "GRU") return recurrent_macs(graph, node, *first);
  if (output == nullptr) return 0;
  if (node.op == "Conv" || node.op == "ConvInteger" || node.op == "QLinearConv") {
    const auto* weight = shape_of(graph, node.input(node.op == "QLinearConv" ? 3 : 1));
    if (weight == nullptr) return 0;
    // Weights are [out, in / group, kernel...]: one output element costs all but the first extent.
    return saturating_product(item_elements(*weight), item_elements(*output));
  }
  if (node.op == "ConvTranspose") {
    const auto* weight = shape_of(graph, node.input(1));
    // Weights are [in, out / group, kernel...]: what one input element is multiplied by.
    return weight == nullptr ? 0
                             : saturating_product(item_elements(*weight), item_elements(*first));
  }
  if (node.op == "Gemm" && first->size() == 2) {
    const auto depth = (*first)[node.int_attribute("transA", 0) != 0 ? 0 : 1];
    return saturating_product(std::max<std::int64_t>(depth, 1), item_elements(*output));
  }
  const bool product =
      node.op == "MatMul" || node.op == "MatMulInteger" || node.op == "QLinearMatMul";
  if (product) return matmul_macs(*first, *output);
  return node.op == "Einsum" ? einsum_macs(graph, node, *output) : 0;
}

}  // namespace octet

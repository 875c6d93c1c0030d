#include "passes/passes.h"
#include "passes/simplify.h"

namespace octet::passes {
namespace {

Tensor transposed(const Tensor& matrix) {
  const auto rows = matrix.dim(0);
  const auto columns = matrix.dim(1);
  Tensor out(DType::f32, {columns, rows});
  const auto* from = matrix.data<float>();
  auto* to = out.mutable_data<float>();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
  }
  return out;
}

}  // namespace

// A file states a dynamic product with MatMulInteger, which has no transB; so a Gemm that was read
// back would be another one than the Gemm that was written. FULLY_CONNECTED takes weights [out,
// in].
Status plain_products(PassContext& context) {
  if (context.target.litert) return {};
  Graph& graph = context.model.graph;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = graph.node(id);
    if (!node.alive || !node.is("Gemm")) continue;
    const auto* weight = simplification::f32_constant(graph, node, 1);
    const bool scaled = node.float_attribute("alpha", 1) != 1 ||
                        node.float_attribute("beta", 1) != 1 ||
                        node.int_attribute("transA", 0) != 0;
    if (weight == nullptr || weight->rank() != 2 || scaled) continue;
    if (node.int_attribute("transB", 0) != 0) {
      simplification::replace_constant(graph, id, 1, transposed(*weight));
    }
    graph.node(id).attributes.clear();
    if (graph.node(id).input(2) != ValueId::none) continue;
    graph.node(id).op = "MatMul";
    graph.node(id).inputs.resize(2);
  }
  return {};
}

}  // namespace octet::passes

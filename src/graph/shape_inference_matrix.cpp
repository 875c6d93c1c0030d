// Shape rules of matrix products and recurrent layers.

#include "graph/einsum.h"
#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

Status set_product(Context& context, std::size_t first, std::size_t second, DType dtype) {
  context.set(0, dtype, std::nullopt);
  if (context.shape(first) == nullptr || context.shape(second) == nullptr) return {};
  Shape a = *context.shape(first);
  Shape b = *context.shape(second);
  if (a.empty() || b.empty()) return bad_input("a scalar has no matrix product");
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  if (differ(a.back(), b[b.size() - 2])) {
    return bad_input("the inner extents of {} and {} differ", text(*context.shape(first)),
                     text(*context.shape(second)));
  }
  OCTET_ASSIGN(auto output,
               broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2)));
  if (!row) output.push_back(a[a.size() - 2]);
  if (!column) output.push_back(b.back());
  context.set(0, dtype, std::move(output));
  return {};
}

/// Extents of a recurrent operator: what X, W, R and hidden_size say of them.
struct RecurrentExtents {
  std::int64_t steps = dynamic_dim;
  std::int64_t batch = dynamic_dim;
  std::int64_t hidden = dynamic_dim;
  std::int64_t directions = 1;
};

Result<RecurrentExtents> read_recurrent(const Context& context) {
  const auto& node = context.node();
  const bool batch_first = node.int_attribute("layout", 0) != 0;
  const auto direction = node.string_attribute("direction", "forward");
  RecurrentExtents extents;
  if (direction == "bidirectional") {
    extents.directions = 2;
  } else if (direction != "forward" && direction != "reverse") {
    return bad_input("direction {} does not exist", direction);
  }
  extents.hidden = node.int_attribute("hidden_size", dynamic_dim);
  if (node.attributes.contains("hidden_size") &&
      (extents.hidden < 1 || extents.hidden > extent_limit)) {
    return bad_input("hidden_size {} is out of range", extents.hidden);
  }
  if (const auto* x = context.shape(0)) {
    if (x->size() != 3) return bad_input("the input {} is not of rank 3", text(*x));
    extents.steps = (*x)[batch_first ? 1 : 0];
    extents.batch = (*x)[batch_first ? 0 : 1];
  }
  for (std::size_t i = 1; i < 3; ++i) {
    const auto* weight = context.shape(i);
    if (weight == nullptr) continue;
    if (weight->size() != 3) return bad_input("weight {} is not of rank 3", text(*weight));
    if (differ((*weight)[0], extents.directions)) {
      return bad_input("weight {} is not of {} directions", text(*weight), extents.directions);
    }
    const auto depth = (*weight)[2];
    const auto* x = context.shape(0);
    if (i == 1 && x != nullptr && differ((*x)[2], depth)) {
      return bad_input("the input {} does not fit the weight {}", text(*x), text(*weight));
    }
    if (i == 2 && extents.hidden < 0) extents.hidden = depth;
    if (i == 2 && differ(extents.hidden, depth)) {
      return bad_input("the weight {} does not fit hidden_size {}", text(*weight), extents.hidden);
    }
    const std::int64_t gates = node.op == "LSTM" ? 4 : 3;
    if (extents.hidden >= 0 && differ((*weight)[1], gates * extents.hidden)) {
      return bad_input("the weight {} does not hold {} gates of {}", text(*weight), gates,
                       extents.hidden);
    }
  }
  return extents;
}

}  // namespace

Status gemm(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  context.set(0, context.dtype(0), std::nullopt);
  const auto* a = context.shape(0);
  const auto* b = context.shape(1);
  if (a == nullptr || b == nullptr) return {};
  if (a->size() != 2 || b->size() != 2) {
    return bad_input("{} and {} are not two matrices", text(*a), text(*b));
  }
  const std::size_t trans_a = context.node().int_attribute("transA", 0) != 0 ? 1 : 0;
  const std::size_t trans_b = context.node().int_attribute("transB", 0) != 0 ? 1 : 0;
  if (differ((*a)[1 - trans_a], (*b)[trans_b])) {
    return bad_input("the inner extents of {} and {} differ (transA {}, transB {})", text(*a),
                     text(*b), trans_a, trans_b);
  }
  Shape output{(*a)[trans_a], (*b)[1 - trans_b]};
  if (const auto* c = context.shape(2); c != nullptr) {
    OCTET_ASSIGN(const auto widened, broadcast(output, *c));
    if (widened.size() != 2 || differ(widened[0], output[0]) || differ(widened[1], output[1])) {
      return bad_input("{} does not broadcast to the result {}", text(*c), text(output));
    }
  }
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status matmul(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  return set_product(context, 0, 1, context.dtype(0));
}

Status matmul_integer(Context& context) { return set_product(context, 0, 1, DType::i32); }

/// a, its scale and zero point, b, the same, and scale and zero point of the result.
Status qlinear_matmul(Context& context) { return set_product(context, 0, 3, context.dtype(7)); }

Status einsum(Context& context) {
  const auto dtype = context.dtype(0);
  context.set(0, dtype, std::nullopt);
  const auto count = context.node().inputs.size();
  for (std::size_t i = 1; i < count; ++i) OCTET_TRY(check_same_type(dtype, context.dtype(i)));
  OCTET_ASSIGN(const auto equation,
               parse_einsum(context.node().string_attribute("equation", ""), count));
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < count; ++i) {
    if (context.shape(i) == nullptr) return {};
    shapes.push_back(*context.shape(i));
  }
  OCTET_ASSIGN(const auto extents, resolve_einsum(equation, shapes));
  context.set(0, dtype, extents.output);
  return {};
}

/// LSTM and GRU: Y, Y_h and, of the LSTM, Y_c.
Status recurrent(Context& context) {
  const auto dtype = context.dtype(0);
  OCTET_ASSIGN(const auto extents, read_recurrent(context));
  const auto& [steps, batch, hidden, directions] = extents;
  const bool batch_first = context.node().int_attribute("layout", 0) != 0;
  const auto all = batch_first ? Shape{batch, steps, directions, hidden}
                               : Shape{steps, directions, batch, hidden};
  const auto last =
      batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  context.set(0, dtype, all);
  context.set(1, dtype, last);
  context.set(2, dtype, last);
  return {};
}

}  // namespace octet::shape_rules

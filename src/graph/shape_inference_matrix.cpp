// Shape rules of matrix products and reductions.

#include <algorithm>

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

Status check_types(const Context& context) {
  const auto a = context.dtype(0);
  const auto b = context.dtype(1);
  if (a == DType::undefined || b == DType::undefined || a == b) return {};
  return bad_input("inputs of types {} and {} do not go together", name(a), name(b));
}

bool differ(std::int64_t a, std::int64_t b) { return a >= 0 && b >= 0 && a != b; }

}  // namespace

Status gemm(Context& context) {
  OCTET_TRY(check_types(context));
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
  OCTET_TRY(check_types(context));
  context.set(0, context.dtype(0), std::nullopt);
  if (context.shape(0) == nullptr || context.shape(1) == nullptr) return {};
  Shape a = *context.shape(0);
  Shape b = *context.shape(1);
  if (a.empty() || b.empty()) return bad_input("a scalar has no matrix product");
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  if (differ(a.back(), b[b.size() - 2])) {
    return bad_input("the inner extents of {} and {} differ", text(*context.shape(0)),
                     text(*context.shape(1)));
  }
  OCTET_ASSIGN(auto output,
               broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2)));
  if (!row) output.push_back(a[a.size() - 2]);
  if (!column) output.push_back(b.back());
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status reduce(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  const bool keep = context.node().int_attribute("keepdims", 1) != 0;
  std::vector<bool> reduced(input->size(), false);
  const auto axes = context.axes(1);
  if (!axes && context.has_axes(1)) {
    if (keep) context.set(0, context.dtype(0), Shape(input->size(), dynamic_dim));
    return {};
  }
  if (axes && !axes->empty()) {
    for (const auto given : *axes) {
      OCTET_ASSIGN(const auto axis, normalize_axis(given, input->size()));
      reduced[static_cast<std::size_t>(axis)] = true;
    }
  } else if (context.node().int_attribute("noop_with_empty_axes", 0) == 0) {
    std::fill(reduced.begin(), reduced.end(), true);
  }
  Shape output;
  for (std::size_t i = 0; i < input->size(); ++i) {
    if (!reduced[i]) {
      output.push_back((*input)[i]);
    } else if (keep) {
      output.push_back(1);
    }
  }
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

}  // namespace octet::shape_rules

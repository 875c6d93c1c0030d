// Shape rules of operators that take many elements to few: the Reduce family, ArgMax, ArgMin, TopK.

#include <algorithm>

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// The operation between two elements, "" for reductions whose numbers are not followed.
std::string_view joining_op(std::string_view op) {
  if (op == "ReduceProd") return "Mul";
  if (op == "ReduceSum") return "Add";
  if (op == "ReduceMax") return "Max";
  if (op == "ReduceMin") return "Min";
  return "";
}

/// Result of reducing no elements.
PartialInt empty_result(std::string_view op, DType dtype) {
  if (op != "Mul" && op != "Add") return {};
  const std::int64_t neutral = op == "Mul" ? 1 : 0;
  return is_float(dtype) ? real_number(static_cast<double>(neutral)) : known_number(neutral);
}

/// `kept` is the input's shape with 1 in place of every reduced extent.
PartialInts reduce_numbers(std::string_view op, DType dtype, const PartialInts& input,
                           const Shape& kept) {
  PartialInts result{kept, {}};
  result.elements.resize(static_cast<std::size_t>(element_count(kept)));
  std::vector<bool> started(result.elements.size(), false);
  auto steps = row_major_strides(kept);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (kept[i] == 1) steps[i] = 0;
  }
  std::vector<std::int64_t> position(kept.size(), 0);
  for (const auto& element : input.elements) {
    std::int64_t flat = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) flat += position[i] * steps[i];
    const auto target = static_cast<std::size_t>(flat);
    auto& sum = result.elements[target];
    sum = started[target] ? combine_numbers(op, dtype, sum, element) : element;
    started[target] = true;
    for (std::size_t i = kept.size(); i-- > 0;) {
      if (++position[i] < input.shape[i]) break;
      position[i] = 0;
    }
  }
  for (std::size_t i = 0; i < started.size(); ++i) {
    if (!started[i]) result.elements[i] = empty_result(op, dtype);
  }
  return result;
}

/// Which axes are reduced; nullopt when that is not known.
Result<std::optional<std::vector<bool>>> reduced_axes(const Context& context, std::size_t rank) {
  std::vector<bool> reduced(rank, false);
  const auto axes = context.axes(1);
  if (!axes && context.has_axes(1)) {
    // A list without entries has nothing to tell.
    const auto* list = context.shape(1);
    if (list == nullptr || *list != Shape{0}) return std::nullopt;
  }
  if (axes && !axes->empty()) {
    for (const auto given : *axes) {
      OCTET_ASSIGN(const auto axis, normalize_axis(given, rank));
      reduced[static_cast<std::size_t>(axis)] = true;
    }
  } else if (context.node().int_attribute("noop_with_empty_axes", 0) == 0) {
    std::fill(reduced.begin(), reduced.end(), true);
  }
  return std::optional(std::move(reduced));
}

Shape without_reduced(const Shape& input, const std::vector<bool>& reduced, bool keep) {
  Shape output;
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (!reduced[i]) {
      output.push_back(input[i]);
    } else if (keep) {
      output.push_back(1);
    }
  }
  return output;
}

}  // namespace

Status reduce(Context& context) {
  const auto dtype = context.dtype(0);
  context.set(0, dtype, std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  const bool keep = context.node().int_attribute("keepdims", 1) != 0;
  OCTET_ASSIGN(const auto reduced, reduced_axes(context, input->size()));
  if (!reduced) {
    if (keep) context.set(0, dtype, Shape(input->size(), dynamic_dim));
    return {};
  }
  const auto output = without_reduced(*input, *reduced, keep);
  context.set(0, dtype, output);
  const auto op = joining_op(context.node().op);
  const auto kept = without_reduced(*input, *reduced, true);
  if (op.empty() || !few_elements(*input) || !few_elements(kept)) return {};
  const auto numbers = context.numbers(0);
  // Sums of floats depend on their order.
  if (!numbers || is_float(dtype)) return {};
  auto result = reduce_numbers(op, dtype, *numbers, kept);
  result.shape = output;
  context.set_numbers(0, std::move(result));
  return {};
}

Status arg_reduce(Context& context) {
  context.set(0, DType::i64, std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  OCTET_ASSIGN(const auto axis,
               normalize_axis(context.node().int_attribute("axis", 0), input->size()));
  Shape output = *input;
  if (output[static_cast<std::size_t>(axis)] == 0) {
    return bad_input("axis {} of {} has no elements to choose from", axis, text(*input));
  }
  if (context.node().int_attribute("keepdims", 1) != 0) {
    output[static_cast<std::size_t>(axis)] = 1;
  } else {
    output.erase(output.begin() + axis);
  }
  context.set(0, DType::i64, std::move(output));
  return {};
}

/// Values and indices.
Status top_k(Context& context) {
  const auto* input = context.shape(0);
  std::optional<Shape> output;
  if (input != nullptr) {
    output = *input;
    OCTET_ASSIGN(const auto axis,
                 normalize_axis(context.node().int_attribute("axis", -1), input->size()));
    auto& extent = (*output)[static_cast<std::size_t>(axis)];
    const auto count = context.known_integers(1);
    if (count && count->size() != 1) return bad_input("k is not a single number");
    if (count && (count->front() < 0 || (extent >= 0 && count->front() > extent))) {
      return bad_input("k is {} where axis {} has {} elements", count->front(), axis,
                       without_symbols({extent})[0]);
    }
    extent = count ? count->front() : dynamic_dim;
  }
  context.set(0, context.dtype(0), output);
  context.set(1, DType::i64, output);
  return {};
}

}  // namespace octet::shape_rules

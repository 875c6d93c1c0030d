// Shape rules of operators that work element by element.

#include "graph/onnx_dtype.h"
#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

std::optional<Shape> input_shape(const Context& context, std::size_t i) {
  const auto* shape = context.shape(i);
  return shape == nullptr ? std::nullopt : std::optional(*shape);
}

PartialInt known(std::int64_t value) { return {PartialInt::Kind::known, value}; }

PartialInt combine_known(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "Add") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "Sub") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "Mul") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (b == 0 || (a == INT64_MIN && b == -1)) {
    overflow = true;
  } else {
    result = a / b;
  }
  return overflow ? PartialInt{} : known(result);
}

/// The extent of a dynamic dimension survives the neutral element, nothing else.
PartialInt combine(std::string_view op, const PartialInt& a, const PartialInt& b) {
  if (a.is_known() && b.is_known()) return combine_known(op, a.value, b.value);
  const bool sum = op == "Add" || op == "Sub";
  const bool commutes = op == "Add" || op == "Mul";
  const auto neutral = known(sum ? 0 : 1);
  if (b == neutral) return a;
  if (commutes && a == neutral) return b;
  if (op == "Mul" && (a == known(0) || b == known(0))) return known(0);
  return {};
}

std::vector<std::int64_t> broadcast_strides(const Shape& from, const Shape& to) {
  const auto own = row_major_strides(from);
  std::vector<std::int64_t> strides(to.size(), 0);
  const auto missing = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1) strides[i + missing] = own[i];
  }
  return strides;
}

void combine_integers(Context& context, const Shape& output) {
  const auto count = checked_element_count(output);
  if (!count || *count > max_partial_elements) return;
  const auto a = context.integers(0);
  const auto b = context.integers(1);
  if (!a || !b) return;
  auto left = strided_view(*a, output, 0, broadcast_strides(a->shape, output));
  const auto right = strided_view(*b, output, 0, broadcast_strides(b->shape, output));
  for (std::size_t i = 0; i < left.elements.size(); ++i) {
    auto& element = left.elements[i];
    element = combine(context.node().op, element, right.elements[i]);
    // A 32-bit result would wrap around; then it is not what was computed here.
    const bool wraps = context.dtype(0) == DType::i32 && element.is_known() &&
                       (element.value > INT32_MAX || element.value < INT32_MIN);
    if (wraps) element = {};
  }
  context.set_integers(0, std::move(left));
}

Status check_scale(const Context& context) {
  const auto* input = context.shape(0);
  const auto* scale = context.shape(1);
  if (input == nullptr || scale == nullptr) return {};
  const bool blocked = context.node().int_attribute("block_size", 0) != 0;
  if (blocked || scale->empty() || scale->size() > 1 || (*scale)[0] == 1) return {};
  auto axis = normalize_axis(context.node().int_attribute("axis", 1), input->size());
  if (!axis) return tl::unexpected(axis.error());
  const auto extent = (*input)[static_cast<std::size_t>(*axis)];
  if (extent >= 0 && (*scale)[0] >= 0 && extent != (*scale)[0]) {
    return bad_input("scale {} does not fit axis {} of the input {}", text(*scale), *axis,
                     text(*input));
  }
  return {};
}

}  // namespace

Status same_as_input(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  if (auto integers = context.integers(0); integers && context.node().op == "Identity") {
    context.set_integers(0, std::move(*integers));
  }
  return {};
}

Status softmax(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  auto axis = normalize_axis(context.node().int_attribute("axis", -1), input->size());
  if (!axis) return tl::unexpected(axis.error());
  return {};
}

Status dropout(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  context.set(1, DType::boolean, input_shape(context, 0));
  return {};
}

Status cast(Context& context) {
  const auto* code = context.node().attribute<std::int64_t>("to");
  if (code == nullptr) return bad_input("attribute to is missing");
  const auto dtype = dtype_from_onnx(*code);
  if (dtype == DType::undefined) return bad_input("type {} does not exist", *code);
  context.set(0, dtype, input_shape(context, 0));
  auto integers = context.integers(0);
  if (!integers) return {};
  if (dtype == DType::i32) {
    for (auto& element : integers->elements) {
      if (element.value > INT32_MAX || element.value < INT32_MIN) element = {};
    }
  }
  context.set_integers(0, std::move(*integers));
  return {};
}

Status binary(Context& context) {
  const auto a = context.dtype(0);
  const auto b = context.dtype(1);
  if (a != DType::undefined && b != DType::undefined && a != b) {
    return bad_input("inputs of types {} and {} do not go together", name(a), name(b));
  }
  const auto dtype = a == DType::undefined ? b : a;
  context.set(0, dtype, std::nullopt);
  if (context.shape(0) == nullptr || context.shape(1) == nullptr) return {};
  OCTET_ASSIGN(auto output, broadcast(*context.shape(0), *context.shape(1)));
  context.set(0, dtype, output);
  combine_integers(context, output);
  return {};
}

Status variadic(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  Shape output;
  for (std::size_t i = 0; i < context.node().inputs.size(); ++i) {
    if (context.shape(i) == nullptr) return {};
    OCTET_ASSIGN(output, broadcast(output, *context.shape(i)));
  }
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status quantize_linear(Context& context) {
  auto dtype = context.dtype(2);
  const auto code = context.node().int_attribute("output_dtype", 0);
  if (dtype == DType::undefined && code != 0) dtype = dtype_from_onnx(code);
  if (dtype == DType::undefined && context.input(2) == nullptr) dtype = DType::u8;
  context.set(0, dtype, input_shape(context, 0));
  return check_scale(context);
}

Status dequantize_linear(Context& context) {
  context.set(0, context.dtype(1), input_shape(context, 0));
  return check_scale(context);
}

}  // namespace octet::shape_rules

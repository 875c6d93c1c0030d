// Shape rules of operators that work element by element.

#include "graph/onnx_dtype.h"
#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// fn(a, b) over the numbers of inputs `first` and `second`, broadcast to `output`.
template <class Fn>
std::optional<PartialInts> broadcast_numbers(const PartialInts& first, const PartialInts& second,
                                             const Shape& output, Fn fn) {
  if (!few_elements(output)) return std::nullopt;
  auto left = strided_view(first, output, 0, broadcast_strides(first.shape, output));
  const auto right = strided_view(second, output, 0, broadcast_strides(second.shape, output));
  for (std::size_t i = 0; i < left.elements.size(); ++i) {
    left.elements[i] = fn(left.elements[i], right.elements[i]);
  }
  return left;
}

/// Sets the shape that inputs 0 and 1 broadcast to and, by fn, the numbers.
template <class Fn>
Status broadcast_pair(Context& context, DType dtype, Fn fn) {
  context.set(0, dtype, std::nullopt);
  if (context.shape(0) == nullptr || context.shape(1) == nullptr) return {};
  OCTET_ASSIGN(auto output, broadcast(*context.shape(0), *context.shape(1)));
  context.set(0, dtype, output);
  if (!few_elements(output)) return {};
  const auto a = context.numbers(0);
  if (!a) return {};
  const auto b = context.numbers(1);
  if (!b) return {};
  if (auto result = broadcast_numbers(*a, *b, output, fn)) {
    context.set_numbers(0, std::move(*result));
  }
  return {};
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
  const auto dtype = context.dtype(0);
  const auto& op = context.node().op;
  if (op == "Not" && dtype != DType::undefined && dtype != DType::boolean) {
    return bad_input("the input is {}, not boolean", name(dtype));
  }
  context.set(0, dtype, input_shape(context, 0));
  const auto* shape = context.shape(0);
  if (shape == nullptr || !few_elements(*shape)) return {};
  auto numbers = context.numbers(0);
  if (!numbers) return {};
  for (auto& element : numbers->elements) element = map_number(op, dtype, element);
  context.set_numbers(0, std::move(*numbers));
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
  auto numbers = context.numbers(0);
  if (!numbers) return {};
  for (auto& element : numbers->elements) element = cast_number(dtype, element);
  context.set_numbers(0, std::move(*numbers));
  return {};
}

Status binary(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  const auto dtype = context.dtype(0) == DType::undefined ? context.dtype(1) : context.dtype(0);
  const bool c_modulo = context.node().op == "Mod" && context.node().int_attribute("fmod", 0) != 0;
  const std::string_view op = c_modulo ? std::string_view("FMod") : context.node().op;
  return broadcast_pair(context, dtype, [&](const PartialInt& a, const PartialInt& b) {
    return combine_numbers(op, dtype, a, b);
  });
}

/// The exponent may be of another type than the base.
Status power(Context& context) {
  return broadcast_pair(context, context.dtype(0),
                        [](const PartialInt&, const PartialInt&) { return PartialInt{}; });
}

Status comparison(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  return broadcast_pair(context, DType::boolean, [&](const PartialInt& a, const PartialInt& b) {
    return compare_numbers(context.node().op, a, b);
  });
}

Status logic(Context& context) {
  for (std::size_t i = 0; i < 2; ++i) {
    const auto dtype = context.dtype(i);
    if (dtype != DType::undefined && dtype != DType::boolean) {
      return bad_input("input {} is {}, not boolean", i, name(dtype));
    }
  }
  return broadcast_pair(context, DType::boolean, [&](const PartialInt& a, const PartialInt& b) {
    return combine_numbers(context.node().op, DType::boolean, a, b);
  });
}

Status where(Context& context) {
  const auto condition_type = context.dtype(0);
  if (condition_type != DType::undefined && condition_type != DType::boolean) {
    return bad_input("the condition is {}, not boolean", name(condition_type));
  }
  OCTET_TRY(check_same_type(context.dtype(1), context.dtype(2)));
  const auto dtype = context.dtype(1) == DType::undefined ? context.dtype(2) : context.dtype(1);
  context.set(0, dtype, std::nullopt);
  for (std::size_t i = 0; i < 3; ++i) {
    if (context.shape(i) == nullptr) return {};
  }
  OCTET_ASSIGN(auto output, broadcast(*context.shape(1), *context.shape(2)));
  OCTET_ASSIGN(output, broadcast(*context.shape(0), output));
  context.set(0, dtype, output);
  if (!few_elements(output)) return {};
  const auto condition = context.numbers(0);
  const auto yes = context.numbers(1);
  const auto no = context.numbers(2);
  if (!condition || !yes || !no) return {};
  const auto choice =
      strided_view(*condition, output, 0, broadcast_strides(condition->shape, output));
  std::size_t position = 0;
  auto chosen = broadcast_numbers(*yes, *no, output, [&](const PartialInt& a, const PartialInt& b) {
    const auto& flag = choice.elements[position++];
    if (!flag.is_known()) return a == b ? a : PartialInt{};
    return flag.value != 0 ? a : b;
  });
  if (chosen) context.set_numbers(0, std::move(*chosen));
  return {};
}

/// The slope broadcasts to the input, never the other way.
Status prelu(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  const auto* slope = context.shape(1);
  if (input == nullptr || slope == nullptr) return {};
  OCTET_ASSIGN(const auto widened, broadcast(*input, *slope));
  bool fits = widened.size() == input->size();
  for (std::size_t i = 0; fits && i < widened.size(); ++i) fits = !differ(widened[i], (*input)[i]);
  if (fits) return {};
  return bad_input("the slope {} does not broadcast to the input {}", text(*slope), text(*input));
}

Status variadic(Context& context) {
  const auto count = context.node().inputs.size();
  const auto dtype = context.dtype(0);
  for (std::size_t i = 1; i < count; ++i) OCTET_TRY(check_same_type(dtype, context.dtype(i)));
  context.set(0, dtype, std::nullopt);
  Shape output;
  for (std::size_t i = 0; i < count; ++i) {
    if (context.shape(i) == nullptr) return {};
    OCTET_ASSIGN(output, broadcast(output, *context.shape(i)));
  }
  context.set(0, dtype, output);
  if (!few_elements(output)) return {};
  std::string_view op = context.node().op;
  if (op == "Sum") op = "Add";
  auto result = context.numbers(0);
  for (std::size_t i = 1; i < count && result; ++i) {
    const auto next = context.numbers(i);
    if (!next) return {};
    result = broadcast_numbers(*result, *next, output, [&](const PartialInt& a, const auto& b) {
      return combine_numbers(op, dtype, a, b);
    });
  }
  if (result && result->shape == output) context.set_numbers(0, std::move(*result));
  return {};
}

Status cumulative_sum(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  const auto axis = context.known_integers(1);
  if (input == nullptr || !axis) return {};
  if (axis->size() != 1) return bad_input("the axis is not a single number");
  auto checked = normalize_axis(axis->front(), input->size());
  if (!checked) return tl::unexpected(checked.error());
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

/// y, its scale and its zero point.
Status dynamic_quantize_linear(Context& context) {
  context.set(0, DType::u8, input_shape(context, 0));
  context.set(1, DType::f32, Shape{});
  context.set(2, DType::u8, Shape{});
  return {};
}

}  // namespace octet::shape_rules

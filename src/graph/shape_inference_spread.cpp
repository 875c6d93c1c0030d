// Shape rules of operators that cut, repeat or generate elements.

#include <algorithm>
#include <cmath>

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// Extents of the parts of a Split, dynamic_dim or symbols where they are not known.
Result<Shape> part_extents(const Context& context, std::int64_t extent) {
  const auto& node = context.node();
  const auto count = static_cast<std::int64_t>(node.outputs.size());
  Shape parts(node.outputs.size(), dynamic_dim);
  if (context.input(1) != nullptr) {
    const auto given = context.integers(1);
    if (!given) return parts;
    if (given->elements.size() != parts.size()) {
      return bad_input("split has {} entries for {} outputs", given->elements.size(), count);
    }
    std::int64_t rest = extent;
    bool all_known = extent >= 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& part = given->elements[i];
      if (part.is_known() && (part.value < 0 || part.value > extent_limit)) {
        return bad_input("split contains {}, which is out of range", part.value);
      }
      if (part.kind != PartialInt::Kind::unknown) parts[i] = part.value;
      all_known = all_known && part.is_known();
      if (all_known) rest -= part.value;
      if (all_known && rest < 0) break;
    }
    if (all_known && rest != 0) return bad_input("split does not add up to the extent {}", extent);
    return parts;
  }
  if (node.int_attribute("num_outputs", count) != count) {
    return bad_input("num_outputs is {} where the node has {}",
                     node.int_attribute("num_outputs", count), count);
  }
  if (count == 1) parts[0] = extent;
  if (extent < 0) return parts;
  const auto part = (extent + count - 1) / count;
  const auto last = extent - part * (count - 1);
  if (last < 0) return bad_input("an extent of {} cannot be split into {} parts", extent, count);
  std::fill(parts.begin(), parts.end(), part);
  parts.back() = last;
  return parts;
}

/// Length of ONNX Range: max(ceil((limit - start) / delta), 0).
Result<std::int64_t> range_length(const PartialInt& start, const PartialInt& limit,
                                  const PartialInt& delta, DType dtype) {
  using Kind = PartialInt::Kind;
  if (start == known_number(0) && delta == known_number(1) && limit.kind == Kind::extent) {
    return limit.value;
  }
  if (delta == known_number(0) || (delta.is_real() && delta.real() == 0)) {
    return bad_input("the step is 0");
  }
  double steps = 0;
  if (start.is_known() && limit.is_known() && delta.is_known()) {
    __extension__ typedef __int128 Wide;
    const auto distance = Wide{limit.value} - start.value;
    if (distance == 0 || (distance < 0) != (delta.value < 0)) return 0;
    const auto step = delta.value < 0 ? -Wide{delta.value} : Wide{delta.value};
    const auto length = ((distance < 0 ? -distance : distance) + step - 1) / step;
    if (length > extent_limit) return bad_input("the range is too long");
    return static_cast<std::int64_t>(length);
  }
  if (!start.is_real() || !limit.is_real() || !delta.is_real()) return dynamic_dim;
  const auto distance = combine_numbers("Sub", dtype, limit, start);
  steps = std::ceil(distance.real() / delta.real());
  if (!(steps <= static_cast<double>(extent_limit))) return bad_input("the range is too long");
  return steps > 0 ? static_cast<std::int64_t>(steps) : 0;
}

std::optional<PartialInt> single_number(const Context& context, std::size_t i) {
  const auto numbers = context.numbers(i);
  if (!numbers || numbers->elements.size() != 1) return std::nullopt;
  return numbers->elements.front();
}

void tile_numbers(Context& context, const Shape& output) {
  const auto numbers = context.numbers(0);
  if (!numbers) return;
  const auto own = row_major_strides(numbers->shape);
  PartialInts tiled{output, {}};
  std::vector<std::int64_t> position(output.size(), 0);
  const auto count = element_count(output);
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t source = 0;
    for (std::size_t i = 0; i < output.size(); ++i) {
      source += position[i] % numbers->shape[i] * own[i];
    }
    tiled.elements.push_back(numbers->elements[static_cast<std::size_t>(source)]);
    for (std::size_t i = output.size(); i-- > 0;) {
      if (++position[i] < output[i]) break;
      position[i] = 0;
    }
  }
  context.set_numbers(0, std::move(tiled));
}

Result<std::int64_t> repeated(std::int64_t extent, const PartialInt& repeats) {
  if (repeats == known_number(1)) return extent;
  if (repeats.is_known() && repeats.value < 0) {
    return bad_input("the repeat count {} is negative", repeats.value);
  }
  if (extent == 1 && repeats.kind == PartialInt::Kind::extent) return repeats.value;
  if (extent == 0) return 0;
  if (extent < 0 || !repeats.is_known()) return dynamic_dim;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(extent, repeats.value, &result) || result > extent_limit) {
    return bad_input("an extent of {} cannot be repeated {} times", extent, repeats.value);
  }
  return result;
}

}  // namespace

Status split(Context& context) {
  const auto& node = context.node();
  const auto dtype = context.dtype(0);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) context.set(i, dtype, std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr || node.outputs.empty()) return {};
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", 0), input->size()));
  const auto position = static_cast<std::size_t>(axis);
  OCTET_ASSIGN(const auto parts, part_extents(context, (*input)[position]));
  const auto numbers = context.numbers(0);
  std::int64_t start = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Shape output = *input;
    output[position] = parts[i];
    context.set(i, dtype, output);
    if (!numbers || start < 0 || !few_elements(output)) continue;
    const auto strides = row_major_strides(numbers->shape);
    context.set_numbers(i, strided_view(*numbers, output, start * strides[position], strides));
    start = parts[i] < 0 ? -1 : start + parts[i];
  }
  return {};
}

Status expand(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  const auto wanted = context.integers(1);
  if (input == nullptr) return {};
  if (!wanted) {
    const auto* length = context.shape(1);
    if (length != nullptr && length->size() == 1 && (*length)[0] >= 0 && (*length)[0] <= 64) {
      const Shape target(static_cast<std::size_t>((*length)[0]), dynamic_dim);
      OCTET_ASSIGN(auto output, broadcast(*input, target));
      context.set(0, context.dtype(0), std::move(output));
    }
    return {};
  }
  if (wanted->shape.size() != 1) return bad_input("the shape input is not a list");
  Shape target;
  for (const auto& element : wanted->elements) {
    if (element.is_known() && element.value < 0) {
      return bad_input("the shape input contains {}", element.value);
    }
    target.push_back(element.kind == PartialInt::Kind::unknown ? dynamic_dim : element.value);
  }
  OCTET_ASSIGN(auto output, broadcast(*input, target));
  context.set(0, context.dtype(0), output);
  if (!few_elements(output)) return {};
  const auto numbers = context.numbers(0);
  if (!numbers) return {};
  context.set_numbers(0,
                      strided_view(*numbers, output, 0, broadcast_strides(numbers->shape, output)));
  return {};
}

Status tile(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  Shape output(input->size(), dynamic_dim);
  context.set(0, context.dtype(0), output);
  const auto repeats = context.integers(1);
  if (!repeats) return {};
  if (repeats->elements.size() != input->size()) {
    return bad_input("{} repeat counts for {}", repeats->elements.size(), text(*input));
  }
  for (std::size_t i = 0; i < output.size(); ++i) {
    OCTET_ASSIGN(output[i], repeated((*input)[i], repeats->elements[i]));
  }
  context.set(0, context.dtype(0), output);
  if (few_elements(output)) tile_numbers(context, output);
  return {};
}

Status range(Context& context) {
  const auto dtype = context.dtype(0);
  for (std::size_t i = 1; i < 3; ++i) OCTET_TRY(check_same_type(dtype, context.dtype(i)));
  context.set(0, dtype, Shape{dynamic_dim});
  const auto start = single_number(context, 0);
  const auto limit = single_number(context, 1);
  const auto delta = single_number(context, 2);
  if (!start || !limit || !delta) return {};
  OCTET_ASSIGN(const auto length, range_length(*start, *limit, *delta, dtype));
  const Shape output{length};
  context.set(0, dtype, output);
  if (!few_elements(output) || !start->is_known() || !delta->is_known()) return {};
  PartialInts numbers{output, {}};
  for (std::int64_t i = 0; i < length; ++i) {
    const auto offset = combine_numbers("Mul", dtype, known_number(i), *delta);
    numbers.elements.push_back(combine_numbers("Add", dtype, *start, offset));
  }
  context.set_numbers(0, std::move(numbers));
  return {};
}

/// Indices, depth, and the two values.
Status one_hot(Context& context) {
  context.set(0, context.dtype(2), std::nullopt);
  const auto* indices = context.shape(0);
  if (indices == nullptr) return {};
  const auto rank = indices->size() + 1;
  OCTET_ASSIGN(const auto axis, normalize_axis(context.node().int_attribute("axis", -1), rank));
  std::int64_t extent = dynamic_dim;
  if (const auto depth = single_number(context, 1)) {
    const auto whole = cast_number(DType::i64, *depth);
    if (whole.is_known() && (whole.value < 1 || whole.value > extent_limit)) {
      return bad_input("depth {} is out of range", whole.value);
    }
    if (whole.kind != PartialInt::Kind::unknown) extent = whole.value;
  }
  Shape output = *indices;
  output.insert(output.begin() + axis, extent);
  context.set(0, context.dtype(2), std::move(output));
  return {};
}

Status triangle(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  if (input != nullptr && input->size() < 2) {
    return bad_input("the input {} is not a matrix", text(*input));
  }
  return {};
}

}  // namespace octet::shape_rules

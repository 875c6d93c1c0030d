// Shape rules of operators that select, join or make elements.

#include <algorithm>

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// Start and element count that Slice takes of an axis of known extent.
struct Range {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
};

std::int64_t clamp_index(std::int64_t position, std::int64_t extent, std::int64_t low,
                         std::int64_t high) {
  // extent <= 2^40 and position < 0: the sum can't overflow.
  return std::clamp(position < 0 ? position + extent : position, low, high);
}

Range resolve_range(std::int64_t start, std::int64_t end, std::int64_t step, std::int64_t extent) {
  Range range{0, step, 0};
  if (extent == 0) return range;
  if (step > 0) {
    range.start = clamp_index(start, extent, 0, extent);
    const auto last = clamp_index(end, extent, 0, extent);
    if (last > range.start) range.count = (last - range.start - 1) / step + 1;
    return range;
  }
  range.start = clamp_index(start, extent, 0, extent - 1);
  const auto last = clamp_index(end, extent, -1, extent - 1);
  const auto stride = step == INT64_MIN ? INT64_MAX : -step;
  if (last < range.start) range.count = (range.start - last - 1) / stride + 1;
  return range;
}

struct SliceSpec {
  std::vector<std::int64_t> axes;
  std::vector<PartialInt> starts;
  std::vector<PartialInt> ends;
  std::vector<std::int64_t> steps;
};

/// nullopt when something that fixes the rank of the answer is not known.
Result<std::optional<SliceSpec>> read_slice(const Context& context, std::size_t rank) {
  const auto starts = context.integers(1);
  const auto ends = context.integers(2);
  if (!starts || !ends) return std::nullopt;
  const auto count = starts->elements.size();
  SliceSpec spec{{}, starts->elements, ends->elements, std::vector<std::int64_t>(count, 1)};
  if (context.input(4) != nullptr) {
    const auto steps = context.known_integers(4);
    if (!steps) return std::nullopt;
    spec.steps = *steps;
  }
  if (context.input(3) != nullptr) {
    const auto axes = context.known_integers(3);
    if (!axes) return std::nullopt;
    spec.axes = *axes;
  } else {
    for (std::size_t i = 0; i < count; ++i) spec.axes.push_back(static_cast<std::int64_t>(i));
  }
  if (spec.ends.size() != count || spec.axes.size() != count || spec.steps.size() != count) {
    return bad_input("starts, ends, axes and steps have different lengths");
  }
  std::vector<bool> seen(rank, false);
  for (std::size_t i = 0; i < count; ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis(spec.axes[i], rank));
    if (seen[static_cast<std::size_t>(axis)]) return bad_input("axis {} is named twice", axis);
    seen[static_cast<std::size_t>(axis)] = true;
    spec.axes[i] = axis;
    if (spec.steps[i] == 0) return bad_input("a step is 0");
  }
  return std::optional(std::move(spec));
}

/// Whether [start, end) of a dynamic dimension is all of it.
bool takes_everything(const PartialInt& start, const PartialInt& end, std::int64_t step,
                      std::int64_t symbol) {
  const bool to_end = (end.is_known() && end.value >= INT32_MAX) ||
                      end == PartialInt{PartialInt::Kind::extent, symbol};
  return step == 1 && start == PartialInt{PartialInt::Kind::known, 0} && to_end;
}

}  // namespace

Status concat(Context& context) {
  const auto count = context.node().inputs.size();
  context.set(0, context.dtype(0), std::nullopt);
  const auto* first = context.shape(0);
  if (first == nullptr) return {};
  const auto* given = context.node().attribute<std::int64_t>("axis");
  if (given == nullptr) return bad_input("attribute axis is missing");
  OCTET_ASSIGN(const auto axis, normalize_axis(*given, first->size()));
  const auto joined = static_cast<std::size_t>(axis);
  Shape output = *first;
  for (std::size_t n = 1; n < count; ++n) {
    const auto* shape = context.shape(n);
    OCTET_TRY(check_same_type(context.dtype(0), context.dtype(n)));
    if (shape == nullptr) {
      output[joined] = dynamic_dim;
      continue;
    }
    if (shape->size() != output.size()) {
      return bad_input("{} and {} differ in rank", text(*first), text(*shape));
    }
    for (std::size_t i = 0; i < output.size(); ++i) {
      const auto extent = (*shape)[i];
      if (i == joined) {
        output[i] = output[i] < 0 || extent < 0 ? dynamic_dim : output[i] + extent;
        if (output[i] > extent_limit) return bad_input("the result is absurdly large");
      } else if (output[i] >= 0 && extent >= 0 && output[i] != extent) {
        return bad_input("{} and {} differ outside axis {}", text(*first), text(*shape), axis);
      } else if (output[i] < 0) {
        output[i] = extent;
      }
    }
  }
  context.set(0, context.dtype(0), output);
  if (joined != 0 || !few_elements(output)) return {};
  PartialInts all{output, {}};
  for (std::size_t n = 0; n < count; ++n) {
    const auto part = context.numbers(n);
    if (!part) return {};
    all.elements.insert(all.elements.end(), part->elements.begin(), part->elements.end());
  }
  context.set_numbers(0, std::move(all));
  return {};
}

Status gather(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* data = context.shape(0);
  const auto* indices = context.shape(1);
  if (data == nullptr || indices == nullptr) return {};
  OCTET_ASSIGN(const auto axis,
               normalize_axis(context.node().int_attribute("axis", 0), data->size()));
  const auto position = data->begin() + axis;
  Shape output(data->begin(), position);
  output.insert(output.end(), indices->begin(), indices->end());
  output.insert(output.end(), position + 1, data->end());
  context.set(0, context.dtype(0), output);
  const auto wanted = context.known_integers(1);
  if (!wanted) return {};
  const auto extent = *position;
  for (const auto i : *wanted) {
    if (extent >= 0 && (i < -extent || i >= extent)) {
      return bad_input("index {} is outside the extent {} of axis {}", i, extent, axis);
    }
  }
  const auto integers = context.numbers(0);
  if (!integers || data->size() != 1 || extent < 0) return {};
  PartialInts chosen{output, {}};
  for (const auto i : *wanted) {
    chosen.elements.push_back(integers->elements[static_cast<std::size_t>(i < 0 ? i + extent : i)]);
  }
  context.set_numbers(0, std::move(chosen));
  return {};
}

Status slice(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  context.set(0, context.dtype(0), Shape(input->size(), dynamic_dim));
  OCTET_ASSIGN(const auto spec, read_slice(context, input->size()));
  if (!spec) return {};
  Shape output = *input;
  std::vector<Range> ranges;
  for (const auto extent : *input) ranges.push_back({0, 1, extent});
  for (std::size_t i = 0; i < spec->axes.size(); ++i) {
    const auto axis = static_cast<std::size_t>(spec->axes[i]);
    const auto extent = (*input)[axis];
    const auto& start = spec->starts[i];
    const auto& end = spec->ends[i];
    if (extent < 0 || !start.is_known() || !end.is_known()) {
      if (!takes_everything(start, end, spec->steps[i], extent)) output[axis] = dynamic_dim;
      continue;
    }
    ranges[axis] = resolve_range(start.value, end.value, spec->steps[i], extent);
    output[axis] = ranges[axis].count;
  }
  context.set(0, context.dtype(0), output);
  const auto integers = context.numbers(0);
  if (!integers || !is_static(output)) return {};
  auto strides = row_major_strides(integers->shape);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    offset += ranges[i].start * strides[i];
    // A step that is never taken may be huge.
    strides[i] = ranges[i].count > 1 ? strides[i] * ranges[i].step : 0;
  }
  context.set_numbers(0, strided_view(*integers, output, offset, strides));
  return {};
}

Status pad(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  Shape output(input->size(), dynamic_dim);
  context.set(0, context.dtype(0), output);
  const auto pads = context.known_integers(1);
  std::vector<std::int64_t> axes;
  if (context.input(3) != nullptr) {
    const auto given = context.known_integers(3);
    if (!given) return {};
    axes = *given;
  } else {
    for (std::size_t i = 0; i < input->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  if (!pads) return {};
  if (pads->size() != 2 * axes.size()) {
    return bad_input("pads has {} entries where {} are needed", pads->size(), 2 * axes.size());
  }
  output = *input;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis(axes[i], input->size()));
    const auto begin = (*pads)[i];
    const auto end = (*pads)[i + axes.size()];
    if (begin > extent_limit || end > extent_limit || begin < -extent_limit ||
        end < -extent_limit) {
      return bad_input("pads {} and {} are absurdly large", begin, end);
    }
    auto& dim = output[static_cast<std::size_t>(axis)];
    if (begin == 0 && end == 0) continue;
    if (dim < 0) {
      dim = dynamic_dim;
    } else if (dim + begin + end < 0) {
      return bad_input("pads {} and {} take more than the extent {} of axis {}", begin, end, dim,
                       axis);
    } else {
      dim += begin + end;
    }
  }
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status shape_of(Context& context) {
  context.set(0, DType::i64, Shape{dynamic_dim});
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  const auto rank = static_cast<std::int64_t>(input->size());
  const auto limit = [&](std::int64_t i) {
    return i < 0 ? std::max<std::int64_t>(i + rank, 0) : std::min(i, rank);
  };
  const auto start = limit(context.node().int_attribute("start", 0));
  const auto end = std::max(start, limit(context.node().int_attribute("end", rank)));
  PartialInts extents{{end - start}, {}};
  for (auto i = start; i < end; ++i) {
    const auto dim = (*input)[static_cast<std::size_t>(i)];
    extents.elements.push_back({dim < 0 ? PartialInt::Kind::extent : PartialInt::Kind::known, dim});
  }
  context.set(0, DType::i64, extents.shape);
  context.set_numbers(0, std::move(extents));
  return {};
}

Status constant(Context& context) {
  const auto value = constant_node_value(context.node());
  // Strings and sparse tensors stay opaque; they are nobody's shape.
  if (!value) return {};
  context.set(0, value->dtype(), value->shape());
  if (auto numbers = tensor_numbers(*value)) context.set_numbers(0, std::move(*numbers));
  return {};
}

Status constant_of_shape(Context& context) {
  const auto* fill = context.node().attribute<Tensor>("value");
  const auto dtype = fill == nullptr ? DType::f32 : fill->dtype();
  if (fill != nullptr && fill->size() != 1) return bad_input("value is not a single element");
  context.set(0, dtype, std::nullopt);
  const auto wanted = context.integers(0);
  if (!wanted) return {};
  if (wanted->shape.size() != 1) return bad_input("the shape input is not a list");
  Shape output;
  for (const auto& element : wanted->elements) {
    if (element.is_known() && element.value < 0) {
      return bad_input("the shape input contains {}", element.value);
    }
    output.push_back(element.kind == PartialInt::Kind::unknown ? dynamic_dim : element.value);
  }
  context.set(0, dtype, output);
  const auto value =
      fill == nullptr ? std::optional(PartialInts{{}, {real_number(0)}}) : tensor_numbers(*fill);
  if (!value || !few_elements(output)) return {};
  context.set_numbers(0, strided_view(*value, output, 0, Shape(output.size(), 0)));
  return {};
}

}  // namespace octet::shape_rules

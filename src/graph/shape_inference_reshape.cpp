// Shape rules of operators that only rename or reorder dimensions.

#include <algorithm>

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// Sets the output's shape; integers known of the input stay known under it.
void set_view(Context& context, Shape output) {
  context.set(0, context.dtype(0), output);
  auto integers = context.numbers(0);
  if (!integers || !is_static(output)) return;
  const auto count = checked_element_count(output);
  if (!count || *count != static_cast<std::int64_t>(integers->elements.size())) return;
  integers->shape = std::move(output);
  context.set_numbers(0, std::move(*integers));
}

/// Takes the extents that both lists share out of both.
void cancel_common(Shape& a, Shape& b) {
  for (auto it = a.begin(); it != a.end();) {
    const auto match = *it == dynamic_dim ? b.end() : std::find(b.begin(), b.end(), *it);
    if (match == b.end()) {
      ++it;
    } else {
      b.erase(match);
      it = a.erase(it);
    }
  }
}

bool any_dynamic(const Shape& shape) {
  return std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; });
}

bool has_zero(const Shape& shape) {
  return std::find(shape.begin(), shape.end(), 0) != shape.end();
}

/// Product of the known extents beside the dynamic ones.
struct Factors {
  std::int64_t known = 1;
  Shape dynamic;
};

Result<Factors> factorize(const Shape& shape) {
  Factors factors;
  Shape known;
  for (const auto dim : shape) (dim < 0 ? factors.dynamic : known).push_back(dim);
  OCTET_ASSIGN(factors.known, extent_product(known));
  return factors;
}

/// The extent that makes `others` times it equal `input`; dynamic_dim when that is not known.
Result<std::int64_t> missing_extent(Shape input, Shape others) {
  cancel_common(input, others);
  OCTET_ASSIGN(const auto have, factorize(input));
  OCTET_ASSIGN(const auto used, factorize(others));
  if (!used.dynamic.empty() || have.dynamic.size() > 1) return dynamic_dim;
  if (have.dynamic.size() == 1) {
    return have.known == used.known ? have.dynamic.front() : dynamic_dim;
  }
  if (used.known == 0) return bad_input("an extent cannot be inferred beside an extent of 0");
  if (have.known % used.known != 0) {
    return bad_input("{} elements do not divide by {}", have.known, used.known);
  }
  return have.known / used.known;
}

struct Target {
  Shape shape;
  int unknown = 0;  ///< entries that only the element count can fix: -1, or not known
  std::size_t position = 0;
};

Result<Target> read_target(const Shape& input, const PartialInts& wanted, bool allow_zero) {
  Target target;
  for (std::size_t i = 0; i < wanted.elements.size(); ++i) {
    const auto& element = wanted.elements[i];
    auto dim = element.kind == PartialInt::Kind::unknown ? dynamic_dim : element.value;
    if (element.is_known() && dim < -1) return bad_input("the new shape contains {}", dim);
    if (element.is_known() && dim == 0 && !allow_zero) {
      if (i >= input.size()) {
        return bad_input("the new shape copies dimension {}, which the input does not have", i);
      }
      dim = input[i];
    }
    if (dim == dynamic_dim) {
      ++target.unknown;
      target.position = i;
    }
    target.shape.push_back(dim);
  }
  const auto inferred = std::count(wanted.elements.begin(), wanted.elements.end(),
                                   PartialInt{PartialInt::Kind::known, -1});
  if (inferred > 1) return bad_input("the new shape asks for more than one inferred extent");
  return target;
}

/// Axes, normalized against `rank`, each once.
Result<std::vector<bool>> axis_set(const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::vector<bool> chosen(rank, false);
  for (const auto given : axes) {
    OCTET_ASSIGN(const auto axis, normalize_axis(given, rank));
    if (chosen[static_cast<std::size_t>(axis)]) return bad_input("axis {} is named twice", axis);
    chosen[static_cast<std::size_t>(axis)] = true;
  }
  return chosen;
}

Result<std::vector<std::size_t>> read_permutation(const Node& node, std::size_t rank) {
  const auto given = node.ints_attribute("perm");
  std::vector<std::size_t> permutation(rank);
  if (given.empty()) {
    for (std::size_t i = 0; i < rank; ++i) permutation[i] = rank - 1 - i;
    return permutation;
  }
  if (given.size() != rank) {
    return bad_input("perm has {} entries for rank {}", given.size(), rank);
  }
  OCTET_TRY(axis_set(given, rank));
  for (std::size_t i = 0; i < rank; ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis(given[i], rank));
    permutation[i] = static_cast<std::size_t>(axis);
  }
  return permutation;
}

}  // namespace

Status reshape(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto wanted = context.integers(1);
  const auto* input = context.shape(0);
  if (!wanted) {
    // The length of the shape input is the rank of the result.
    const auto* length = context.shape(1);
    if (length != nullptr && length->size() == 1 && (*length)[0] >= 0 && (*length)[0] <= 64) {
      context.set(0, context.dtype(0), Shape(static_cast<std::size_t>((*length)[0]), dynamic_dim));
    }
    return {};
  }
  if (wanted->shape.size() != 1) {
    return bad_input("the new shape is not a list but of shape {}", text(wanted->shape));
  }
  if (input == nullptr) {
    context.set(0, context.dtype(0), Shape(wanted->elements.size(), dynamic_dim));
    return {};
  }
  const bool allow_zero = context.node().int_attribute("allowzero", 0) != 0;
  OCTET_ASSIGN(auto target, read_target(*input, *wanted, allow_zero));
  if (target.unknown == 1) {
    auto others = target.shape;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(target.position));
    OCTET_ASSIGN(target.shape[target.position], missing_extent(*input, others));
  } else if (target.unknown == 0) {
    auto have = *input;
    auto want = target.shape;
    cancel_common(have, want);
    OCTET_ASSIGN(const auto before, extent_product(have));
    OCTET_ASSIGN(const auto after, extent_product(want));
    const bool both_empty = has_zero(*input) && has_zero(target.shape);
    if (before != after && !both_empty && !any_dynamic(have) && !any_dynamic(want)) {
      return bad_input("{} cannot become {}", text(*input), text(target.shape));
    }
  }
  set_view(context, std::move(target.shape));
  return {};
}

Status flatten(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) {
    context.set(0, context.dtype(0), Shape{dynamic_dim, dynamic_dim});
    return {};
  }
  const auto rank = static_cast<std::int64_t>(input->size());
  auto axis = context.node().int_attribute("axis", 1);
  if (axis < -rank || axis > rank) return bad_input("axis {} is outside rank {}", axis, rank);
  if (axis < 0) axis += rank;
  const auto middle = input->begin() + static_cast<std::ptrdiff_t>(axis);
  OCTET_ASSIGN(const auto rows, extent_product(Shape(input->begin(), middle)));
  OCTET_ASSIGN(const auto columns, extent_product(Shape(middle, input->end())));
  set_view(context, {rows, columns});
  return {};
}

Status squeeze(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  std::vector<bool> removed(input->size(), false);
  const auto axes = context.axes(1);
  if (axes) {
    OCTET_ASSIGN(removed, axis_set(*axes, input->size()));
  } else if (context.has_axes(1) || any_dynamic(*input)) {
    return {};
  } else {
    for (std::size_t i = 0; i < removed.size(); ++i) removed[i] = (*input)[i] == 1;
  }
  Shape output;
  for (std::size_t i = 0; i < input->size(); ++i) {
    if (!removed[i]) {
      output.push_back((*input)[i]);
    } else if ((*input)[i] >= 0 && (*input)[i] != 1) {
      return bad_input("dimension {} of {} is not 1", i, text(*input));
    }
  }
  set_view(context, std::move(output));
  return {};
}

Status unsqueeze(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  const auto axes = context.axes(1);
  if (input == nullptr || !axes) return {};
  OCTET_ASSIGN(const auto added, axis_set(*axes, input->size() + axes->size()));
  Shape output;
  auto next = input->begin();
  for (const bool is_new : added) output.push_back(is_new ? 1 : *next++);
  set_view(context, std::move(output));
  return {};
}

Status transpose(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  OCTET_ASSIGN(const auto permutation, read_permutation(context.node(), input->size()));
  Shape output;
  for (const auto axis : permutation) output.push_back((*input)[axis]);
  context.set(0, context.dtype(0), output);
  const auto integers = context.numbers(0);
  if (!integers) return {};
  const auto own = row_major_strides(integers->shape);
  std::vector<std::int64_t> strides;
  for (const auto axis : permutation) strides.push_back(own[axis]);
  context.set_numbers(0, strided_view(*integers, output, 0, strides));
  return {};
}

}  // namespace octet::shape_rules

// ArgMax, ArgMin, TopK and CumSum: operators along one axis.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/float/element_types.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

/// A dense tensor as [outer, count, inner] around an axis.
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t count = 1;
  std::int64_t inner = 1;
};

AxisView axis_view(const Shape& shape, int axis) {
  const auto middle = shape.begin() + axis;
  return {element_count(Shape(shape.begin(), middle)), *middle,
          element_count(Shape(middle + 1, shape.end()))};
}

/// Whether a comes before b, largest first; NaN counts as larger than all.
template <class T>
bool larger(T a, T b) {
  return a > b || (a != a && b == b);
}

template <class T>
void find_extremes(const T* x, const AxisView& view, bool largest, bool last, std::int64_t* out) {
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t i = 0; i < view.inner; ++i) {
      const T* line = x + o * view.count * view.inner + i;
      std::int64_t best = 0;
      for (std::int64_t k = 1; k < view.count; ++k) {
        const T value = line[k * view.inner];
        const T current = line[best * view.inner];
        const bool better = largest ? value > current : value < current;
        if (better || (last && value == current)) best = k;
      }
      out[o * view.inner + i] = best;
    }
  }
}

struct ArgOptions {
  std::int64_t axis = 0;
  bool keep = true;
  bool last = false;
  bool largest = true;
};

Outputs run_arg(const Tensor& x, const ArgOptions& options) {
  const Shape shape = x.rank() == 0 ? Shape{1} : x.shape();
  OCTET_ASSIGN(const int axis, normalize_axis(options.axis, shape.size()));
  const auto view = axis_view(shape, axis);
  Shape result = x.shape();
  if (x.rank() > 0) {
    if (options.keep) {
      result[static_cast<std::size_t>(axis)] = 1;
    } else {
      result.erase(result.begin() + axis);
    }
  }
  OCTET_ASSIGN(Tensor out, new_tensor(DType::i64, result));
  if (out.size() == 0) return one_output(std::move(out));
  if (view.count == 0) {
    return bad_input("axis {} of {} has no elements", axis, to_string(x.shape()));
  }
  OCTET_TRY(with_number(x.dtype(), [&]<class T>(T) -> Status {
    find_extremes(x.data<T>(), view, options.largest, options.last,
                  out.mutable_data<std::int64_t>());
    return {};
  }));
  return one_output(std::move(out));
}

template <bool largest>
MadeOp make_arg(const OpSource& source) {
  const Node& node = source.node;
  const ArgOptions options{node.int_attribute("axis", 0), node.int_attribute("keepdims", 1) != 0,
                           node.int_attribute("select_last_index", 0) != 0, largest};
  return make_function(source, InputOrder::plain,
                       [options](Inputs inputs) { return run_arg(inputs[0]->tensor, options); });
}

struct TopKOptions {
  std::int64_t axis = -1;
  bool largest = true;
  bool sorted = true;
};

/// The first k of each line in order of value, then of index; `sorted` 0 allows any order, and this
/// one is as good.
template <class T>
void select_top(const T* x, const AxisView& view, std::int64_t k, bool largest, T* values,
                std::int64_t* indices) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(view.count));
  for (std::int64_t line = 0; line < view.outer * view.inner; ++line) {
    const std::int64_t o = line / view.inner;
    const std::int64_t i = line % view.inner;
    const T* from = x + o * view.count * view.inner + i;
    const auto before = [&](std::int64_t a, std::int64_t b) {
      const T va = from[a * view.inner];
      const T vb = from[b * view.inner];
      if (larger(va, vb)) return largest;
      if (larger(vb, va)) return !largest;
      return a < b;
    };
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
    for (std::int64_t n = 0; n < k; ++n) {
      const std::int64_t target = (o * k + n) * view.inner + i;
      indices[target] = order[static_cast<std::size_t>(n)];
      values[target] = from[indices[target] * view.inner];
    }
  }
}

Outputs run_top_k(Inputs inputs, const TopKOptions& options) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_ASSIGN(const auto counts, integer_input(*inputs[1], "the input K"));
  if (counts.size() != 1) return bad_input("K has {} elements, expected one", counts.size());
  OCTET_ASSIGN(const int axis, normalize_axis(options.axis, x.shape().size()));
  const auto view = axis_view(x.shape(), axis);
  const std::int64_t k = counts.front();
  if (k < 0 || k > view.count) {
    return bad_input("K is {} for axis {} of {}", k, axis, to_string(x.shape()));
  }
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] = k;
  OCTET_ASSIGN(Tensor values, new_tensor(x.dtype(), shape));
  OCTET_ASSIGN(Tensor indices, new_tensor(DType::i64, shape));
  OCTET_TRY(with_number(x.dtype(), [&]<class T>(T) -> Status {
    if (values.size() == 0) return {};
    select_top(x.data<T>(), view, k, options.largest, values.mutable_data<T>(),
               indices.mutable_data<std::int64_t>());
    return {};
  }));
  std::vector<Activation> outputs;
  outputs.push_back({std::move(values)});
  outputs.push_back({std::move(indices)});
  return outputs;
}

MadeOp make_top_k(const OpSource& source) {
  const Node& node = source.node;
  const TopKOptions options{node.int_attribute("axis", -1), node.int_attribute("largest", 1) != 0,
                            node.int_attribute("sorted", 1) != 0};
  return make_function(source, InputOrder::plain,
                       [options](Inputs inputs) { return run_top_k(inputs, options); });
}

/// Running sums of lines, f32 in double so that long lines stay accurate.
template <class T>
void accumulate(const T* x, const AxisView& view, bool exclusive, bool reverse, T* out) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, T>;
  for (std::int64_t line = 0; line < view.outer * view.inner; ++line) {
    const std::int64_t offset = line / view.inner * view.count * view.inner + line % view.inner;
    Sum sum{0};
    for (std::int64_t n = 0; n < view.count; ++n) {
      const std::int64_t k = reverse ? view.count - 1 - n : n;
      const std::int64_t at = offset + k * view.inner;
      const Sum next = wrapping_add(sum, static_cast<Sum>(x[at]));
      out[at] = static_cast<T>(exclusive ? sum : next);
      sum = next;
    }
  }
}

Outputs run_cum_sum(Inputs inputs, bool exclusive, bool reverse) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_ASSIGN(const auto axes, integer_input(*inputs[1], "the axis input"));
  if (axes.size() != 1) return bad_input("the axis has {} elements, expected one", axes.size());
  OCTET_ASSIGN(const int axis, normalize_axis(axes.front(), x.shape().size()));
  OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), x.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  OCTET_TRY(with_number(x.dtype(), [&]<class T>(T) -> Status {
    accumulate(x.data<T>(), axis_view(x.shape(), axis), exclusive, reverse, out.mutable_data<T>());
    return {};
  }));
  return one_output(std::move(out));
}

MadeOp make_cum_sum(const OpSource& source) {
  const bool exclusive = source.node.int_attribute("exclusive", 0) != 0;
  const bool reverse = source.node.int_attribute("reverse", 0) != 0;
  return make_function(source, InputOrder::plain, [exclusive, reverse](Inputs inputs) {
    return run_cum_sum(inputs, exclusive, reverse);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"ArgMax", 1, 1, make_arg<true>},
    {"ArgMin", 1, 1, make_arg<false>},
    {"CumSum", 2, 1, make_cum_sum},
    {"TopK", 2, 2, make_top_k},
});

}  // namespace

std::span<const OpEntry> selection_entries() { return entries; }

}  // namespace octet::float_engine

// Reductions over axes, and global average pooling.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/float/convert.h"
#include "engine/float/element_types.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

enum class Reduction { sum, mean, maximum, minimum, product, l1, l2, sum_square };

/// Sums of floating-point elements are kept in double, integers wrap in their own type.
template <Reduction op, class T>
struct Reducer {
  static constexpr bool ordered = op == Reduction::maximum || op == Reduction::minimum;
  using Sum = std::conditional_t<std::is_floating_point_v<T> && !ordered, double, T>;

  static Sum start() {
    using Limits = std::numeric_limits<Sum>;
    if constexpr (op == Reduction::product) return Sum{1};
    if constexpr (op == Reduction::maximum) {
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    }
    if constexpr (op == Reduction::minimum) {
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    }
    return Sum{0};
  }

  static void add(Sum& total, T element) {
    const auto x = static_cast<Sum>(element);
    if constexpr (op == Reduction::maximum) {
      total = x > total ? x : total;
    } else if constexpr (op == Reduction::minimum) {
      total = x < total ? x : total;
    } else if constexpr (op == Reduction::product) {
      total = wrapping_multiply(total, x);
    } else if constexpr (op == Reduction::l1) {
      total = x < Sum{0} ? wrapping_subtract(total, x) : wrapping_add(total, x);
    } else if constexpr (op == Reduction::l2 || op == Reduction::sum_square) {
      total = wrapping_add(total, wrapping_multiply(x, x));
    } else {
      total = wrapping_add(total, x);
    }
  }

  static T finish(Sum total, std::int64_t count) {
    if constexpr (op == Reduction::mean) {
      if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(total / static_cast<double>(count));
      } else if (count == 0) {
        return T{0};
      } else if constexpr (std::is_signed_v<T>) {
        // Counts that T cannot hold exceed every sum.
        return static_cast<T>(static_cast<std::int64_t>(total) / count);
      } else {
        return static_cast<T>(static_cast<std::uint64_t>(total) /
                              static_cast<std::uint64_t>(count));
      }
    }
    if constexpr (op == Reduction::l2) {
      // A sum that has wrapped around may be negative.
      return convert<T>(std::sqrt(static_cast<double>(total)));
    }
    return static_cast<T>(total);
  }
};

/// Dense input, merged where neighbouring dimensions are reduced or kept alike.
struct Walk {
  std::vector<std::int64_t> extents;
  std::vector<std::int64_t> steps;  ///< of the output; 0 along reduced dimensions
  std::int64_t reduced = 1;         ///< elements that go into one
};

Walk make_walk(const Shape& shape, const std::vector<bool>& mask) {
  Walk walk;
  std::int64_t step = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (mask[d]) walk.reduced *= shape[d];
    const bool merges = d + 1 < shape.size() && mask[d] == mask[d + 1];
    if (merges) {
      walk.extents.back() *= shape[d];
    } else {
      walk.extents.push_back(shape[d]);
      walk.steps.push_back(mask[d] ? 0 : step);
    }
    if (!mask[d]) step *= shape[d];
  }
  if (walk.extents.empty()) {
    walk.extents = {1};
    walk.steps = {1};
  }
  std::reverse(walk.extents.begin(), walk.extents.end());
  std::reverse(walk.steps.begin(), walk.steps.end());
  return walk;
}

/// Calls fn(input offset, output offset) for each innermost run.
template <class Fn>
void for_each_run(const Walk& walk, Fn fn) {
  const std::size_t inner = walk.extents.size() - 1;
  if (element_count(walk.extents) == 0) return;
  std::vector<std::int64_t> index(inner, 0);
  std::int64_t from = 0;
  std::int64_t to = 0;
  while (true) {
    fn(from, to);
    from += walk.extents[inner];
    std::size_t d = inner;
    while (d > 0) {
      --d;
      to += walk.steps[d];
      if (++index[d] < walk.extents[d]) break;
      to -= walk.steps[d] * walk.extents[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (inner == 0) return;
  }
}

template <Reduction op, class T>
void reduce_run(const T* x, std::int64_t n, bool reduced, typename Reducer<op, T>::Sum* totals) {
  using R = Reducer<op, T>;
  constexpr bool adds = op == Reduction::sum || op == Reduction::mean;
  if constexpr (std::is_same_v<T, float> && adds) {
    if (reduced) {
      *totals += loops::sum(x, n);
    } else {
      loops::add_into_double(totals, x, n);
    }
    return;
  } else if constexpr (std::is_same_v<T, float> &&
                       (op == Reduction::l2 || op == Reduction::sum_square)) {
    if (reduced) {
      *totals += loops::sum_of_squares(x, n, 0.0);
      return;
    }
  } else if constexpr (std::is_same_v<T, float> && op == Reduction::maximum) {
    if (reduced) {
      R::add(*totals, loops::largest(x, n));
      return;
    }
  }
  for (std::int64_t i = 0; i < n; ++i) R::add(totals[reduced ? 0 : i], x[i]);
}

template <Reduction op, class T>
Status reduce(const T* x, const Walk& walk, Tensor& out) {
  using R = Reducer<op, T>;
  using Sum = typename R::Sum;
  OCTET_ASSIGN(Tensor totals, new_tensor(DTypeOf<Sum>::value, out.shape()));
  Sum* sums = totals.mutable_data<Sum>();
  std::fill_n(sums, totals.size(), R::start());
  const std::int64_t n = walk.extents.back();
  const bool reduced = walk.steps.back() == 0;
  for_each_run(walk, [&](std::int64_t from, std::int64_t to) {
    reduce_run<op, T>(x + from, n, reduced, sums + to);
  });
  T* results = out.mutable_data<T>();
  for (std::int64_t i = 0; i < out.size(); ++i) results[i] = R::finish(sums[i], walk.reduced);
  return {};
}

template <Reduction op>
Status reduce_any(const Activation& x, const Walk& walk, Tensor& out) {
  const auto run = [&]<class T>(T) { return reduce<op, T>(x.tensor.data<T>(), walk, out); };
  const DType dtype = x.tensor.dtype();
  if constexpr (op == Reduction::maximum || op == Reduction::minimum) {
    // Of booleans: any and all. Their bytes are 0 or not, so the largest or smallest will do.
    OCTET_TRY(with_number_or_bool(dtype, run));
    if (dtype == DType::boolean) {
      auto* bytes = out.mutable_data<std::uint8_t>();
      for (std::int64_t i = 0; i < out.size(); ++i) bytes[i] = bytes[i] != 0;
    }
    return {};
  }
  return with_number(dtype, run);
}

template <Reduction op>
Outputs reduce_over(const Activation& input, const std::vector<bool>& mask, bool keep) {
  const Shape& logical = input.tensor.shape();
  // Dropping dimensions leaves plain order only if the channels stay where plain order has them.
  const Activation x = keep ? input : to_plain(input);
  Shape kept(logical.size());
  Shape dropped;
  std::vector<bool> memory_mask(logical.size());
  for (std::size_t i = 0; i < logical.size(); ++i) {
    kept[i] = mask[i] ? 1 : logical[i];
    if (!mask[i]) dropped.push_back(logical[i]);
    memory_mask[static_cast<std::size_t>(memory_axis(static_cast<int>(i), x.channels_last))] =
        mask[i];
  }
  const Walk walk = make_walk(memory_shape(x), memory_mask);
  OCTET_ASSIGN(Tensor out, new_tensor(input.tensor.dtype(), keep ? kept : dropped));
  if (out.size() == 0) return one_output(std::move(out), x.channels_last);
  if (op == Reduction::mean && walk.reduced == 0) return bad_input("a mean over no elements");
  OCTET_TRY(reduce_any<op>(x, walk, out));
  return one_output(std::move(out), x.channels_last);
}

MadeOp make_global_average(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    OCTET_TRY(require_f32(inputs[0]->tensor, "its input"));
    const auto rank = inputs[0]->tensor.shape().size();
    if (rank < 3) {
      return bad_input("input of shape {} has no spatial dimensions",
                       to_string(inputs[0]->tensor.shape()));
    }
    std::vector<bool> mask(rank, true);
    mask[0] = mask[1] = false;
    return reduce_over<Reduction::mean>(*inputs[0], mask, true);
  });
}

/// Axes come as input 1 or, before opset 18, as an attribute; none of them means all, or nothing
/// with noop_with_empty_axes (each element is then reduced by itself).
template <Reduction op>
MadeOp make_reduce(const OpSource& source) {
  const Node& node = source.node;
  const bool keep = node.int_attribute("keepdims", 1) != 0;
  const bool noop = node.int_attribute("noop_with_empty_axes", 0) != 0;
  return make_function(
      source, InputOrder::any,
      [keep, noop, attribute = node.ints_attribute("axes")](Inputs inputs) -> Outputs {
        auto axes = attribute;
        if (inputs.size() > 1 && inputs[1] != nullptr) {
          OCTET_ASSIGN(axes, integer_input(*inputs[1], "the axes input"));
        }
        const auto rank = inputs[0]->tensor.shape().size();
        std::vector<bool> mask(rank, axes.empty() && !noop);
        for (const auto axis : axes) {
          OCTET_ASSIGN(const int normal, normalize_axis(axis, rank));
          mask[static_cast<std::size_t>(normal)] = true;
        }
        return reduce_over<op>(*inputs[0], mask, keep);
      });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"GlobalAveragePool", 1, 1, make_global_average},
    {"ReduceL1", 1, 1, make_reduce<Reduction::l1>},
    {"ReduceL2", 1, 1, make_reduce<Reduction::l2>},
    {"ReduceMax", 1, 1, make_reduce<Reduction::maximum>},
    {"ReduceMean", 1, 1, make_reduce<Reduction::mean>},
    {"ReduceMin", 1, 1, make_reduce<Reduction::minimum>},
    {"ReduceProd", 1, 1, make_reduce<Reduction::product>},
    {"ReduceSum", 1, 1, make_reduce<Reduction::sum>},
    {"ReduceSumSquare", 1, 1, make_reduce<Reduction::sum_square>},
});

}  // namespace

std::span<const OpEntry> reduction_entries() { return entries; }

}  // namespace octet::float_engine

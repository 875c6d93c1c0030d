// ReduceSum and ReduceMean over any axes: y = factor * sum(x), dx = factor * dy for all summands.

#include <algorithm>
#include <array>

#include "engine/gradient/walk.h"

namespace octet::gradient {
namespace {

/// Of input and output, whose steps are 0 along the reduced axes.
using ReductionWalk = Walk<2>;

OCTET_VECTOR_CLONES void add_scaled(const ReductionWalk& walk, const float* in, float factor,
                                    float* sums) {
  const auto [count, steps] = walk.last();
  for_each_run(walk, [&, count = count, from = steps[0], to = steps[1]](const auto& at) {
    const float* x = in + at[0];
    float* y = sums + at[1];
    if (from == 1 && to == 1) {
      for (std::int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
    } else {
      for (std::int64_t i = 0; i < count; ++i) y[i * to] += factor * x[i * from];
    }
  });
}

OCTET_VECTOR_CLONES void spread(const ReductionWalk& walk, const float* g, float factor, float* out,
                                bool add) {
  const auto [count, steps] = walk.last();
  for_each_run(walk, [&, count = count, to = steps[0], from = steps[1]](const auto& at) {
    const float* gradient = g + at[1];
    float* x = out + at[0];
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = factor * gradient[i * from];
      x[i * to] = add ? x[i * to] + value : value;
    }
  });
}

class ReductionGradient : public GradientOp {
 public:
  ReductionGradient(ReductionWalk walk, std::int64_t outputs, float factor)
      : walk_(std::move(walk)), outputs_(outputs), factor_(factor) {}

  Status forward(const ForwardCall& call) const override {
    std::fill_n(call.output, outputs_, 0.0F);
    add_scaled(walk_, call.inputs[0], factor_, call.output);
    return {};
  }
  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    if (to) spread(walk_, call.output_gradient, factor_, to.data, to.add);
    return {};
  }

 private:
  ReductionWalk walk_;
  std::int64_t outputs_;
  float factor_;
};

/// Which axes are reduced.
Result<std::vector<bool>> reduced_axes(const OpSource& source) {
  const auto rank = source.inputs[0].size();
  auto axes = source.node.ints_attribute("axes");
  if (const Tensor* given = source.constant(1)) {
    OCTET_ASSIGN(axes, to_int64(*given));
  } else if (source.has(1)) {
    return bad_input("its axes are no constants");
  }
  const bool all = axes.empty() && source.node.int_attribute("noop_with_empty_axes", 0) == 0;
  std::vector<bool> reduced(rank, all);
  for (const auto axis : axes) {
    const auto at = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
    if (at < 0 || at >= static_cast<std::int64_t>(rank)) {
      return bad_input("axis {} of rank {}", axis, rank);
    }
    reduced[static_cast<std::size_t>(at)] = true;
  }
  return reduced;
}

template <bool mean>
MadeOp make_reduction(const OpSource& source) {
  const Shape& in = source.inputs[0];
  OCTET_ASSIGN(const auto reduced, reduced_axes(source));
  const bool keeps = source.node.int_attribute("keepdims", 1) != 0;
  const auto steps = source.output_strides();
  std::vector<std::int64_t> to(in.size(), 0);
  std::int64_t summands = 1;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (reduced[i]) summands *= in[i];
    if (!reduced[i]) to[i] = steps[keeps ? i : kept++];
  }
  const float factor = mean ? 1.0F / static_cast<float>(summands) : 1.0F;
  return std::make_unique<ReductionGradient>(make_walk<2>(in, {source.strides(0), to}),
                                             element_count(source.output), factor);
}

constexpr auto entries = std::to_array<OpEntry>(
    {{"ReduceMean", make_reduction<true>}, {"ReduceSum", make_reduction<false>}});

}  // namespace

std::span<const OpEntry> reduction_entries() { return entries; }

}  // namespace octet::gradient

// Operators that pick by numbers without a gradient: Gather by indices, Where by a condition.

#include <algorithm>
#include <array>

#include "engine/gradient/walk.h"

namespace octet::gradient {
namespace {

/// Gather along an axis of row-major data [outer, extent, inner]: the result is
/// [outer, indices, inner], and the gradient of what several indices pick is the sum of theirs.
class GatherGradient : public GradientOp {
 public:
  GatherGradient(const Shape& data, std::size_t axis, std::int64_t indices)
      : extent_(data[axis]),
        inner_(
            element_count(Shape(data.begin() + static_cast<std::ptrdiff_t>(axis) + 1, data.end()))),
        outer_(element_count(data) / std::max<std::int64_t>(extent_ * inner_, 1)),
        indices_(indices) {}

  Status forward(const ForwardCall& call) const override {
    return for_each_row(call.inputs[1], [&](std::int64_t from, std::int64_t to) {
      std::copy_n(call.inputs[0] + from, inner_, call.output + to);
    });
  }

  Status backward(const BackwardCall& call) const override {
    const Target& target = call.input_gradients[0];
    if (!target) return {};
    if (!target.add) std::fill_n(target.data, outer_ * extent_ * inner_, 0.0F);
    return for_each_row(call.inputs[1], [&](std::int64_t from, std::int64_t to) {
      deliver({target.data + from, true}, call.output_gradient + to, inner_);
    });
  }

 private:
  /// Calls fn(offset of a row of the data, offset of the row of the result).
  template <class Fn>
  Status for_each_row(const float* indices, const Fn& fn) const {
    for (std::int64_t i = 0; i < indices_; ++i) {
      const auto given = static_cast<std::int64_t>(indices[i]);
      const auto index = given < 0 ? given + extent_ : given;
      if (index < 0 || index >= extent_) {
        return bad_input("index {} of an axis of {} elements", given, extent_);
      }
      for (std::int64_t o = 0; o < outer_; ++o) {
        fn((o * extent_ + index) * inner_, (o * indices_ + i) * inner_);
      }
    }
    return {};
  }

  std::int64_t extent_;
  std::int64_t inner_;
  std::int64_t outer_;
  std::int64_t indices_;
};

MadeOp make_gather(const OpSource& source) {
  const Shape& data = source.inputs[0];
  const auto given = source.node.int_attribute("axis", 0);
  const auto axis = given < 0 ? given + static_cast<std::int64_t>(data.size()) : given;
  if (axis < 0 || axis >= static_cast<std::int64_t>(data.size())) {
    return bad_input("axis {} of rank {}", given, data.size());
  }
  return in_row_major(source, std::make_unique<GatherGradient>(data, static_cast<std::size_t>(axis),
                                                               element_count(source.inputs[1])));
}

/// Of result, condition and the two values, all broadcast.
using ChoiceWalk = Walk<4>;

class WhereGradient : public GradientOp {
 public:
  WhereGradient(const OpSource& source, ChoiceWalk walk) : walk_(std::move(walk)) {
    for (const auto& shape : source.inputs) counts_.push_back(element_count(shape));
  }

  Status forward(const ForwardCall& call) const override {
    const auto [count, steps] = walk_.last();
    for_each_run(walk_, [&, count = count, steps = steps](const auto& at) {
      for (std::int64_t i = 0; i < count; ++i) {
        const auto chosen = choice(call.inputs[0], at[1] + i * steps[1]);
        call.output[at[0] + i * steps[0]] =
            call.inputs[chosen][at[chosen + 1] + i * steps[chosen + 1]];
      }
    });
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    for (const std::size_t k : {1U, 2U}) {
      const Target& to = call.input_gradients[k];
      if (to && !to.add) std::fill_n(to.data, counts_[k], 0.0F);
    }
    const auto [count, steps] = walk_.last();
    for_each_run(walk_, [&, count = count, steps = steps](const auto& at) {
      for (std::int64_t i = 0; i < count; ++i) {
        const auto chosen = choice(call.inputs[0], at[1] + i * steps[1]);
        const Target& to = call.input_gradients[chosen];
        if (!to) continue;
        to.data[at[chosen + 1] + i * steps[chosen + 1]] +=
            call.output_gradient[at[0] + i * steps[0]];
      }
    });
    return {};
  }

 private:
  /// Which input the condition chooses.
  static std::size_t choice(const float* condition, std::int64_t at) {
    return condition[at] != 0 ? 1 : 2;
  }

  ChoiceWalk walk_;
  std::vector<std::int64_t> counts_;
};

MadeOp make_where(const OpSource& source) {
  OCTET_TRY(check_broadcast(source));
  return std::make_unique<WhereGradient>(
      source,
      make_walk<4>(source.output, {source.output_strides(), broadcast_steps(source, 0),
                                   broadcast_steps(source, 1), broadcast_steps(source, 2)}));
}

constexpr auto entries = std::to_array<OpEntry>({{"Gather", make_gather}, {"Where", make_where}});

}  // namespace

std::span<const OpEntry> selection_entries() { return entries; }

}  // namespace octet::gradient

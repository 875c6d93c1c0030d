// Operators that move elements: each element of the result comes from one place, and its gradient
// goes back there. Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout (as in inference),
// Transpose, Concat, Split, Slice, Expand.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/gradient/walk.h"

namespace octet::gradient {
namespace {

/// Elements that lie in another order, or the same one.
struct Move {
  Shape extents;
  std::vector<std::int64_t> from;  ///< steps in the source, by axis of `extents`
  std::vector<std::int64_t> to;    ///< steps in the destination
  std::int64_t source_start = 0;
  std::int64_t target_start = 0;
};

/// Of destination and source.
Walk<2> walk_of(const Move& move) {
  auto walk = make_walk<2>(move.extents, {move.to, move.from});
  walk.start = {move.target_start, move.source_start};
  return walk;
}

class MoveGradient : public GradientOp {
 public:
  /// One move for each input that is moved.
  MoveGradient(const OpSource& source, const std::vector<Move>& moves) {
    for (const auto& move : moves) walks_.push_back(walk_of(move));
    for (const auto& shape : source.inputs) input_counts_.push_back(element_count(shape));
  }

  Status forward(const ForwardCall& call) const override {
    for (std::size_t k = 0; k < walks_.size(); ++k) {
      const auto [count, steps] = walks_[k].last();
      for_each_run(walks_[k], [&, count = count, to = steps[0], from = steps[1]](const auto& at) {
        const float* in = call.inputs[k] + at[1];
        float* out = call.output + at[0];
        for (std::int64_t i = 0; i < count; ++i) out[i * to] = in[i * from];
      });
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    for (std::size_t k = 0; k < walks_.size(); ++k) {
      const Target& target = call.input_gradients[k];
      if (!target) continue;
      // What a slice leaves out gets no gradient.
      if (!target.add) std::fill_n(target.data, input_counts_[k], 0.0F);
      const auto [count, steps] = walks_[k].last();
      for_each_run(walks_[k], [&, count = count, to = steps[0], from = steps[1]](const auto& at) {
        const float* g = call.output_gradient + at[0];
        float* sums = target.data + at[1];
        for (std::int64_t i = 0; i < count; ++i) sums[i * from] += g[i * to];
      });
    }
    return {};
  }

 private:
  std::vector<Walk<2>> walks_;
  std::vector<std::int64_t> input_counts_;
};

MadeOp move_one(const OpSource& source, const Move& move) {
  return std::make_unique<MoveGradient>(source, std::vector<Move>{move});
}

/// The same elements in the same logical order under another shape.
class CopyGradient : public GradientOp {
 public:
  explicit CopyGradient(std::int64_t count) : count_(count) {}
  Status forward(const ForwardCall& call) const override {
    std::copy_n(call.inputs[0], count_, call.output);
    return {};
  }
  Status backward(const BackwardCall& call) const override {
    deliver(call.input_gradients[0], call.output_gradient, count_);
    return {};
  }

 private:
  std::int64_t count_;
};

std::vector<std::int64_t> row_major(const Shape& shape) { return strides_of(shape, true); }

MadeOp make_reshape(const OpSource& source) {
  const Shape& in = source.inputs[0];
  const Shape& out = source.output;
  const bool in_rows = is_row_major(in, source.parameters[0]);
  const bool out_rows = is_row_major(out, source.output_parameter);
  if (in == out || (in_rows && out_rows)) {
    return std::make_unique<CopyGradient>(element_count(out));
  }
  if (out_rows) return move_one(source, {in, source.strides(0), row_major(in)});
  if (in_rows) return move_one(source, {out, row_major(out), source.output_strides()});
  return in_row_major(source, std::make_unique<CopyGradient>(element_count(out)));
}

MadeOp make_transpose(const OpSource& source) {
  std::vector<std::int64_t> order(source.inputs[0].size());
  std::iota(order.rbegin(), order.rend(), 0);
  order = source.node.ints_attribute("perm", order);
  const auto steps = source.strides(0);
  std::vector<std::int64_t> from;
  for (const auto axis : order) from.push_back(steps[static_cast<std::size_t>(axis)]);
  return move_one(source, {source.output, from, source.output_strides()});
}

/// An axis that counts from the end where it is negative.
std::size_t axis_of(std::int64_t axis, std::size_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
}

MadeOp make_concat(const OpSource& source) {
  const auto axis = axis_of(source.node.int_attribute("axis", 0), source.output.size());
  const auto steps = source.output_strides();
  std::vector<Move> moves;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < source.inputs.size(); ++i) {
    const Shape& in = source.inputs[i];
    moves.push_back({in, source.strides(i), steps, 0, start * steps[axis]});
    start += in[axis];
  }
  return std::make_unique<MoveGradient>(source, moves);
}

/// Output number output_index: what begins where the outputs before it end.
MadeOp make_split(const OpSource& source) {
  const auto axis = axis_of(source.node.int_attribute("axis", 0), source.output.size());
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < source.output_index; ++i) {
    const auto& shape = source.output_shapes[i];
    if (!shape || shape->size() <= axis || (*shape)[axis] < 0) {
      return bad_input("the extent of its output {} is not known", i);
    }
    begin += (*shape)[axis];
  }
  Move move{source.output, source.strides(0), source.output_strides()};
  move.source_start = begin * move.from[axis];
  return move_one(source, move);
}

MadeOp make_expand(const OpSource& source) {
  return move_one(source, {source.output, broadcast_steps(source, 0), source.output_strides()});
}

Result<std::vector<std::int64_t>> numbers(const OpSource& source, std::size_t input,
                                          std::vector<std::int64_t> otherwise) {
  if (!source.has(input)) return otherwise;
  const Tensor* given = source.constant(input);
  if (given == nullptr) return bad_input("where it cuts is not constant");
  return to_int64(*given);
}

MadeOp make_slice(const OpSource& source) {
  const Shape& in = source.inputs[0];
  OCTET_ASSIGN(const auto starts, numbers(source, 1, {}));
  std::vector<std::int64_t> all(starts.size());
  std::iota(all.begin(), all.end(), 0);
  OCTET_ASSIGN(const auto axes, numbers(source, 3, all));
  OCTET_ASSIGN(const auto steps, numbers(source, 4, std::vector<std::int64_t>(starts.size(), 1)));
  Move move{source.output, source.strides(0), source.output_strides()};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = axis_of(axes[i], in.size());
    const auto extent = in[axis];
    // ONNX: negative positions count from the end, and positions outside are moved to the edge.
    const auto start = std::clamp<std::int64_t>(starts[i] < 0 ? starts[i] + extent : starts[i], 0,
                                                steps[i] < 0 ? extent - 1 : extent);
    move.source_start += start * move.from[axis];
    move.from[axis] *= steps[i];
  }
  return move_one(source, move);
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Slice", make_slice},
    {"Reshape", make_reshape},
    {"Flatten", make_reshape},
    {"Squeeze", make_reshape},
    {"Unsqueeze", make_reshape},
    {"Identity", make_reshape},
    {"Dropout", make_reshape},
    {"Transpose", make_transpose},
    {"Concat", make_concat},
    {"Split", make_split},
    {"Expand", make_expand},
});

}  // namespace

std::span<const OpEntry> movement_entries() { return entries; }

}  // namespace octet::gradient

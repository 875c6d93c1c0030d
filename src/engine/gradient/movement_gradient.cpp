// Operators that move elements: each element of the result comes from one place, and its gradient
// goes back there. Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout (as in inference),
// Transpose, Concat, Slice, Pad with a constant, Resize that repeats elements.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/gradient/gradient_op.h"

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

/// Calls fn(source offset, destination offset) for every element, in order of the extents.
template <class Fn>
void for_each_element(const Move& move, const Fn& fn) {
  const auto count = element_count(move.extents);
  const auto rank = move.extents.size();
  std::vector<std::int64_t> at(rank, 0);
  auto from = move.source_start;
  auto to = move.target_start;
  for (std::int64_t n = 0; n < count; ++n) {
    fn(from, to);
    for (std::size_t i = rank; i-- > 0;) {
      from += move.from[i];
      to += move.to[i];
      if (++at[i] < move.extents[i]) break;
      from -= at[i] * move.from[i];
      to -= at[i] * move.to[i];
      at[i] = 0;
    }
  }
}

class MoveGradient : public GradientOp {
 public:
  /// One move for each input. `filled`: what the output holds where nothing moves to.
  MoveGradient(const OpSource& source, std::vector<Move> moves, std::optional<float> filled)
      : moves_(std::move(moves)), filled_(filled), count_(element_count(source.output)) {
    for (const auto& shape : source.inputs) input_counts_.push_back(element_count(shape));
  }

  Status forward(const ForwardCall& call) const override {
    if (filled_) std::fill_n(call.output, count_, *filled_);
    for (std::size_t i = 0; i < moves_.size(); ++i) {
      const float* in = call.inputs[i];
      for_each_element(moves_[i],
                       [&](std::int64_t from, std::int64_t to) { call.output[to] = in[from]; });
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    for (std::size_t i = 0; i < moves_.size(); ++i) {
      const Target& target = call.input_gradients[i];
      if (!target) continue;
      // Padding may cut elements off: they get no gradient.
      if (!target.add) std::fill_n(target.data, input_counts_[i], 0.0F);
      const float* g = call.output_gradient;
      for_each_element(moves_[i],
                       [&](std::int64_t from, std::int64_t to) { target.data[from] += g[to]; });
    }
    return {};
  }

 private:
  std::vector<Move> moves_;
  std::optional<float> filled_;
  std::int64_t count_;
  std::vector<std::int64_t> input_counts_;
};

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

/// Whether the memory order of a computed value is row-major.
bool is_row_major(const Shape& shape) {
  return shape.size() != 4 || shape[1] == 1 || shape[2] * shape[3] == 1;
}

MadeOp make_reshape(const OpSource& source) {
  const Shape& in = source.inputs[0];
  const Shape& out = source.output;
  if (in == out || (is_row_major(in) && is_row_major(out))) {
    return std::make_unique<CopyGradient>(element_count(out));
  }
  if (is_row_major(out)) {
    return std::make_unique<MoveGradient>(
        source, std::vector<Move>{{in, strides_of(in, false), row_major(in)}}, std::nullopt);
  }
  if (is_row_major(in)) {
    return std::make_unique<MoveGradient>(
        source, std::vector<Move>{{out, row_major(out), strides_of(out, false)}}, std::nullopt);
  }
  return bad_input("octet does not train a reshape from {} to {}", to_string(in), to_string(out));
}

MadeOp make_transpose(const OpSource& source) {
  const Shape& in = source.inputs[0];
  std::vector<std::int64_t> order(in.size());
  std::iota(order.rbegin(), order.rend(), 0);
  order = source.node.ints_attribute("perm", order);
  const auto steps = strides_of(in, false);
  std::vector<std::int64_t> from;
  for (const auto axis : order) from.push_back(steps[static_cast<std::size_t>(axis)]);
  return std::make_unique<MoveGradient>(
      source, std::vector<Move>{{source.output, from, strides_of(source.output, false)}},
      std::nullopt);
}

MadeOp make_concat(const OpSource& source) {
  const auto rank = static_cast<std::int64_t>(source.output.size());
  auto axis = source.node.int_attribute("axis", 0);
  if (axis < 0) axis += rank;
  const auto steps = strides_of(source.output, false);
  std::vector<Move> moves;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < source.inputs.size(); ++i) {
    const Shape& in = source.inputs[i];
    moves.push_back({in, strides_of(in, source.parameters[i]), steps, 0,
                     start * steps[static_cast<std::size_t>(axis)]});
    start += in[static_cast<std::size_t>(axis)];
  }
  return std::make_unique<MoveGradient>(source, std::move(moves), std::nullopt);
}

MadeOp make_pad(const OpSource& source) {
  const Shape& in = source.inputs[0];
  const Tensor* given = source.constant(1);
  if (given == nullptr || source.node.string_attribute("mode", "constant") != "constant" ||
      source.node.input(3) != ValueId::none) {
    return bad_input("octet trains paddings by a constant alone, of all axes");
  }
  OCTET_ASSIGN(const auto pads, to_int64(*given));
  const Tensor* value = source.constant(2);
  const float filled = value != nullptr && value->size() == 1 ? value->data<float>()[0] : 0.0F;
  Move move{in, strides_of(in, false), strides_of(source.output, false)};
  for (std::size_t i = 0; i < in.size(); ++i) {
    const auto before = pads[i];
    const auto after = pads[in.size() + i];
    const auto skipped = std::max<std::int64_t>(-before, 0);
    move.source_start += skipped * move.from[i];
    move.target_start += std::max<std::int64_t>(before, 0) * move.to[i];
    move.extents[i] -= skipped + std::max<std::int64_t>(-after, 0);
  }
  return std::make_unique<MoveGradient>(source, std::vector<Move>{move}, filled);
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
  Move move{source.output, strides_of(in, false), strides_of(source.output, false)};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto rank = static_cast<std::int64_t>(in.size());
    const auto axis = static_cast<std::size_t>(axes[i] < 0 ? axes[i] + rank : axes[i]);
    const auto extent = in[axis];
    // ONNX: negative positions count from the end, and positions outside are moved to the edge.
    const auto start = std::clamp<std::int64_t>(starts[i] < 0 ? starts[i] + extent : starts[i], 0,
                                                steps[i] < 0 ? extent - 1 : extent);
    move.source_start += start * move.from[axis];
    move.from[axis] *= steps[i];
  }
  return std::make_unique<MoveGradient>(source, std::vector<Move>{move}, std::nullopt);
}

/// Whether output element i of an axis that grows by a whole factor f reads input element floor(i /
/// f). half_pixel reads round((i + 1/2) / f - 1/2), which is that one, and no tie for any f.
bool repeats(const Node& node) {
  if (node.string_attribute("mode", "nearest") != "nearest") return false;
  const auto transform = node.string_attribute("coordinate_transformation_mode", "half_pixel");
  const auto rounding = node.string_attribute("nearest_mode", "round_prefer_floor");
  if (transform == "asymmetric") return rounding == "floor";
  return transform == "half_pixel" && rounding.starts_with("round_prefer");
}

MadeOp make_resize(const OpSource& source) {
  const Shape& in = source.inputs[0];
  const auto steps = strides_of(in, false);
  const auto out_steps = strides_of(source.output, false);
  Move move;
  bool whole = repeats(source.node);
  for (std::size_t i = 0; i < in.size(); ++i) {
    whole = whole && source.output[i] % in[i] == 0;
    const auto factor = source.output[i] / in[i];
    move.extents.insert(move.extents.end(), {in[i], factor});
    move.from.insert(move.from.end(), {steps[i], 0});
    move.to.insert(move.to.end(), {factor * out_steps[i], out_steps[i]});
  }
  if (!whole) return bad_input("octet trains a Resize that repeats elements alone");
  return std::make_unique<MoveGradient>(source, std::vector<Move>{move}, std::nullopt);
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
    {"Pad", make_pad},
    {"Resize", make_resize},
});

}  // namespace

std::span<const OpEntry> movement_entries() { return entries; }

}  // namespace octet::gradient

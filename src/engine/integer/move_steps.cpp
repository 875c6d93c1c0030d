// Data movement on codes.

#include <algorithm>
#include <cstring>

#include "engine/integer/step.h"
#include "kernels/copy.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// A copy whose dimensions go by the storage order of `order_of` (the dense side), with extents and
/// strides given by logical dimension.
kernels::StridedCopy ordered_copy(const std::vector<std::size_t>& order, const Shape& extent,
                                  const std::vector<std::int64_t>& in_stride,
                                  const std::vector<std::int64_t>& out_stride) {
  kernels::StridedCopy copy;
  for (const auto dim : order) {
    copy.extent.push_back(extent[dim]);
    copy.in_stride.push_back(in_stride[dim]);
    copy.out_stride.push_back(out_stride[dim]);
  }
  return kernels::simplified(copy);
}

kernels::StridedCopy storage_to_plain(const StoredShape& stored) {
  std::vector<std::size_t> order(stored.shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  return ordered_copy(order, stored.shape, storage_strides(stored),
                      row_major_strides(stored.shape));
}

kernels::StridedCopy plain_to_storage(const StoredShape& stored) {
  return ordered_copy(storage_order(stored), stored.shape, row_major_strides(stored.shape),
                      storage_strides(stored));
}

class ReshapeStep final : public Step {
 public:
  ReshapeStep(NodeId id, int input, int output) : Step(id, {input}, {output}) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const StoredShape& in = shapes[at(inputs[0])];
    const StoredShape& out = shapes[at(outputs[0])];
    const auto bytes = static_cast<std::size_t>(element_count(in.shape));
    if (element_count(out.shape) != static_cast<std::int64_t>(bytes)) {
      return bad_input("cannot reshape {} to {}", to_string(in.shape), to_string(out.shape));
    }
    BoundStep bound;
    const bool same = in.shape == out.shape && in.channels_last == out.channels_last;
    if (same || (is_plain(in) && is_plain(out))) {
      bound.run = [this, bytes](RunContext& context) -> Status {
        std::memcpy(context.codes[at(outputs[0])], context.codes[at(inputs[0])], bytes);
        return {};
      };
      return bound;
    }
    const bool twice = !is_plain(in) && !is_plain(out);
    if (twice) bound.scratch_bytes = bytes;
    bound.run = [this, twice, first = storage_to_plain(in), second = plain_to_storage(out),
                 from_plain = is_plain(in)](RunContext& context) -> Status {
      const auto* source = context.codes[at(inputs[0])];
      auto* target = context.codes[at(outputs[0])];
      if (twice) {
        auto* middle = reinterpret_cast<std::uint8_t*>(context.scratch);
        kernels::copy_strided(first, source, middle);
        kernels::copy_strided(second, middle, target);
      } else {
        kernels::copy_strided(from_plain ? second : first, source, target);
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_reshape_any_any_1"; }
};

/// What a Transpose, Slice or Pad copies: `region` elements from `in_offset` to `out_offset`.
struct Movement {
  std::vector<std::int64_t> in_stride;  ///< by output dimension
  std::int64_t in_offset = 0;
  std::int64_t out_offset = 0;
  Shape region;
  bool covers_output = true;
};

Result<std::vector<std::int64_t>> constant_ints(const Graph& graph, const Node& node,
                                                std::size_t input) {
  if (node.input(input) == ValueId::none) return std::vector<std::int64_t>{};
  const auto* constant = graph.constant(node.input(input));
  if (constant == nullptr) return internal_error("input {} is not constant", input);
  return to_int64(*constant);
}

class MoveStep final : public Step {
 public:
  MoveStep(NodeId id, Node description, std::uint8_t fill, int input, int output)
      : Step(id, {input}, {output}), description_(std::move(description)), fill_(fill) {}

  Status read_constants(const Graph& graph) {
    for (std::size_t i = 1; i < description_.inputs.size(); ++i) {
      if (description_.is("Pad") && i == 2) continue;  // the fill value
      OCTET_ASSIGN(arguments_[i], constant_ints(graph, description_, i));
    }
    return {};
  }

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const StoredShape& out = shapes[at(outputs[0])];
    OCTET_ASSIGN(const auto move, movement(shapes[at(inputs[0])], out));
    BoundStep bound;
    const std::int64_t bytes = element_count(out.shape);
    const bool empty = element_count(move.region) == 0;
    auto copy = ordered_copy(storage_order(out), move.region, move.in_stride, storage_strides(out));
    bound.run = [this, copy = std::move(copy), move, bytes, empty](RunContext& context) -> Status {
      auto* target = context.codes[at(outputs[0])];
      if (!move.covers_output) std::fill_n(target, bytes, fill_);
      if (empty) return {};
      kernels::copy_strided(copy, context.codes[at(inputs[0])] + move.in_offset,
                            target + move.out_offset);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return description_.is("Transpose") ? "u8_transpose_any_any_1"
           : description_.is("Slice")   ? "u8_slice_any_any_1"
                                        : "u8_pad_any_any_1";
  }

 private:
  [[nodiscard]] Result<Movement> movement(const StoredShape& in, const StoredShape& out) const {
    if (in.shape.size() != out.shape.size()) {
      return bad_input("{} from {}", to_string(out.shape), to_string(in.shape));
    }
    if (description_.is("Transpose")) return transpose(in, out.shape);
    if (description_.is("Slice")) return slice(in, out.shape);
    return pad(in, out);
  }

  [[nodiscard]] Result<Movement> transpose(const StoredShape& stored, const Shape& out) const {
    const Shape& in = stored.shape;
    const auto strides = storage_strides(stored);
    auto permutation = description_.ints_attribute("perm");
    if (permutation.empty()) {
      for (std::size_t i = in.size(); i-- > 0;) {
        permutation.push_back(static_cast<std::int64_t>(i));
      }
    }
    if (permutation.size() != in.size()) return bad_input("perm does not fit {}", to_string(in));
    Movement move;
    move.region = out;
    for (std::size_t i = 0; i < in.size(); ++i) {
      OCTET_ASSIGN(const int from, normalize_axis(permutation[i], in.size()));
      if (out[i] != in[at(from)]) return bad_input("perm does not fit {}", to_string(out));
      move.in_stride.push_back(strides[at(from)]);
    }
    return move;
  }

  /// Axes of the arguments: given, or 0, 1, ...
  [[nodiscard]] Result<std::vector<std::size_t>> axes(std::size_t input, std::size_t count,
                                                      std::size_t rank) const {
    std::vector<std::size_t> result;
    const auto& given = arguments_[input];
    if (!given.empty() && given.size() != count) return bad_input("axes do not fit");
    for (std::size_t i = 0; i < count; ++i) {
      const auto axis = given.empty() ? static_cast<std::int64_t>(i) : given[i];
      OCTET_ASSIGN(const int normal, normalize_axis(axis, rank));
      result.push_back(at(normal));
    }
    return result;
  }

  [[nodiscard]] Result<Movement> slice(const StoredShape& stored, const Shape& out) const {
    const Shape& in = stored.shape;
    const auto& starts = arguments_[1];
    const auto& steps = arguments_[4];
    OCTET_ASSIGN(const auto along, axes(3, starts.size(), in.size()));
    Movement move;
    move.region = out;
    move.in_stride = storage_strides(stored);
    for (std::size_t i = 0; i < along.size(); ++i) {
      const std::size_t axis = along[i];
      const std::int64_t step = i < steps.size() ? steps[i] : 1;
      const std::int64_t extent = in[axis];
      std::int64_t start = starts[i] < 0 ? starts[i] + extent : starts[i];
      start = std::clamp<std::int64_t>(start, 0, step > 0 ? extent : extent - 1);
      if (out[axis] > 0) {
        const std::int64_t last = start + (out[axis] - 1) * step;
        if (start >= extent || last < 0 || last >= extent) {
          return bad_input("slice of {} does not give {}", to_string(in), to_string(out));
        }
        move.in_offset += start * move.in_stride[axis];
      }
      move.in_stride[axis] *= step;
    }
    return move;
  }

  [[nodiscard]] Result<Movement> pad(const StoredShape& stored,
                                     const StoredShape& stored_out) const {
    const Shape& in = stored.shape;
    const Shape& out = stored_out.shape;
    const auto& pads = arguments_[1];
    const std::size_t count = pads.size() / 2;
    OCTET_ASSIGN(const auto along, axes(3, count, in.size()));
    Movement move;
    move.covers_output = false;
    move.region = in;
    move.in_stride = storage_strides(stored);
    const auto out_stride = storage_strides(stored_out);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t axis = along[i];
      // A negative pad crops.
      const std::int64_t before = pads[i];
      const std::int64_t after = pads[count + i];
      if (in[axis] + before + after != out[axis]) {
        return bad_input("padding {} does not give {}", to_string(in), to_string(out));
      }
      move.region[axis] += std::min<std::int64_t>(before, 0) + std::min<std::int64_t>(after, 0);
      move.region[axis] = std::max<std::int64_t>(move.region[axis], 0);
      if (before < 0) move.in_offset -= before * move.in_stride[axis];
      if (before > 0) move.out_offset += before * out_stride[axis];
    }
    return move;
  }

  Node description_;
  std::uint8_t fill_;
  std::vector<std::int64_t> arguments_[5];
};

/// Concat, and Split the other way round: parts that lie along one axis of a whole.
class PartsStep final : public Step {
 public:
  enum class Direction : std::uint8_t { join, split };

  PartsStep(NodeId id, Direction direction, std::int64_t axis, std::vector<int> in,
            std::vector<int> out)
      : Step(id, std::move(in), std::move(out)), direction_(direction), axis_(axis) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const bool joins = direction_ == Direction::join;
    const StoredShape& whole = shapes[at(joins ? outputs[0] : inputs[0])];
    OCTET_ASSIGN(const int normal, normalize_axis(axis_, whole.shape.size()));
    const auto axis = at(normal);
    struct Part {
      kernels::StridedCopy copy;
      std::int64_t offset = 0;
    };
    std::vector<Part> parts;
    std::int64_t position = 0;
    const auto whole_stride = storage_strides(whole);
    for (const int buffer : joins ? inputs : outputs) {
      const StoredShape& part = shapes[at(buffer)];
      if (part.shape.size() != whole.shape.size() ||
          position + part.shape[axis] > whole.shape[axis]) {
        return bad_input("{} is no part of {}", to_string(part.shape), to_string(whole.shape));
      }
      const auto part_stride = storage_strides(part);
      const auto order = storage_order(part);
      parts.push_back({joins ? ordered_copy(order, part.shape, part_stride, whole_stride)
                             : ordered_copy(order, part.shape, whole_stride, part_stride),
                       position * whole_stride[axis]});
      position += part.shape[axis];
    }
    BoundStep bound;
    bound.run = [this, joins, parts = std::move(parts)](RunContext& context) -> Status {
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto* from = context.codes[at(joins ? inputs[i] : inputs[0])];
        auto* to = context.codes[at(joins ? outputs[0] : outputs[i])];
        kernels::copy_strided(parts[i].copy, joins ? from : from + parts[i].offset,
                              joins ? to + parts[i].offset : to);
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return direction_ == Direction::join ? "u8_concat_any_any_1" : "u8_split_any_any_1";
  }

 private:
  Direction direction_;
  std::int64_t axis_;
};

/// The code of a Pad's padding; of 0 where none is given.
Result<std::uint8_t> fill_code(const Graph& graph, const Node& node,
                               const kernels::CodeParams& params) {
  float fill = 0;
  if (node.is("Pad") && node.input(2) != ValueId::none) {
    OCTET_ASSIGN(const auto value, to_f32(*graph.constant(node.input(2))));
    if (value.size() == 1) fill = value.data<float>()[0];
  }
  std::uint8_t code = 0;
  kernels::quantize_codes(params, &fill, &code, 1);
  return code;
}

}  // namespace

StepPointer make_reshape_step(NodeId node, int input, int output) {
  return std::make_unique<ReshapeStep>(node, input, output);
}

Result<StepPointer> make_move_step(const Graph& graph, NodeId node,
                                   const kernels::CodeParams& params, int input, int output) {
  OCTET_ASSIGN(const auto fill, fill_code(graph, graph.node(node), params));
  auto step = std::make_unique<MoveStep>(node, graph.node(node), fill, input, output);
  OCTET_TRY(step->read_constants(graph));
  return StepPointer(std::move(step));
}

StepPointer make_concat_step(NodeId node, std::int64_t axis, std::vector<int> inputs, int output) {
  return std::make_unique<PartsStep>(node, PartsStep::Direction::join, axis, std::move(inputs),
                                     std::vector<int>{output});
}

StepPointer make_split_step(NodeId node, std::int64_t axis, int input, std::vector<int> outputs) {
  return std::make_unique<PartsStep>(node, PartsStep::Direction::split, axis,
                                     std::vector<int>{input}, std::move(outputs));
}

}  // namespace octet::integer

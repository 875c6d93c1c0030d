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
  return copy;
}

/// Whether storage order and row-major order of a shape are the same bytes.
bool is_plain(const Shape& shape) {
  return shape.size() != 4 || shape[1] == 1 || shape[2] * shape[3] == 1;
}

kernels::StridedCopy storage_to_plain(const Shape& shape) {
  const auto plain = row_major_strides(shape);
  std::vector<std::size_t> order(shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  return ordered_copy(order, shape, storage_strides(shape), plain);
}

kernels::StridedCopy plain_to_storage(const Shape& shape) {
  return ordered_copy(storage_order(shape), shape, row_major_strides(shape),
                      storage_strides(shape));
}

class ReshapeStep final : public Step {
 public:
  ReshapeStep(NodeId id, int input, int output) : Step(id, {input}, {output}) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const Shape& in = shapes[at(inputs[0])];
    const Shape& out = shapes[at(outputs[0])];
    const auto bytes = static_cast<std::size_t>(element_count(in));
    if (element_count(out) != static_cast<std::int64_t>(bytes)) {
      return bad_input("cannot reshape {} to {}", to_string(in), to_string(out));
    }
    BoundStep bound;
    if (in == out || (is_plain(in) && is_plain(out))) {
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
  [[nodiscard]] std::string kernel() const override { return "u8_reshape_any_any_1__reference"; }
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
    const Shape& in = shapes[at(inputs[0])];
    const Shape& out = shapes[at(outputs[0])];
    OCTET_ASSIGN(const auto move, movement(in, out));
    BoundStep bound;
    const std::int64_t bytes = element_count(out);
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
    return description_.is("Transpose") ? "u8_transpose_any_any_1__reference"
           : description_.is("Slice")   ? "u8_slice_any_any_1__reference"
                                        : "u8_pad_any_any_1__reference";
  }

 private:
  [[nodiscard]] Result<Movement> movement(const Shape& in, const Shape& out) const {
    if (in.size() != out.size()) return bad_input("{} from {}", to_string(out), to_string(in));
    if (description_.is("Transpose")) return transpose(in, out);
    if (description_.is("Slice")) return slice(in, out);
    return pad(in, out);
  }

  [[nodiscard]] Result<Movement> transpose(const Shape& in, const Shape& out) const {
    const auto strides = storage_strides(in);
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

  [[nodiscard]] Result<Movement> slice(const Shape& in, const Shape& out) const {
    const auto& starts = arguments_[1];
    const auto& steps = arguments_[4];
    OCTET_ASSIGN(const auto along, axes(3, starts.size(), in.size()));
    Movement move;
    move.region = out;
    move.in_stride = storage_strides(in);
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

  [[nodiscard]] Result<Movement> pad(const Shape& in, const Shape& out) const {
    const auto& pads = arguments_[1];
    const std::size_t count = pads.size() / 2;
    OCTET_ASSIGN(const auto along, axes(3, count, in.size()));
    Movement move;
    move.covers_output = false;
    move.region = in;
    move.in_stride = storage_strides(in);
    const auto out_stride = storage_strides(out);
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

class ConcatStep final : public Step {
 public:
  ConcatStep(NodeId id, std::int64_t axis, std::vector<int> in, int output)
      : Step(id, std::move(in), {output}), axis_(axis) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const Shape& out = shapes[at(outputs[0])];
    OCTET_ASSIGN(const int normal, normalize_axis(axis_, out.size()));
    const auto axis = at(normal);
    struct Part {
      kernels::StridedCopy copy;
      std::int64_t offset;
    };
    std::vector<Part> parts;
    std::int64_t position = 0;
    const auto out_stride = storage_strides(out);
    for (const int input : inputs) {
      const Shape& in = shapes[at(input)];
      if (in.size() != out.size() || position + in[axis] > out[axis]) {
        return bad_input("{} does not fit into {}", to_string(in), to_string(out));
      }
      parts.push_back({ordered_copy(storage_order(in), in, storage_strides(in), out_stride),
                       position * out_stride[axis]});
      position += in[axis];
    }
    BoundStep bound;
    bound.run = [this, parts = std::move(parts)](RunContext& context) -> Status {
      for (std::size_t i = 0; i < parts.size(); ++i) {
        kernels::copy_strided(parts[i].copy, context.codes[at(inputs[i])],
                              context.codes[at(outputs[0])] + parts[i].offset);
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_concat_any_any_1__reference"; }

 private:
  std::int64_t axis_;
};

}  // namespace

StepPointer make_reshape_step(NodeId node, int input, int output) {
  return std::make_unique<ReshapeStep>(node, input, output);
}

Result<StepPointer> make_move_step(const Graph& graph, NodeId node, std::uint8_t fill, int input,
                                   int output) {
  auto step = std::make_unique<MoveStep>(node, graph.node(node), fill, input, output);
  OCTET_TRY(step->read_constants(graph));
  return StepPointer(std::move(step));
}

StepPointer make_concat_step(NodeId node, std::int64_t axis, std::vector<int> inputs, int output) {
  return std::make_unique<ConcatStep>(node, axis, std::move(inputs), output);
}

}  // namespace octet::integer

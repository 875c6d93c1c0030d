// Operators that move elements of any type without looking at them.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include "engine/float/ops.h"

namespace octet::float_engine {

void copy_strided(const std::byte* in, const std::vector<std::int64_t>& steps, std::byte* out,
                  const Shape& shape, std::size_t width) {
  if (element_count(shape) == 0) return;
  const auto bytes = static_cast<std::int64_t>(width);
  if (shape.empty()) {
    std::memcpy(out, in, width);
    return;
  }
  const std::size_t inner = shape.size() - 1;
  const std::int64_t count = shape[inner];
  const std::int64_t inner_step = steps[inner] * bytes;
  std::vector<std::int64_t> index(inner, 0);
  const auto copy_row = [&] {
    if (inner_step == bytes) {
      std::memcpy(out, in, static_cast<std::size_t>(count * bytes));
    } else if (width == 4) {
      for (std::int64_t i = 0; i < count; ++i) std::memcpy(out + i * 4, in + i * inner_step, 4);
    } else {
      for (std::int64_t i = 0; i < count; ++i) {
        std::memcpy(out + i * bytes, in + i * inner_step, width);
      }
    }
    out += count * bytes;
  };
  for (;;) {
    copy_row();
    std::size_t d = inner;
    for (; d > 0; --d) {
      in += steps[d - 1] * bytes;
      if (++index[d - 1] < shape[d - 1]) break;
      in -= steps[d - 1] * shape[d - 1] * bytes;
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

namespace {

Result<std::vector<std::int64_t>> permutation(std::vector<std::int64_t> perm, std::size_t rank) {
  if (perm.empty()) {
    perm.resize(rank);
    std::iota(perm.rbegin(), perm.rend(), std::int64_t{0});
  }
  std::vector<bool> seen(rank, false);
  const bool valid = perm.size() == rank && std::all_of(perm.begin(), perm.end(), [&](auto axis) {
                       if (axis < 0 || axis >= static_cast<std::int64_t>(rank)) return false;
                       const bool fresh = !seen[static_cast<std::size_t>(axis)];
                       seen[static_cast<std::size_t>(axis)] = true;
                       return fresh;
                     });
  if (!valid) return bad_input("perm {} is not a permutation of rank {}", to_string(perm), rank);
  return perm;
}

MadeOp make_transpose(const OpSource& source) {
  return make_function(
      source, InputOrder::any,
      [perm_attribute = source.node.ints_attribute("perm")](Inputs inputs) -> Outputs {
        const Activation& input = *inputs[0];
        OCTET_ASSIGN(const auto perm, permutation(perm_attribute, input.tensor.shape().size()));
        Shape shape;
        for (const auto axis : perm) shape.push_back(input.tensor.dim(static_cast<int>(axis)));
        // Going between NCHW and NHWC is only a matter of how the memory is read.
        if (input.channels_last && perm == std::vector<std::int64_t>{0, 2, 3, 1}) {
          return one_output(input.tensor.reshaped(std::move(shape)));
        }
        if (!input.channels_last && input.tensor.dtype() == DType::f32 &&
            perm == std::vector<std::int64_t>{0, 3, 1, 2}) {
          return one_output(input.tensor.reshaped(std::move(shape)), true);
        }
        const Tensor x = to_plain(input).tensor;
        OCTET_ASSIGN(const std::size_t width, element_bytes(x.dtype()));
        OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), std::move(shape)));
        const auto strides = row_major_strides(x.shape());
        std::vector<std::int64_t> steps;
        for (const auto axis : perm) steps.push_back(strides[static_cast<std::size_t>(axis)]);
        copy_strided(x.raw(), steps, out.mutable_raw(), out.shape(), width);
        return one_output(std::move(out));
      });
}

/// One axis of a Slice, resolved against its extent.
struct SliceRange {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
};

Result<SliceRange> slice_range(std::int64_t start, std::int64_t end, std::int64_t step,
                               std::int64_t extent) {
  if (step == 0) return bad_input("a step is 0");
  step = std::max(step, -std::numeric_limits<std::int64_t>::max());
  if (start < 0) start += extent;
  if (end < 0) end += extent;
  SliceRange range;
  range.step = step;
  if (step > 0) {
    range.start = std::clamp<std::int64_t>(start, 0, extent);
    const std::int64_t last = std::clamp<std::int64_t>(end, 0, extent);
    if (last > range.start) range.count = (last - range.start - 1) / step + 1;
  } else {
    range.start = std::clamp<std::int64_t>(start, -1, extent - 1);
    const std::int64_t last = std::clamp<std::int64_t>(end, -1, extent - 1);
    if (range.start > last) range.count = (range.start - last - 1) / -step + 1;
  }
  // A single element needs no step, which could otherwise overflow an offset.
  if (range.count <= 1) range.step = 1;
  return range;
}

Result<std::vector<SliceRange>> slice_ranges(Inputs inputs) {
  const Shape& shape = inputs[0]->tensor.shape();
  const auto optional_input = [&](std::size_t i) -> Result<std::vector<std::int64_t>> {
    if (i >= inputs.size() || inputs[i] == nullptr) return std::vector<std::int64_t>{};
    return integer_input(*inputs[i], "its starts, ends, axes or steps");
  };
  OCTET_ASSIGN(const auto starts, optional_input(1));
  OCTET_ASSIGN(const auto ends, optional_input(2));
  OCTET_ASSIGN(auto axes, optional_input(3));
  OCTET_ASSIGN(auto steps, optional_input(4));
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    return bad_input("starts, ends, axes and steps differ in length");
  }
  std::vector<SliceRange> ranges;
  for (const auto extent : shape) ranges.push_back({0, 1, extent});
  for (std::size_t i = 0; i < starts.size(); ++i) {
    OCTET_ASSIGN(const int axis, normalize_axis(axes[i], shape.size()));
    OCTET_ASSIGN(ranges[static_cast<std::size_t>(axis)],
                 slice_range(starts[i], ends[i], steps[i], shape[static_cast<std::size_t>(axis)]));
  }
  return ranges;
}

MadeOp make_slice(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    const Activation& input = *inputs[0];
    OCTET_ASSIGN(const std::size_t width, element_bytes(input.tensor.dtype()));
    OCTET_ASSIGN(const auto ranges, slice_ranges(inputs));
    const auto strides = row_major_strides(memory_shape(input));
    Shape logical(ranges.size());
    Shape shape(ranges.size());
    std::vector<std::int64_t> steps(ranges.size());
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const auto m =
          static_cast<std::size_t>(memory_axis(static_cast<int>(i), input.channels_last));
      logical[i] = shape[m] = ranges[i].count;
      steps[m] = strides[m] * ranges[i].step;
      offset += strides[m] * ranges[i].start;
    }
    OCTET_ASSIGN(Tensor out, new_tensor(input.tensor.dtype(), logical));
    if (out.size() > 0) {
      copy_strided(input.tensor.raw() + offset * static_cast<std::int64_t>(width), steps,
                   out.mutable_raw(), shape, width);
    }
    return one_output(std::move(out), input.channels_last);
  });
}

enum class PadMode { constant, reflect, edge, wrap };

Result<PadMode> pad_mode(const Node& node) {
  const auto mode = node.string_attribute("mode", "constant");
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  if (mode == "wrap") return PadMode::wrap;
  return bad_input("mode {} is not supported", mode);
}

/// Where along one axis an output element comes from; -1: from the padding.
Result<std::vector<std::int64_t>> pad_sources(PadMode mode, std::int64_t extent, std::int64_t begin,
                                              std::int64_t end) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  if (std::max(begin, end) > limit || std::min(begin, end) < -limit) {
    return bad_input("pads {} and {} are absurdly large", begin, end);
  }
  const std::int64_t count = extent + begin + end;
  if (count < 0) return bad_input("pads {} and {} remove more than {}", begin, end, extent);
  if (count > (std::int64_t{1} << 26)) return bad_input("{} elements along an axis", count);
  // Negative pads cut first, then the rest is repeated.
  const std::int64_t first = std::max<std::int64_t>(0, -begin);
  const std::int64_t rest = extent - first - std::max<std::int64_t>(0, -end);
  if (rest <= 0 && mode != PadMode::constant && count > 0) {
    return bad_input("nothing is left to repeat of {} after pads {} and {}", extent, begin, end);
  }
  std::vector<std::int64_t> sources(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t from = i - begin - first;
    if (from < 0 || from >= rest) {
      switch (mode) {
        case PadMode::constant: from = -1; break;
        case PadMode::edge: from = from < 0 ? 0 : rest - 1; break;
        case PadMode::wrap: from = ((from % rest) + rest) % rest; break;
        case PadMode::reflect: {
          const std::int64_t period = rest > 1 ? 2 * (rest - 1) : 1;
          from = ((from % period) + period) % period;
          if (from >= rest) from = period - from;
          break;
        }
      }
    }
    sources[static_cast<std::size_t>(i)] = from < 0 ? -1 : from + first;
  }
  return sources;
}

Result<std::vector<std::vector<std::int64_t>>> pad_plan(PadMode mode, Inputs inputs) {
  const Shape& shape = inputs[0]->tensor.shape();
  OCTET_ASSIGN(const auto pads, integer_input(*inputs[1], "the pads input"));
  std::vector<std::int64_t> axes(shape.size());
  std::iota(axes.begin(), axes.end(), std::int64_t{0});
  if (inputs.size() > 3 && inputs[3] != nullptr) {
    OCTET_ASSIGN(axes, integer_input(*inputs[3], "the axes input"));
  }
  if (pads.size() != 2 * axes.size()) {
    return bad_input("{} pads for {} axes, expected two each", pads.size(), axes.size());
  }
  std::vector<std::int64_t> begin(shape.size(), 0);
  std::vector<std::int64_t> end(shape.size(), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    OCTET_ASSIGN(const int axis, normalize_axis(axes[i], shape.size()));
    begin[static_cast<std::size_t>(axis)] = pads[i];
    end[static_cast<std::size_t>(axis)] = pads[axes.size() + i];
  }
  std::vector<std::vector<std::int64_t>> plan(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto m =
        static_cast<std::size_t>(memory_axis(static_cast<int>(i), inputs[0]->channels_last));
    OCTET_ASSIGN(plan[m], pad_sources(mode, shape[i], begin[i], end[i]));
  }
  return plan;
}

/// What padding is filled with.
struct Fill {
  std::array<std::byte, 16> element{};
  std::size_t width = 1;

  void write(std::byte*& out, std::int64_t count) const {
    const auto bytes = static_cast<std::size_t>(count) * width;
    if (std::all_of(element.begin(), element.end(),
                    [](std::byte b) { return b == std::byte{0}; })) {
      std::memset(out, 0, bytes);
    } else {
      for (std::size_t i = 0; i < bytes; i += width) std::memcpy(out + i, element.data(), width);
    }
    out += bytes;
  }
};

/// Elements of the output's block of the axes from `axis` on.
std::int64_t block_elements(const std::vector<std::vector<std::int64_t>>& plan, std::size_t axis) {
  std::int64_t count = 1;
  for (; axis < plan.size(); ++axis) count *= static_cast<std::int64_t>(plan[axis].size());
  return count;
}

/// Fills the dense block `out` of the axes from `axis` on.
void pad_axes(const std::byte* in, const std::vector<std::int64_t>& strides,
              const std::vector<std::vector<std::int64_t>>& plan, std::size_t axis,
              const Fill& fill, std::byte*& out) {
  if (axis == plan.size()) {
    std::memcpy(out, in, fill.width);
    out += fill.width;
    return;
  }
  const auto bytes = static_cast<std::int64_t>(fill.width);
  const bool innermost = axis + 1 == plan.size();
  const std::int64_t below = block_elements(plan, axis + 1);
  const auto& sources = plan[axis];
  for (std::size_t i = 0; i < sources.size();) {
    // Runs of padding and of neighbours are written at once.
    const std::int64_t step = sources[i] < 0 ? 0 : 1;
    std::size_t run = 1;
    while ((innermost || step == 0) && i + run < sources.size() &&
           sources[i + run] == sources[i] + step * static_cast<std::int64_t>(run)) {
      ++run;
    }
    if (step == 0) {
      fill.write(out, below * static_cast<std::int64_t>(run));
    } else if (innermost) {
      std::memcpy(out, in + sources[i] * strides[axis] * bytes, run * fill.width);
      out += run * fill.width;
    } else {
      pad_axes(in + sources[i] * strides[axis] * bytes, strides, plan, axis + 1, fill, out);
    }
    i += run;
  }
}

MadeOp make_pad(const OpSource& source) {
  OCTET_ASSIGN(const auto mode, pad_mode(source.node));
  return make_function(source, InputOrder::any, [mode](Inputs inputs) -> Outputs {
    const Activation& input = *inputs[0];
    OCTET_ASSIGN(const std::size_t width, element_bytes(input.tensor.dtype()));
    OCTET_ASSIGN(const auto plan, pad_plan(mode, inputs));
    Fill fill;
    fill.width = width;
    if (inputs.size() > 2 && inputs[2] != nullptr) {
      const Tensor& value = inputs[2]->tensor;
      if (value.dtype() != input.tensor.dtype() || value.size() != 1) {
        return bad_input("constant_value is {}{}, expected one {}", name(value.dtype()),
                         to_string(value.shape()), name(input.tensor.dtype()));
      }
      std::memcpy(fill.element.data(), value.raw(), width);
    }
    Shape shape(plan.size());
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const auto m = memory_axis(static_cast<int>(i), input.channels_last);
      shape[i] = static_cast<std::int64_t>(plan[static_cast<std::size_t>(m)].size());
    }
    OCTET_ASSIGN(Tensor out, new_tensor(input.tensor.dtype(), shape));
    if (out.size() > 0) {
      std::byte* to = out.mutable_raw();
      pad_axes(input.tensor.raw(), row_major_strides(memory_shape(input)), plan, 0, fill, to);
    }
    return one_output(std::move(out), input.channels_last);
  });
}

MadeOp make_gather(const OpSource& source) {
  const std::int64_t axis_attribute = source.node.int_attribute("axis", 0);
  return make_function(source, InputOrder::plain, [axis_attribute](Inputs inputs) -> Outputs {
    const Tensor& x = inputs[0]->tensor;
    OCTET_ASSIGN(const std::size_t width, element_bytes(x.dtype()));
    OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, x.shape().size()));
    OCTET_ASSIGN(auto indices, to_int64(inputs[1]->tensor));
    const std::int64_t extent = x.dim(axis);
    for (auto& i : indices) {
      if (i < -extent || i >= extent) {
        return bad_input("index {} is outside dimension {} of {}", i, axis, to_string(x.shape()));
      }
      if (i < 0) i += extent;
    }
    const auto split = x.shape().begin() + axis;
    Shape shape(x.shape().begin(), split);
    const Shape& index_shape = inputs[1]->tensor.shape();
    shape.insert(shape.end(), index_shape.begin(), index_shape.end());
    shape.insert(shape.end(), split + 1, x.shape().end());
    OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), std::move(shape)));
    if (out.size() == 0) return one_output(std::move(out));
    const std::int64_t outer = element_count(Shape(x.shape().begin(), split));
    const auto block =
        element_count(Shape(split + 1, x.shape().end())) * static_cast<std::int64_t>(width);
    std::byte* to = out.mutable_raw();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (const auto i : indices) {
        std::memcpy(to, x.raw() + (o * extent + i) * block, static_cast<std::size_t>(block));
        to += block;
      }
    }
    return one_output(std::move(out));
  });
}

Status check_concat(const Tensor& first, const Tensor& other, int axis) {
  if (other.dtype() != first.dtype()) {
    return bad_input("inputs have types {} and {}", name(first.dtype()), name(other.dtype()));
  }
  Shape a = first.shape();
  Shape b = other.shape();
  if (a.size() == b.size()) a[static_cast<std::size_t>(axis)] = b[static_cast<std::size_t>(axis)];
  if (a == b) return {};
  return bad_input("shapes {} and {} do not join along axis {}", to_string(first.shape()),
                   to_string(other.shape()), axis);
}

Outputs concat(std::span<const Activation> parts, int axis) {
  const Tensor& first = parts.front().tensor;
  const bool channels_last = parts.front().channels_last;
  OCTET_ASSIGN(const std::size_t width, element_bytes(first.dtype()));
  Shape shape = first.shape();
  auto& joined = shape[static_cast<std::size_t>(axis)];
  joined = 0;
  for (const auto& part : parts) {
    OCTET_TRY(check_concat(first, part.tensor, axis));
    joined += part.tensor.dim(axis);
  }
  OCTET_ASSIGN(Tensor out, new_tensor(first.dtype(), shape));
  if (out.size() == 0) return one_output(std::move(out), channels_last);
  const Shape memory = memory_shape({out, channels_last});
  const auto split = memory.begin() + memory_axis(axis, channels_last);
  const std::int64_t outer = element_count(Shape(memory.begin(), split));
  const std::int64_t inner = element_count(Shape(split + 1, memory.end()));
  const std::int64_t row = joined * inner * static_cast<std::int64_t>(width);
  std::byte* to = out.mutable_raw();
  for (const auto& part : parts) {
    const std::int64_t block = part.tensor.dim(axis) * inner * static_cast<std::int64_t>(width);
    if (block == 0) continue;
    for (std::int64_t o = 0; o < outer; ++o) {
      std::memcpy(to + o * row, part.tensor.raw() + o * block, static_cast<std::size_t>(block));
    }
    to += block;
  }
  return one_output(std::move(out), channels_last);
}

MadeOp make_concat(const OpSource& source) {
  const auto* attribute = source.node.attribute<std::int64_t>("axis");
  if (attribute == nullptr) return bad_input("attribute axis is missing");
  return make_function(source, InputOrder::any, [axis = *attribute](Inputs inputs) -> Outputs {
    bool channels_last = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) return bad_input("input {} is missing", i);
      channels_last = channels_last || inputs[i]->channels_last;
    }
    const Tensor& first = inputs[0]->tensor;
    OCTET_ASSIGN(const int normal, normalize_axis(axis, first.shape().size()));
    std::vector<Activation> parts;
    for (const auto* input : inputs) {
      OCTET_TRY(check_concat(first, input->tensor, normal));
      parts.push_back(channels_last ? to_channels_last(*input) : *input);
    }
    return concat(parts, normal);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Transpose", 1, 1, make_transpose},
    {"Slice", 3, 1, make_slice},
    {"Pad", 2, 1, make_pad},
    {"Gather", 2, 1, make_gather},
    {"Concat", 1, 1, make_concat},
});

}  // namespace

std::span<const OpEntry> movement_entries() { return entries; }

}  // namespace octet::float_engine

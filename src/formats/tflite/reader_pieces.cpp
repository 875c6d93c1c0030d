// Operators that join, cut and pad.

#include <algorithm>
#include <limits>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

constexpr auto to_end = std::numeric_limits<std::int64_t>::max();
constexpr auto to_start = std::numeric_limits<std::int64_t>::min();

/// What is cut out along each axis of the file's order.
struct Cut {
  std::vector<std::int64_t> starts;
  std::vector<std::int64_t> ends;
  std::vector<std::int64_t> steps;
};

Node slice_node(Translator& to, ValueId x, const Cut& cut, Order order, const std::string& name) {
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < cut.starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return Translator::node("Slice",
                          {x, to.integer_list(entries_in(order, cut.starts), name + "/starts"),
                           to.integer_list(entries_in(order, cut.ends), name + "/ends"),
                           to.integer_list(axes, name + "/axes"),
                           to.integer_list(entries_in(order, cut.steps), name + "/steps")});
}

std::int64_t axis_in(Order order, int axis) {
  return order == Order::image ? image_axis[static_cast<std::size_t>(axis)] : axis;
}

Status split_into(Translator& to, const FileOperator& op, std::size_t data, std::int64_t axis,
                  const std::vector<std::int64_t>* sizes) {
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto normal, normalize_axis(axis, to.input(op, data).shape.size()));
  OCTET_ASSIGN(const auto x, to.value(op.inputs[data], order));
  auto node = Translator::node("Split", {x});
  node.attributes["axis"] = axis_in(order, normal);
  if (sizes != nullptr) {
    node.inputs.push_back(to.integer_list(*sizes, to.output(op).name + "/sizes"));
  } else {
    node.attributes["num_outputs"] = static_cast<std::int64_t>(op.outputs.size());
  }
  return to.finish(op, std::move(node), order);
}

Result<std::int64_t> single(const Translator& to, const FileOperator& op, std::size_t i,
                            std::string_view what) {
  OCTET_ASSIGN(const auto values, to.integers(op, i, what));
  if (values.size() != 1) return bad_input("the {} has {} elements", what, values.size());
  return values[0];
}

}  // namespace

Status read_concatenation(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::ConcatenationOptions>(op));
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto axis, normalize_axis(options->axis(), to.output(op).shape.size()));
  std::vector<ValueId> parts;
  for (const auto input : op.inputs) {
    if (to.file().tensor(input).rank() != to.output(op).rank()) {
      return bad_input("its input {} is not of the output's rank", to.file().tensor(input).name);
    }
    OCTET_ASSIGN(const auto value, to.value(input, order));
    parts.push_back(value);
  }
  auto node = Translator::node("Concat", std::move(parts));
  node.attributes["axis"] = axis_in(order, axis);
  return to.finish(op, std::move(node), order, options->fused_activation_function());
}

Status read_split(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto axis, single(to, op, 0, "axis"));
  return split_into(to, op, 1, axis, nullptr);
}

Status read_split_v(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto sizes, to.integers(op, 1, "sizes"));
  OCTET_ASSIGN(const auto axis, single(to, op, 2, "axis"));
  const auto rest = std::count(sizes.begin(), sizes.end(), -1);
  if (rest > 0) {
    OCTET_ASSIGN(const auto normal, normalize_axis(axis, to.input(op, 0).shape.size()));
    auto left = to.input(op, 0).shape[static_cast<std::size_t>(normal)];
    if (rest > 1 || left == dynamic_dim) return bad_input("its sizes cannot be told");
    for (const auto size : sizes) left -= std::max<std::int64_t>(size, 0);
    std::replace(sizes.begin(), sizes.end(), std::int64_t{-1}, left);
  }
  return split_into(to, op, 0, axis, &sizes);
}

Status read_slice(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto begin, to.integers(op, 1, "begin"));
  OCTET_ASSIGN(const auto size, to.integers(op, 2, "size"));
  const auto rank = to.input(op, 0).shape.size();
  if (begin.size() != rank || size.size() != rank) {
    return bad_input("begin and size have {} and {} entries for {} axes", begin.size(), size.size(),
                     rank);
  }
  Cut cut{begin, {}, std::vector<std::int64_t>(rank, 1)};
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  for (std::size_t i = 0; i < rank; ++i) {
    if (begin[i] < 0 || begin[i] > limit || size[i] < -1 || size[i] > limit) {
      return bad_input("begin {} and size {} are out of range", begin[i], size[i]);
    }
    cut.ends.push_back(size[i] == -1 ? to_end : begin[i] + size[i]);
  }
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  return to.finish(op, slice_node(to, x, cut, order, to.output(op).name), order);
}

namespace {

/// A STRIDED_SLICE spelled out: what is cut from each axis, which of them go, and where new ones
/// come.
struct StridedSlice {
  Cut cut;
  std::vector<std::int64_t> removed;  ///< axes of the input
  std::vector<std::int64_t> added;    ///< axes of the output
};

struct SliceSpec {
  std::vector<std::int64_t> begin, end, strides;
  std::int32_t begin_mask = 0, end_mask = 0, ellipsis_mask = 0, new_axis_mask = 0, shrink_mask = 0;
  bool end_is_offset = false;
};

bool has_bit(std::int32_t mask, std::size_t i) { return ((mask >> i) & 1) != 0; }

void take_all(StridedSlice& out) {
  out.cut.starts.push_back(0);
  out.cut.ends.push_back(to_end);
  out.cut.steps.push_back(1);
}

void take_one(StridedSlice& out, std::int64_t at) {
  out.removed.push_back(static_cast<std::int64_t>(out.cut.starts.size()));
  out.cut.starts.push_back(at);
  out.cut.ends.push_back(at == -1 ? to_end : at + 1);
  out.cut.steps.push_back(1);
}

Status take_range(StridedSlice& out, const SliceSpec& spec, std::size_t i) {
  const auto step = spec.strides[i];
  if (step == 0) return bad_input("a stride is 0");
  const auto start = spec.begin[i];
  const auto end = spec.end_is_offset ? start + spec.end[i] : spec.end[i];
  out.cut.starts.push_back(!has_bit(spec.begin_mask, i) ? start : step > 0 ? 0 : to_end);
  out.cut.ends.push_back(!has_bit(spec.end_mask, i) ? end : step > 0 ? to_end : to_start);
  out.cut.steps.push_back(step);
  return {};
}

Result<StridedSlice> spell_out(const SliceSpec& spec, std::size_t rank) {
  const auto count = spec.begin.size();
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; ++i) {
    used += !has_bit(spec.ellipsis_mask, i) && !has_bit(spec.new_axis_mask, i);
  }
  if (count > 16 || used > rank) return bad_input("{} entries for {} axes", count, rank);
  StridedSlice out;
  std::int64_t output_axis = 0;
  bool seen_ellipsis = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (has_bit(spec.ellipsis_mask, i)) {
      if (seen_ellipsis) return bad_input("it has several ellipses");
      seen_ellipsis = true;
      for (auto left = rank - used; left > 0; --left, ++output_axis) take_all(out);
    } else if (has_bit(spec.new_axis_mask, i)) {
      out.added.push_back(output_axis++);
    } else if (has_bit(spec.shrink_mask, i)) {
      take_one(out, spec.begin[i]);
    } else {
      OCTET_TRY(take_range(out, spec, i));
      ++output_axis;
    }
  }
  while (out.cut.starts.size() < rank) take_all(out);
  return out;
}

Result<SliceSpec> read_spec(const Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::StridedSliceOptions>(op));
  SliceSpec spec;
  OCTET_ASSIGN(spec.begin, to.integers(op, 1, "begin"));
  OCTET_ASSIGN(spec.end, to.integers(op, 2, "end"));
  OCTET_ASSIGN(spec.strides, to.integers(op, 3, "strides"));
  if (spec.end.size() != spec.begin.size() || spec.strides.size() != spec.begin.size()) {
    return bad_input("begin, end and strides have {}, {} and {} entries", spec.begin.size(),
                     spec.end.size(), spec.strides.size());
  }
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  for (const auto* list : {&spec.begin, &spec.end, &spec.strides}) {
    for (const auto entry : *list) {
      if (entry < -limit || entry > limit) return bad_input("the entry {} is out of range", entry);
    }
  }
  spec.begin_mask = options->begin_mask();
  spec.end_mask = options->end_mask();
  spec.ellipsis_mask = options->ellipsis_mask();
  spec.new_axis_mask = options->new_axis_mask();
  spec.shrink_mask = options->shrink_axis_mask();
  spec.end_is_offset = options->offset();
  return spec;
}

}  // namespace

Status read_strided_slice(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto spec, read_spec(to, op));
  OCTET_ASSIGN(const auto slice, spell_out(spec, to.input(op, 0).shape.size()));
  const auto& name = to.output(op).name;
  const bool same_axes = slice.removed.empty() && slice.added.empty();
  const auto order =
      same_axes ? to.order_of(op.outputs[0]) : order_without(to, op.inputs[0], slice.removed);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], slice.added.empty() ? order : Order::file));
  auto node = slice_node(to, x, slice.cut, slice.added.empty() ? order : Order::file, name);
  if (same_axes) return to.finish(op, std::move(node), order);
  auto cut = to.inner_like(std::move(node), to.invent(name + "/cut"), op.inputs[0]);
  if (slice.added.empty()) {
    const auto axes = to.integer_list(axes_in(order, slice.removed), name + "/axes");
    return to.finish(op, Translator::node("Squeeze", {cut, axes}), Order::file);
  }
  if (!slice.removed.empty()) {
    const auto axes = to.integer_list(slice.removed, name + "/axes");
    cut = to.inner_like(Translator::node("Squeeze", {cut, axes}), to.invent(name + "/squeezed"),
                        op.inputs[0]);
  }
  const auto axes = to.integer_list(slice.added, name + "/new_axes");
  return to.finish(op, Translator::node("Unsqueeze", {cut, axes}), Order::file);
}

namespace {

/// Begins of all axes, then ends, in `order`.
Result<ValueId> pads_of(Translator& to, const FileOperator& op, Order order) {
  OCTET_ASSIGN(const auto pairs, to.integers(op, 1, "paddings"));
  const auto rank = to.input(op, 0).shape.size();
  if (pairs.size() != 2 * rank) return bad_input("{} paddings for {} axes", pairs.size(), rank);
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> ends;
  for (std::size_t i = 0; i < rank; ++i) {
    if (pairs[2 * i] < 0 || pairs[2 * i + 1] < 0) return bad_input("a padding is negative");
    begins.push_back(pairs[2 * i]);
    ends.push_back(pairs[2 * i + 1]);
  }
  auto pads = entries_in(order, begins);
  const auto behind = entries_in(order, ends);
  pads.insert(pads.end(), behind.begin(), behind.end());
  return to.integer_list(pads, to.output(op).name + "/pads");
}

}  // namespace

Status read_pad(Translator& to, const FileOperator& op) {
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  OCTET_ASSIGN(const auto pads, pads_of(to, op, order));
  auto node = Translator::node("Pad", {x, pads});
  if (to.has_input(op, 2)) {
    const auto& shape = to.input(op, 2).shape;
    if (std::any_of(shape.begin(), shape.end(), [](auto extent) { return extent != 1; })) {
      return bad_input("its padding value {} is no scalar", to.input(op, 2).name);
    }
    if (!to.is_constant(op.inputs[2])) {
      return bad_input("its padding value {} is not constant", to.input(op, 2).name);
    }
    OCTET_ASSIGN(const auto value, to.arranged(op.inputs[2], {Shape{}, {}}));
    node.inputs.push_back(value);
  }
  return to.finish(op, std::move(node), order);
}

Status read_mirror_pad(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::MirrorPadOptions>(op));
  if (options->mode() != wire::MirrorPadMode::REFLECT) {
    return bad_input("the mode {} is not supported",
                     options->mode() == wire::MirrorPadMode::SYMMETRIC ? "SYMMETRIC" : "unknown");
  }
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  OCTET_ASSIGN(const auto pads, pads_of(to, op, order));
  auto node = Translator::node("Pad", {x, pads});
  node.attributes["mode"] = std::string("reflect");
  return to.finish(op, std::move(node), order);
}

Status read_gather(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::GatherOptions>(op);
  if (options != nullptr && options->batch_dims() != 0) {
    return bad_input("batch_dims {} is not supported", options->batch_dims());
  }
  OCTET_ASSIGN(const auto axis, normalize_axis(options == nullptr ? 0 : options->axis(),
                                               to.input(op, 0).shape.size()));
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  OCTET_ASSIGN(const auto indices, to.value(op.inputs[1], Order::file));
  auto node = Translator::node("Gather", {x, indices});
  node.attributes["axis"] = std::int64_t{axis};
  return to.finish(op, std::move(node), Order::file);
}

}  // namespace octet::tflite

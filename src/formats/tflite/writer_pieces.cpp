// Operators that join, cut and pick elements. Codes move as they are.

#include <algorithm>
#include <climits>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {

Status lower_concat(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", 0), extents.size()));
  auto order = identity_order(extents.size());
  for (const auto id : node.inputs) {
    if (l.is_constant(id) || is_identity(l.order_of(id))) continue;
    order = l.order_of(id);
    break;
  }
  std::vector<TensorId> inputs;
  for (const auto id : node.inputs) {
    OCTET_ASSIGN(const auto input,
                 l.fetch(id, job.coded ? l.coding(job.output) : std::nullopt, order));
    inputs.push_back(input);
  }
  const auto result = l.make_output(job, order);
  wire::ConcatenationOptionsT options;
  options.axis = static_cast<int>(position_of(order, axis));
  l.emit(Op::CONCATENATION, std::move(inputs), {result}, options);
  return {};
}

Status lower_split(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", 0), input.shape.size()));
  std::vector<TensorId> outputs;
  std::vector<std::int64_t> sizes;
  for (const auto id : node.outputs) {
    if (id == ValueId::none) return refused("one of its outputs is left out");
    OCTET_ASSIGN(const auto extents, l.shape(id));
    sizes.push_back(extents[static_cast<std::size_t>(axis)]);
    outputs.push_back(l.make(id, input.coding, input.order));
  }
  const auto position = static_cast<std::int32_t>(position_of(input.order, axis));
  const auto along = l.invented(outputs[0], "/axis", Tensor::from<std::int32_t>({position}, {}));
  const auto count = static_cast<int>(outputs.size());
  const bool equal = std::all_of(sizes.begin(), sizes.end(), [&](auto s) { return s == sizes[0]; });
  if (equal) {
    wire::SplitOptionsT options;
    options.num_splits = count;
    l.emit(Op::SPLIT, {along, input.tensor}, std::move(outputs), options);
    return {};
  }
  if (!is_static(sizes)) return refused("the sizes of its outputs are not known");
  wire::SplitVOptionsT options;
  options.num_splits = count;
  const auto parts = l.invented_ints(outputs[0], "/sizes", sizes);
  l.emit(Op::SPLIT_V, {input.tensor, parts, along}, std::move(outputs), options);
  return {};
}

namespace {

struct SliceRange {
  std::int64_t start = 0;
  PartialInt end{PartialInt::Kind::known, INT_MAX};
  std::int64_t step = 1;
  bool whole = true;

  [[nodiscard]] bool to_end() const { return whole || (end.is_known() && end.value >= INT_MAX); }
};

/// Known extents make starts and ends plain.
void settle_range(SliceRange& range, std::int64_t extent) {
  const bool forward = range.step > 0;
  if (extent < 0) {
    range.whole = range.start == 0 && range.to_end() && range.step == 1;
    return;
  }
  if (range.start < 0) range.start += extent;
  range.start = std::clamp<std::int64_t>(range.start, 0, forward ? extent : extent - 1);
  if (!range.end.is_known()) return;
  if (range.end.value < 0) range.end.value += extent;
  range.end.value =
      std::clamp<std::int64_t>(range.end.value, forward ? 0 : -1, forward ? extent : extent - 1);
  range.whole = range.start == 0 && range.end.value == extent && range.step == 1;
}

Result<std::vector<PartialInt>> slice_ends(Lowering& l, ValueId id) {
  if (const auto* partial = l.partial_ints(id)) return partial->elements;
  const auto stated = l.known_ints(id);
  if (!stated) return refused("its ends depend on data");
  std::vector<PartialInt> ends;
  for (const auto end : *stated) ends.push_back({PartialInt::Kind::known, end});
  return ends;
}

/// Ranges by axis of the value.
Result<std::vector<SliceRange>> slice_ranges(Lowering& l, const Node& node, const Shape& shape) {
  const auto starts = l.known_ints(node.input(1));
  if (!starts) return refused("its starts are not constant");
  OCTET_ASSIGN(const auto ends, slice_ends(l, node.input(2)));
  auto axes = l.known_ints(node.input(3));
  if (!axes) axes = identity_order(starts->size());
  const auto steps = l.known_ints(node.input(4));
  std::vector<SliceRange> ranges(shape.size());
  for (std::size_t i = 0; i < axes->size(); ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis((*axes)[i], shape.size()));
    auto& range = ranges[static_cast<std::size_t>(axis)];
    range = {(*starts)[i], ends[i], steps ? (*steps)[i] : 1, false};
    settle_range(range, shape[static_cast<std::size_t>(axis)]);
  }
  return ranges;
}

bool has_open_end(const std::vector<SliceRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [](const SliceRange& range) { return !range.end.is_known(); });
}

/// SLICE takes steps of 1 from a start that is no end-relative one, and known sizes or all.
bool is_plain(const std::vector<SliceRange>& ranges, const Shape& result) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& range = ranges[i];
    if (range.whole) continue;
    if (range.step != 1 || range.start < 0 || !range.end.is_known()) return false;
    if (result[i] < 0 && !range.to_end()) return false;
  }
  return true;
}

/// Ends that only running the model fixes are stated in full, without masks.
Status emit_open_slice(Lowering& l, const Moved& input, const std::vector<SliceRange>& ranges,
                       TensorId result) {
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> step;
  PartialInts ends{{static_cast<std::int64_t>(ranges.size())}, {}};
  for (const auto axis : input.order) {
    const auto& range = ranges[static_cast<std::size_t>(axis)];
    if (range.step < 1) return refused("a step back to an end that depends on data");
    begin.push_back(range.start);
    ends.elements.push_back(range.to_end() ? PartialInt{PartialInt::Kind::known, INT_MAX}
                                           : range.end);
    step.push_back(range.step);
  }
  OCTET_ASSIGN(const auto end, l.numbers_tensor(result, "/end", {input.tensor}, ends));
  l.emit(Op::STRIDED_SLICE,
         {input.tensor, l.invented_ints(result, "/begin", begin), end,
          l.invented_ints(result, "/step", step)},
         {result}, wire::StridedSliceOptionsT());
  return {};
}

void emit_strided_slice(Lowering& l, const Moved& input, const std::vector<SliceRange>& ranges,
                        TensorId result) {
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;
  std::vector<std::int64_t> step;
  wire::StridedSliceOptionsT options;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& range = ranges[static_cast<std::size_t>(input.order[i])];
    const bool to_end = range.to_end() || (range.step < 0 && range.end.value < 0);
    begin.push_back(range.start);
    end.push_back(to_end ? 0 : range.end.value);
    step.push_back(range.step);
    if (range.whole) options.begin_mask |= 1 << i;
    if (to_end) options.end_mask |= 1 << i;
  }
  l.emit(Op::STRIDED_SLICE,
         {input.tensor, l.invented_ints(result, "/begin", begin),
          l.invented_ints(result, "/end", end), l.invented_ints(result, "/step", step)},
         {result}, options);
}

}  // namespace

Status lower_slice(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  OCTET_ASSIGN(const auto ranges, slice_ranges(l, *job.node, input.shape));
  const auto result = l.make(job.output, input.coding, input.order);
  if (has_open_end(ranges)) return emit_open_slice(l, input, ranges, result);
  if (!is_plain(ranges, extents)) {
    emit_strided_slice(l, input, ranges, result);
    return {};
  }
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> size;
  for (const auto axis : input.order) {
    begin.push_back(ranges[static_cast<std::size_t>(axis)].start);
    size.push_back(std::max<std::int64_t>(extents[static_cast<std::size_t>(axis)], -1));
  }
  l.emit(Op::SLICE,
         {input.tensor, l.invented_ints(result, "/begin", begin),
          l.invented_ints(result, "/size", size)},
         {result}, wire::SliceOptionsT());
  return {};
}

Status lower_pad(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  const auto amounts = l.known_ints(node.input(1));
  if (!amounts) return refused("its pads are not constant");
  const auto rank = input.shape.size();
  auto axes = identity_order(rank);
  if (const auto stated = l.known_ints(node.input(3))) axes = *stated;
  Tensor pads = Tensor::zeros(DType::i32, {static_cast<std::int64_t>(rank), 2});
  auto* out = pads.mutable_data<std::int32_t>();
  for (std::size_t i = 0; i < axes.size(); ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis(axes[i], rank));
    const auto begin = (*amounts)[i];
    const auto end = (*amounts)[i + axes.size()];
    if (begin < 0 || end < 0) return refused("it crops");
    const auto at = static_cast<std::size_t>(position_of(input.order, axis));
    out[2 * at] = static_cast<std::int32_t>(begin);
    out[2 * at + 1] = static_cast<std::int32_t>(end);
  }
  const auto mode = node.string_attribute("mode", "constant");
  const auto result = l.make(job.output, input.coding, input.order);
  const auto list = l.invented(result, "/pads", std::move(pads));
  if (mode == "reflect") {
    wire::MirrorPadOptionsT options;
    options.mode = wire::MirrorPadMode::REFLECT;
    l.emit(Op::MIRROR_PAD, {input.tensor, list}, {result}, options);
    return {};
  }
  if (mode != "constant") return refused("mode {}", mode);
  const auto value = node.input(2);
  const auto* number = value == ValueId::none ? nullptr : l.known(value);
  if (value != ValueId::none && number == nullptr) return refused("its value is not constant");
  const bool zero = number == nullptr || std::all_of(number->raw(), number->raw() + number->bytes(),
                                                     [](std::byte b) { return b == std::byte{0}; });
  if (zero) {
    l.emit(Op::PAD, {input.tensor, list}, {result}, wire::PadOptionsT());
    return {};
  }
  const Rearrangement single{Shape{1}, {}, {}, 1};
  TensorId fill = TensorId::none;
  if (input.coding) {
    OCTET_ASSIGN(fill, l.constant_codes(value, *input.coding, single));
  } else {
    OCTET_ASSIGN(fill, l.constant_reals(value, single));
  }
  l.emit(Op::PADV2, {input.tensor, list, fill}, {result}, wire::PadV2OptionsT());
  return {};
}

Status lower_gather(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", 0), input.shape.size()));
  OCTET_ASSIGN(const auto picked, l.shape(node.input(1)));
  const auto added = static_cast<std::int64_t>(picked.size());
  AxisOrder order;
  for (const auto a : input.order) {
    if (a != axis) {
      order.push_back(a < axis ? a : a + added - 1);
      continue;
    }
    for (std::int64_t k = 0; k < added; ++k) order.push_back(axis + k);
  }
  const auto result = l.make(job.output, input.coding, order);
  TensorId indices = TensorId::none;
  if (const auto stated = l.known_ints(node.input(1))) {
    Tensor list(DType::i32, picked);
    const auto extent = input.shape[static_cast<std::size_t>(axis)];
    for (std::size_t i = 0; i < stated->size(); ++i) {
      const auto number = (*stated)[i];
      if (number < 0 && extent < 0) return refused("it counts from an end that is not known");
      list.mutable_data<std::int32_t>()[i] =
          static_cast<std::int32_t>(number < 0 ? number + extent : number);
    }
    indices = l.invented(result, "/indices", std::move(list));
  } else {
    OCTET_ASSIGN(indices, l.fetch(node.input(1), std::nullopt, identity_order(picked.size())));
  }
  wire::GatherOptionsT options;
  options.axis = static_cast<int>(position_of(input.order, axis));
  l.emit(Op::GATHER, {input.tensor, indices}, {result}, options);
  return {};
}

}  // namespace octet::tflite

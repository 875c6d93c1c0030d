// Operators that move elements. Codes move as they are.

#include <algorithm>
#include <climits>
#include <numeric>

#include "formats/tflite/lower.h"

namespace octet::tflite {
namespace {

bool is_image_order(const AxisOrder& order) {
  return (order.size() == 3 || order.size() == 4) && order == channels_last(order.size());
}

/// `order` over the axes that are left without these, which count anew.
AxisOrder without_axes(const AxisOrder& order, const std::vector<std::int64_t>& removed) {
  AxisOrder out;
  for (const auto axis : order) {
    if (std::find(removed.begin(), removed.end(), axis) != removed.end()) continue;
    out.push_back(axis - std::count_if(removed.begin(), removed.end(),
                                       [&](auto other) { return other < axis; }));
  }
  return out;
}

bool reads_as_image(const Node& node) {
  constexpr std::string_view spatial[] = {"Conv",         "ConvTranspose",     "MaxPool",
                                          "AveragePool",  "GlobalAveragePool", "GlobalMaxPool",
                                          "DepthToSpace", "SpaceToDepth",      "Resize"};
  return node.domain.empty() &&
         std::find(std::begin(spatial), std::end(spatial), node.op) != std::end(spatial);
}

/// Whether a value that both orders hold in the same bytes is better held as an image: a spatial
/// operator reads it, or one that combines it with an image.
bool better_as_image(Lowering& l, ValueId id, std::size_t rank) {
  if (rank != 3 && rank != 4) return false;
  for (const auto& use : l.uses(id)) {
    const auto& node = l.graph().node(use.node);
    if (use.input == 0 && reads_as_image(node)) return true;
    for (const auto other : node.inputs) {
      if (other == ValueId::none || other == id || l.is_constant(other)) continue;
      const auto order = l.order_of(other);
      if (order.size() == rank && is_image_order(order) && l.made(other).tensor != TensorId::none) {
        return true;
      }
    }
  }
  return false;
}

/// RESHAPE, or nothing where the tensor has that shape already.
Status make_view(Lowering& l, const Job& job, const Moved& from, const AxisOrder& order) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  if (permuted(extents, order) == l.tensor_shape(from.tensor)) {
    l.alias(job.output, {from.tensor, from.coding, order});
    return {};
  }
  return l.emit_reshape(from.tensor, l.make(job.output, from.coding, order));
}

/// Axes of a reshape's input and output that hold the same elements: [first, last) of each.
struct AxisGroup {
  std::vector<std::int64_t> from;
  std::vector<std::int64_t> to;
};

std::optional<std::vector<AxisGroup>> axis_groups(const Shape& from, const Shape& to) {
  std::vector<AxisGroup> groups;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < from.size() || j < to.size()) {
    AxisGroup group;
    std::int64_t left = 1;
    std::int64_t right = 1;
    const auto take = [](const Shape& shape, std::size_t& at, std::vector<std::int64_t>& axes,
                         std::int64_t& product) {
      axes.push_back(static_cast<std::int64_t>(at));
      product *= shape[at++];
    };
    if (i < from.size() && j < to.size() && from[i] < 0) {
      if (from[i] != to[j]) return std::nullopt;
      take(from, i, group.from, left);
      take(to, j, group.to, right);
      groups.push_back(std::move(group));
      continue;
    }
    do {
      if (left <= right && i < from.size()) {
        if (from[i] < 1) return std::nullopt;
        take(from, i, group.from, left);
      } else if (j < to.size()) {
        if (to[j] < 1) return std::nullopt;
        take(to, j, group.to, right);
      } else {
        return std::nullopt;
      }
    } while (left != right || group.to.empty() != (j == to.size() && group.to.empty()));
    groups.push_back(std::move(group));
  }
  return groups;
}

/// How a reshape can be done on the stored tensor: its order before and after.
struct StoredView {
  AxisOrder before;
  AxisOrder after;
};

/// A reshape that only splits and merges axes which lie side by side can keep the others where they
/// are. Within a group they may first have to be put in order.
std::optional<StoredView> stored_view(const AxisOrder& order, const Shape& from, const Shape& to) {
  const auto groups = axis_groups(from, to);
  if (!groups) return std::nullopt;
  std::vector<std::size_t> group_of(from.size());
  for (std::size_t g = 0; g < groups->size(); ++g) {
    for (const auto axis : (*groups)[g].from) group_of[static_cast<std::size_t>(axis)] = g;
  }
  StoredView view;
  std::vector<bool> done(groups->size(), false);
  for (std::size_t i = 0; i < order.size();) {
    const auto g = group_of[static_cast<std::size_t>(order[i])];
    const auto& group = (*groups)[g];
    if (done[g]) return std::nullopt;
    done[g] = true;
    for (std::size_t k = 0; k < group.from.size(); ++k, ++i) {
      if (i >= order.size() || group_of[static_cast<std::size_t>(order[i])] != g) {
        return std::nullopt;
      }
    }
    view.before.insert(view.before.end(), group.from.begin(), group.from.end());
    view.after.insert(view.after.end(), group.to.begin(), group.to.end());
  }
  for (std::size_t g = 0; g < groups->size(); ++g) {
    if (!done[g])
      view.after.insert(view.after.end(), (*groups)[g].to.begin(), (*groups)[g].to.end());
  }
  return view;
}

bool keeps_features(const Node& node) {
  constexpr std::string_view kept[] = {"Relu", "Sigmoid", "Tanh",      "LeakyRelu", "Identity",
                                       "Gelu", "Swish",   "HardSwish", "Elu",       "Dropout"};
  return node.domain.empty() &&
         std::find(std::begin(kept), std::end(kept), node.op) != std::end(kept);
}

/// Whether only products by constant matrices read the columns of a value, perhaps behind
/// operators on each element: then their rows may come in another order.
bool only_products_read(Lowering& l, ValueId id) {
  if (l.graph().is_output(id) || l.uses(id).empty()) return false;
  const auto& readers = l.uses(id);
  return std::all_of(readers.begin(), readers.end(), [&](const Use& use) {
    const auto& node = l.graph().node(use.node);
    if (use.input != 0) return false;
    if (keeps_features(node)) return only_products_read(l, node.output());
    if (!node.is("Gemm") && !node.is("MatMul")) return false;
    const auto weight = node.input(1);
    if (!l.is_constant(weight) || node.int_attribute("transA", 0) != 0) return false;
    const auto shape = l.shape(weight);
    if (!shape || shape->size() != 2) return false;
    const auto coding = l.coding(use.node == NodeId::none ? Use{} : Use{use.node, 1});
    const int input_axis = node.is("Gemm") && node.int_attribute("transB", 0) != 0 ? 1 : 0;
    return !coding || coding->params.axis != input_axis;
  });
}

/// Of a stored image [N, ...], the graph's number of each flattened element.
std::vector<std::int64_t> flat_features(const AxisOrder& order, const Shape& shape) {
  const Shape inner(shape.begin() + 1, shape.end());
  AxisOrder moved;
  for (std::size_t i = 1; i < order.size(); ++i) moved.push_back(order[i] - 1);
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(element_count(inner)));
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto stored = permute_axes(Tensor::from<std::int64_t>(numbers, inner), moved);
  return {stored.values<std::int64_t>().begin(), stored.values<std::int64_t>().end()};
}

}  // namespace

Status lower_transpose(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  auto perm = job.node->ints_attribute("perm");
  const auto rank = input.shape.size();
  if (perm.empty()) {
    perm = identity_order(rank);
    std::reverse(perm.begin(), perm.end());
  }
  const auto order = behind_transpose(input.order, perm);
  auto swapped = identity_order(rank);
  if (rank >= 2) std::swap(swapped[rank - 1], swapped[rank - 2]);
  const auto& readers = l.uses(job.output);
  const bool multiplied = order == swapped && !l.graph().is_output(job.output) &&
                          std::all_of(readers.begin(), readers.end(), [&](const Use& use) {
                            return l.graph().node(use.node).is("MatMul") &&
                                   !l.is_constant(l.graph().node(use.node).input(1));
                          });
  const bool split_image = rank > 4 && !is_identity(input.order);
  if (is_identity(order) || is_image_order(order) || multiplied || split_image) {
    l.alias(job.output, {input.tensor, input.coding, order});
    return {};
  }
  const auto result = l.make(job.output, input.coding, identity_order(rank));
  return l.emit_transpose(input.tensor, result, positions(order));
}

Status lower_reshape(Lowering& l, const Job& job) {
  OCTET_ASSIGN(auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto rank = extents.size();
  const auto plain = identity_order(input.shape.size());
  if (same_bytes(input.order, plain, input.shape)) {
    const auto image = channels_last(rank);
    const bool as_image =
        same_bytes(image, identity_order(rank), extents) && better_as_image(l, job.output, rank);
    return make_view(l, job, input, as_image ? image : identity_order(rank));
  }
  const bool flattens = rank == 2 && input.order[0] == 0 && extents[0] == input.shape[0] &&
                        is_static({input.shape.begin() + 1, input.shape.end()});
  if (flattens && only_products_read(l, job.output)) {
    OCTET_TRY(make_view(l, job, input, identity_order(rank)));
    l.set_features(job.output, flat_features(input.order, input.shape));
    return {};
  }
  const auto view = stored_view(input.order, input.shape, extents);
  const auto before = view ? view->before : plain;
  if (before != input.order) {
    OCTET_ASSIGN(input.tensor, l.fetch(job.node->input(0), input.coding, before));
  }
  return make_view(l, job, input, view ? view->after : identity_order(rank));
}

namespace {

Result<std::vector<std::int64_t>> listed_axes(Lowering& l, const Job& job, std::size_t rank) {
  auto axes = job.node->ints_attribute("axes");
  if (job.node->input(1) != ValueId::none) {
    const auto stated = l.known_ints(job.node->input(1));
    if (!stated) return refused("its axes are not constant");
    axes = *stated;
  }
  for (auto& axis : axes) {
    OCTET_ASSIGN(axis, normalize_axis(axis, rank));
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

}  // namespace

Status lower_squeeze(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(auto axes, listed_axes(l, job, input.shape.size()));
  if (axes.empty()) {
    for (std::size_t i = 0; i < input.shape.size(); ++i) {
      if (input.shape[i] == 1) axes.push_back(static_cast<std::int64_t>(i));
    }
  }
  return make_view(l, job, input, without_axes(input.order, axes));
}

Status lower_unsqueeze(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  OCTET_ASSIGN(const auto axes, listed_axes(l, job, extents.size()));
  auto order = channels_last(extents.size());
  const bool as_image =
      without_axes(order, axes) == input.order && better_as_image(l, job.output, extents.size());
  if (!as_image) {
    // New axes go right behind the one before them.
    order.clear();
    std::vector<std::int64_t> kept;
    for (std::size_t i = 0; i < extents.size(); ++i) {
      const auto axis = static_cast<std::int64_t>(i);
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) kept.push_back(axis);
    }
    for (const auto axis : input.order) order.push_back(kept[static_cast<std::size_t>(axis)]);
    for (const auto axis : axes) {
      const auto at = std::find(order.begin(), order.end(), axis - 1);
      order.insert(at == order.end() ? order.begin() : at + 1, axis);
    }
  }
  return make_view(l, job, input, order);
}

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
  std::int64_t end = INT_MAX;
  std::int64_t step = 1;
  bool whole = true;
};

/// Ranges by axis of the value; known extents make starts and ends plain.
Result<std::vector<SliceRange>> slice_ranges(Lowering& l, const Node& node, const Shape& shape) {
  const auto starts = l.known_ints(node.input(1));
  const auto ends = l.known_ints(node.input(2));
  if (!starts) return refused("its starts are not constant");
  auto axes = l.known_ints(node.input(3));
  if (!axes) {
    axes.emplace(starts->size());
    std::iota(axes->begin(), axes->end(), 0);
  }
  const auto steps = l.known_ints(node.input(4));
  std::vector<SliceRange> ranges(shape.size());
  for (std::size_t i = 0; i < axes->size(); ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis((*axes)[i], shape.size()));
    auto& range = ranges[static_cast<std::size_t>(axis)];
    range.whole = false;
    range.start = (*starts)[i];
    range.end = ends ? (*ends)[i] : INT_MAX;
    range.step = steps ? (*steps)[i] : 1;
    const auto extent = shape[static_cast<std::size_t>(axis)];
    if (extent < 0) continue;
    const auto low = range.step < 0 ? -1 : 0;
    const auto high = range.step < 0 ? extent - 1 : extent;
    if (range.start < 0) range.start += extent;
    range.start = std::clamp<std::int64_t>(range.start, 0, high);
    if (range.end < 0) range.end += extent;
    range.end = std::clamp<std::int64_t>(range.end, low, high);
  }
  return ranges;
}

/// SLICE takes steps of 1 from a start that is no end-relative one.
bool is_plain(const std::vector<SliceRange>& ranges, const Shape& shape, const Shape& result) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].whole) continue;
    if (ranges[i].step != 1 || ranges[i].start < 0) return false;
    if (shape[i] < 0 && result[i] < 0 && ranges[i].end < INT_MAX && ranges[i].end >= 0) {
      return false;
    }
  }
  return true;
}

Status emit_strided(Lowering& l, const Moved& input, const std::vector<SliceRange>& ranges,
                    TensorId result) {
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;
  std::vector<std::int64_t> step;
  wire::StridedSliceOptionsT options;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& range = ranges[static_cast<std::size_t>(input.order[i])];
    const bool to_end = range.whole || range.end >= INT_MAX || (range.step < 0 && range.end < 0);
    begin.push_back(range.start);
    end.push_back(to_end ? 0 : range.end);
    step.push_back(range.step);
    if (range.whole) options.begin_mask |= 1 << i;
    if (to_end) options.end_mask |= 1 << i;
  }
  l.emit(Op::STRIDED_SLICE,
         {input.tensor, l.invented_ints(result, "/begin", begin),
          l.invented_ints(result, "/end", end), l.invented_ints(result, "/step", step)},
         {result}, options);
  return {};
}

}  // namespace

Status lower_slice(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words));
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  OCTET_ASSIGN(const auto ranges, slice_ranges(l, *job.node, input.shape));
  const bool ends_known = l.known_ints(job.node->input(2)).has_value();
  const auto result = l.make(job.output, input.coding, input.order);
  if (ends_known && !is_plain(ranges, input.shape, extents)) {
    return emit_strided(l, input, ranges, result);
  }
  std::vector<std::int64_t> begin;
  Shape size;
  for (const auto axis : input.order) {
    const auto& range = ranges[static_cast<std::size_t>(axis)];
    if (range.step != 1 || range.start < 0) return refused("its ends are not constant");
    begin.push_back(range.start);
    const bool to_end = range.whole || (ends_known && range.end >= INT_MAX);
    const auto extent = extents[static_cast<std::size_t>(axis)];
    size.push_back(to_end && extent < 0 ? -1 : extent);
  }
  OCTET_ASSIGN(const auto sizes, l.shape_tensor(result, input.tensor, size, false));
  l.emit(Op::SLICE, {input.tensor, l.invented_ints(result, "/begin", begin), sizes}, {result},
         wire::SliceOptionsT());
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

Status lower_expand(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto held = l.order_of(job.node->input(0));
  const bool same_rank = held.size() == extents.size();
  const auto plain = identity_order(held.size());
  OCTET_ASSIGN(const auto input,
               moved_input(l, job, CodesTaken::words, same_rank ? nullptr : &plain));
  const auto order = same_rank ? input.order : identity_order(extents.size());
  const auto result = l.make(job.output, input.coding, order);
  OCTET_ASSIGN(const auto shape,
               l.shape_tensor(result, input.tensor, permuted(extents, order), false));
  l.emit(Op::BROADCAST_TO, {input.tensor, shape}, {result}, wire::BroadcastToOptionsT());
  return {};
}

Status lower_tile(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::bytes));
  const auto repeats = l.known_ints(job.node->input(1));
  if (!repeats || repeats->size() != input.order.size()) {
    return refused("its repeats are not constant");
  }
  const auto result = l.make(job.output, input.coding, input.order);
  const auto multiples = l.invented_ints(result, "/multiples", permuted(*repeats, input.order));
  l.emit(Op::TILE, {input.tensor, multiples}, {result}, wire::TileOptionsT());
  return {};
}

Status lower_shape(Lowering& l, const Job& job) {
  const auto id = job.node->input(0);
  OCTET_ASSIGN(const auto extents, l.shape(id));
  const auto rank = static_cast<std::int64_t>(extents.size());
  const auto bound = [&](std::string_view key, std::int64_t fallback) {
    auto at = job.node->int_attribute(key, fallback);
    if (at < 0) at += rank;
    return static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(at, 0, rank));
  };
  const auto first = bound("start", 0);
  const auto last = std::max(first, bound("end", rank));
  const Shape part(extents.begin() + first, extents.begin() + last);
  OCTET_ASSIGN(const auto source, l.fetch(id, std::nullopt, l.order_of(id)));
  const auto result = l.make(job.output, std::nullopt, identity_order(1));
  OCTET_ASSIGN(const auto numbers, l.shape_tensor(result, source, part, false));
  wire::CastOptionsT options;
  options.in_data_type = wire::TensorType::INT32;
  options.out_data_type = wire::TensorType::INT64;
  l.emit(Op::CAST, {numbers}, {result}, options);
  return {};
}

}  // namespace octet::tflite

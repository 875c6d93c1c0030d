// Operators that see the same elements under other axes. Codes move as they are.

#include <algorithm>
#include <numeric>

#include "formats/tflite/writer_images.h"
#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

bool is_image_order(const AxisOrder& order) {
  return (order.size() == 3 || order.size() == 4) && order == channels_last(order.size());
}

bool keeps_features(const Node& node) {
  constexpr std::string_view kept[] = {"Relu", "Sigmoid", "Tanh",      "LeakyRelu", "Identity",
                                       "Gelu", "Swish",   "HardSwish", "Elu",       "Dropout"};
  return node.domain.empty() &&
         std::find(std::begin(kept), std::end(kept), node.op) != std::end(kept);
}

/// Whether a spatial operator reads the value, perhaps behind operators on each element.
bool leads_to_image(Lowering& l, ValueId id) {
  const auto& readers = l.uses(id);
  return std::any_of(readers.begin(), readers.end(), [&](const Use& use) {
    const auto& node = l.graph().node(use.node);
    if (use.input != 0) return false;
    return reads_as_image(node) || (keeps_features(node) && leads_to_image(l, node.output()));
  });
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
  while (i < from.size() && j < to.size()) {
    AxisGroup group;
    group.from.push_back(static_cast<std::int64_t>(i));
    group.to.push_back(static_cast<std::int64_t>(j));
    auto left = from[i++];
    auto right = to[j++];
    while (left != right) {
      if (left < 1 || right < 1) return std::nullopt;
      auto& product = left < right ? left : right;
      const auto& shape = left < right ? from : to;
      auto& at = left < right ? i : j;
      if (at == shape.size() || shape[at] < 1) return std::nullopt;
      (left < right ? group.from : group.to).push_back(static_cast<std::int64_t>(at));
      product *= shape[at++];
    }
    groups.push_back(std::move(group));
  }
  // What is left are extents of 1.
  if (groups.empty()) return std::nullopt;
  for (; i < from.size(); ++i) groups.back().from.push_back(static_cast<std::int64_t>(i));
  for (; j < to.size(); ++j) groups.back().to.push_back(static_cast<std::int64_t>(j));
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
  return view;
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
  // Of three axes the way there looks like the way back.
  const bool image = is_image_order(order) && (rank == 4 || leads_to_image(l, job.output));
  if (is_identity(order) || image || multiplied || split_image) {
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
        l.is_image(job.output) && same_bytes(image, identity_order(rank), extents);
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
  const bool as_image = l.is_image(job.output) && without_axes(order, axes) == input.order;
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

}  // namespace octet::tflite

// Pooling, and moves between depth and space.

#include <algorithm>

#include "formats/tflite/writer_operators.h"
#include "formats/tflite/writer_padding.h"
#include "graph/litert_attributes.h"

namespace octet::tflite {
namespace {

int as_int(std::int64_t value) { return static_cast<int>(value); }

Result<SpatialGeometry> pool_geometry(const Node& node, const Shape& input) {
  if (input.size() != 3 && input.size() != 4) {
    return refused("only 1-D and 2-D pooling is written");
  }
  OCTET_ASSIGN(auto geometry, resolve_pool(node, without_symbols(input)));
  const bool dilated = std::any_of(geometry.dilations.begin(), geometry.dilations.end(),
                                   [](auto dilation) { return dilation != 1; });
  if (dilated) return refused("its window is dilated");
  return two_dimensional(std::move(geometry));
}

Status emit_pool(Lowering& l, Op code, const PaddedImage& image, const SpatialGeometry& geometry,
                 TensorId result) {
  wire::Pool2DOptionsT options;
  options.padding = image.padding;
  options.stride_h = as_int(geometry.strides[0]);
  options.stride_w = as_int(geometry.strides[1]);
  options.filter_height = as_int(geometry.kernel[0]);
  options.filter_width = as_int(geometry.kernel[1]);
  const auto wide = wide_result(l, result);
  l.emit(code, {image.tensor}, {wide}, options);
  return narrow_result(l, wide, result);
}

}  // namespace

Result<Moved> moved_input(Lowering& l, const Job& job, CodesTaken taken, const AxisOrder* order) {
  Moved moved;
  const auto id = job.node->input(0);
  OCTET_ASSIGN(moved.shape, l.shape(id));
  moved.order = order != nullptr ? *order : l.order_of(id);
  moved.coding = l.coding(Use{job.id, 0});
  const bool words = moved.coding && moved.coding->storage == DType::i16;
  if (taken == CodesTaken::none || (words && taken == CodesTaken::bytes) ||
      is_kept_float(*job.node) || (moved.coding && moved.coding->params.per_channel()) ||
      l.dtype(id) != DType::f32) {
    moved.coding.reset();
  }
  OCTET_ASSIGN(moved.tensor, l.fetch(id, moved.coding, moved.order));
  return moved;
}

std::vector<std::int64_t> stored_axes(const AxisOrder& order, std::span<const std::int64_t> axes) {
  std::vector<std::int64_t> out;
  for (const auto axis : axes) out.push_back(position_of(order, axis));
  std::sort(out.begin(), out.end());
  return out;
}

Status lower_max_pool(Lowering& l, const Job& job) {
  if (l.reads_more_outputs(*job.node)) return refused("its indices are read");
  OCTET_ASSIGN(const auto extents, l.shape(job.node->input(0)));
  OCTET_ASSIGN(const auto geometry, pool_geometry(*job.node, extents));
  const auto order = channels_last(extents.size());
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words, &order));
  OCTET_ASSIGN(const auto from, with_height(l, input.tensor));
  OCTET_ASSIGN(const auto image, pad_image(l, *job.node, from, geometry, PadWith::lowest));
  return emit_pool(l, Op::MAX_POOL_2D, image, geometry, l.make(job.output, input.coding, order));
}

Status lower_average_pool(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.node->input(0)));
  OCTET_ASSIGN(auto geometry, pool_geometry(*job.node, extents));
  const auto order = channels_last(extents.size());
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words, &order));
  OCTET_ASSIGN(const auto from, with_height(l, input.tensor));
  const bool counts_pads = job.node->int_attribute("count_include_pad", 0) != 0;
  const bool ceil = job.node->int_attribute("ceil_mode", 0) != 0;
  PaddedImage image;
  const bool padded =
      std::any_of(geometry.pads_begin.begin(), geometry.pads_begin.end(),
                  [](auto p) { return p; }) ||
      std::any_of(geometry.pads_end.begin(), geometry.pads_end.end(), [](auto p) { return p; });
  if (padded && counts_pads) {
    if (ceil) return refused("ceil_mode together with count_include_pad");
    std::vector<std::pair<std::int64_t, std::int64_t>> pads(4);
    for (std::size_t i = 0; i < 2; ++i) {
      pads[i + 1] = {geometry.pads_begin[i], geometry.pads_end[i]};
    }
    image = {emit_pad(l, from, pads, false), wire::Padding::VALID};
  } else {
    OCTET_ASSIGN(image, pad_image(l, *job.node, from, geometry, PadWith::zero));
    if (image.tensor != from) {
      return refused("its pads are not SAME's, and count_include_pad is 0");
    }
  }
  return emit_pool(l, Op::AVERAGE_POOL_2D, image, geometry,
                   l.make(job.output, input.coding, order));
}

Status lower_global_pool(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.node->input(0)));
  const auto order = channels_last(extents.size());
  std::vector<std::int64_t> axes;
  for (std::size_t i = 1; i + 1 < extents.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  wire::ReducerOptionsT options;
  options.keep_dims = true;
  if (job.node->is("GlobalMaxPool")) {
    OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::words, &order));
    const auto result = l.make(job.output, input.coding, order);
    l.emit(Op::REDUCE_MAX, {input.tensor, l.invented_ints(result, "/axes", axes)}, {result},
           options);
    return {};
  }
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  const auto result = l.make_output(job, order);
  l.emit(Op::MEAN, {input, l.invented_ints(result, "/axes", axes)}, {result}, options);
  return {};
}

namespace {

/// Channels [C, block * block] as [block * block, C], as the file counts them, or back. None where
/// the node's mode is the file's.
std::vector<std::int64_t> channel_order(const Node& node, std::int64_t blocks, bool to_file,
                                        std::int64_t channels) {
  std::vector<std::int64_t> indices;
  if (node.string_attribute("mode", "DCR") != "CRD") return indices;
  const auto rows = to_file ? channels : blocks;
  const auto columns = to_file ? blocks : channels;
  for (std::int64_t column = 0; column < columns; ++column) {
    for (std::int64_t row = 0; row < rows; ++row) indices.push_back(row * columns + column);
  }
  return indices;
}

void emit_gather(Lowering& l, TensorId from, TensorId to, std::span<const std::int64_t> indices) {
  wire::GatherOptionsT options;
  options.axis = 3;
  l.emit(Op::GATHER, {from, l.invented_ints(to, "/indices", indices)}, {to}, options);
}

}  // namespace

Status lower_depth_space(Lowering& l, const Job& job) {
  const auto order = channels_last(4);
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::bytes, &order));
  if (input.shape.size() != 4 || input.shape[1] < 0) return refused("its channels are not known");
  const auto block = job.node->int_attribute("blocksize", 1);
  const bool to_space = job.node->is("DepthToSpace");
  const auto channels = to_space ? input.shape[1] / (block * block) : input.shape[1];
  const auto indices = channel_order(*job.node, block * block, to_space, channels);
  const auto result = l.make(job.output, input.coding, order);
  if (to_space) {
    wire::DepthToSpaceOptionsT options;
    options.block_size = as_int(block);
    auto from = input.tensor;
    if (!indices.empty()) {
      from = l.derived(input.tensor, "_blocks", l.tensor_shape(input.tensor));
      emit_gather(l, input.tensor, from, indices);
    }
    l.emit(Op::DEPTH_TO_SPACE, {from}, {result}, options);
    return {};
  }
  wire::SpaceToDepthOptionsT options;
  options.block_size = as_int(block);
  const auto to = indices.empty() ? result : l.derived(result, "_blocks", l.tensor_shape(result));
  l.emit(Op::SPACE_TO_DEPTH, {input.tensor}, {to}, options);
  if (!indices.empty()) emit_gather(l, to, result, indices);
  return {};
}

}  // namespace octet::tflite

// Convolutions.

#include <algorithm>

#include "formats/tflite/writer_operators.h"
#include "formats/tflite/writer_padding.h"

namespace octet::tflite {
namespace {

int as_int(std::int64_t value) { return static_cast<int>(value); }

/// Extents of a weight [M,I,k] as [M,I,1,k].
std::optional<Shape> two_dimensional_view(const Shape& weight) {
  if (weight.size() != 3) return std::nullopt;
  return Shape{weight[0], weight[1], 1, weight[2]};
}

/// The weight as the job takes it: codes for a coded or hybrid operator, else reals.
Result<TensorId> weight_tensor(Lowering& l, const Job& job, const Rearrangement& moved,
                               bool hybrid) {
  const auto id = job.node->input(1);
  const auto coding = l.coding(Use{job.id, 1});
  if ((job.coded || hybrid) && coding) return l.constant_codes(id, *coding, moved);
  return l.constant_reals(id, moved);
}

std::optional<Use> bias_use(const Job& job) {
  return job.node->input(2) == ValueId::none ? std::nullopt : std::optional(Use{job.id, 2});
}

struct ConvParts {
  SpatialGeometry geometry;
  Shape weight;
  std::int64_t group = 1;
  bool depthwise = false;
};

Result<ConvParts> conv_parts(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const auto* weight = l.known(node.input(1));
  if (weight == nullptr && !l.is_constant(node.input(1))) {
    return refused("its weights are not constant");
  }
  ConvParts parts;
  OCTET_ASSIGN(parts.weight, l.shape(node.input(1)));
  if (parts.weight.size() != 3 && parts.weight.size() != 4) {
    return refused("only 1-D and 2-D convolutions are written");
  }
  OCTET_ASSIGN(const auto input, l.shape(node.input(0)));
  OCTET_ASSIGN(auto geometry, resolve_conv(node, without_symbols(input), parts.weight));
  parts.geometry = two_dimensional(std::move(geometry));
  parts.group = node.int_attribute("group", 1);
  parts.depthwise = parts.group > 1 && parts.weight[1] == 1 && input[1] == parts.group;
  if (node.input(2) != ValueId::none && !l.is_constant(node.input(2))) {
    return refused("its bias is not constant");
  }
  return parts;
}

/// Whether codes of the input are made at run time. LiteRT has no kernel for that with groups whose
/// channels share one scale.
bool is_hybrid(Lowering& l, const Job& job, const ConvParts& parts) {
  const auto weight = l.coding(Use{job.id, 1});
  if (!l.is_dynamic({job.id, 0}) || !weight) return false;
  return parts.group == 1 || static_cast<std::int64_t>(weight->params.count()) == parts.weight[0];
}

/// What CONV_2D and DEPTHWISE_CONV_2D have in common.
template <class Options>
Options conv_options(const PaddedImage& padded, const SpatialGeometry& geometry, const Job& job) {
  Options options;
  options.padding = padded.padding;
  options.stride_h = as_int(geometry.strides[0]);
  options.stride_w = as_int(geometry.strides[1]);
  options.dilation_h_factor = as_int(geometry.dilations[0]);
  options.dilation_w_factor = as_int(geometry.dilations[1]);
  options.fused_activation_function = job.activation;
  return options;
}

}  // namespace

Status lower_conv(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto parts, conv_parts(l, job));
  const auto& geometry = parts.geometry;
  const auto order = channels_last(parts.weight.size());
  OCTET_ASSIGN(auto input, l.operand(job, 0, order));
  OCTET_ASSIGN(input, with_height(l, input));
  OCTET_ASSIGN(const auto padded, pad_image(l, *job.node, input, geometry, PadWith::zero));
  const bool hybrid = is_hybrid(l, job, parts);
  const Rearrangement moved{two_dimensional_view(parts.weight),
                            parts.depthwise ? AxisOrder{1, 2, 3, 0} : AxisOrder{0, 2, 3, 1},
                            {},
                            1};
  OCTET_ASSIGN(const auto weight, weight_tensor(l, job, moved, hybrid));
  const auto result = l.make_output(job, order);
  const auto wide = wide_result(l, result);
  OCTET_ASSIGN(const auto bias,
               l.bias(job, bias_use(job), parts.weight[0], padded.tensor, weight, result));
  const std::vector<TensorId> inputs{padded.tensor, weight, bias};
  if (parts.depthwise) {
    auto options = conv_options<wire::DepthwiseConv2DOptionsT>(padded, geometry, job);
    options.depth_multiplier = as_int(parts.weight[0] / parts.group);
    l.emit(Op::DEPTHWISE_CONV_2D, inputs, {wide}, options);
  } else {
    l.emit(Op::CONV_2D, inputs, {wide}, conv_options<wire::Conv2DOptionsT>(padded, geometry, job));
  }
  return narrow_result(l, wide, result);
}

namespace {

/// TRANSPOSE_CONV knows two cuts of the full result: VALID gives all of it, SAME the middle of
/// input * stride elements, the odd one at the end cut off.
enum class Cut { valid, same, other };

Cut cut_of(const SpatialGeometry& geometry, const Shape& input) {
  bool valid = true;
  bool same = true;
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto kernel = geometry.effective_kernel(i);
    const auto stride = geometry.strides[i];
    const auto total = std::max<std::int64_t>(kernel - stride, 0);
    const auto begin = geometry.pads_begin[i];
    const auto extent = input[i + 2];
    const auto full = extent < 0 ? extent : (extent - 1) * stride + kernel;
    valid = valid && begin == 0 &&
            (extent < 0 ? geometry.pads_end[i] == 0 : geometry.output[i] == full);
    same = same && begin == total / 2 &&
           (extent < 0 ? geometry.pads_end[i] == total - total / 2
                       : geometry.output[i] == extent * stride);
  }
  return valid ? Cut::valid : same ? Cut::same : Cut::other;
}

/// The full result, of which a SLICE then takes what the node wants; and what output_padding adds
/// beyond it, where there is the bias alone.
Shape full_extents(const SpatialGeometry& geometry, const Shape& input) {
  Shape full;
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto reached = (input[i + 2] - 1) * geometry.strides[i] + geometry.effective_kernel(i);
    full.push_back(std::max(reached, geometry.pads_begin[i] + geometry.output[i]));
  }
  return full;
}

Rearrangement transposed_weight(const Node& node, const SpatialGeometry& geometry) {
  Rearrangement moved;
  moved.order = {1, 2, 3, 0};  // [I,O,kh,kw] -> [O,kh,kw,I]
  moved.group = node.int_attribute("group", 1);
  const bool dilated = std::any_of(geometry.dilations.begin(), geometry.dilations.end(),
                                   [](auto dilation) { return dilation != 1; });
  if (dilated) moved.dilations = geometry.dilations;
  return moved;
}

}  // namespace

Status lower_conv_transpose(Lowering& l, const Job& stated) {
  auto job = stated;
  const auto& node = *job.node;
  if (!l.is_constant(node.input(1))) return refused("its weights are not constant");
  if (node.input(2) != ValueId::none && !l.is_constant(node.input(2))) {
    return refused("its bias is not constant");
  }
  OCTET_ASSIGN(const auto weight_shape, l.shape(node.input(1)));
  if (weight_shape.size() != 4) return refused("only 2-D transposed convolutions are written");
  OCTET_ASSIGN(const auto extents, l.shape(node.input(0)));
  const auto known_extents = without_symbols(extents);
  OCTET_ASSIGN(const auto geometry, resolve_conv_transpose(node, known_extents, weight_shape));
  const auto moved = transposed_weight(node, geometry);
  // Scales of groups do not lie along one axis of the spread weights.
  if (moved.group != 1) job.coded = false;
  const auto order = channels_last(4);
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  OCTET_ASSIGN(const auto weight, weight_tensor(l, job, moved, false));
  const auto result = l.make_output(job, order);
  OCTET_ASSIGN(const auto bias,
               l.bias(job, bias_use(job), l.tensor_shape(weight)[0], input, weight, result));
  const auto cut = cut_of(geometry, extents);
  auto target = result;
  auto full_shape = l.tensor_shape(result);
  if (cut == Cut::other) {
    if (!is_static({known_extents.begin() + 2, known_extents.end()})) {
      return refused("its pads are neither SAME's nor none, and the extents are not known");
    }
    const auto full = full_extents(geometry, extents);
    for (std::size_t i = 0; i < full.size(); ++i) full_shape[i + 1] = full[i];
    if (full_shape != l.tensor_shape(result)) target = l.derived(result, "_full", full_shape);
  }
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto stride = geometry.strides[i];
    const auto rest = cut == Cut::same ? 0 : geometry.effective_kernel(i) - stride;
    if (full_shape[i + 1] < 0)
      l.grow_extent(input, extents[i + 2], full_shape[i + 1], stride, rest);
  }
  OCTET_ASSIGN(const auto shape, l.shape_tensor(target, input, full_shape, false));
  wire::TransposeConvOptionsT options;
  options.padding = cut == Cut::same ? wire::Padding::SAME : wire::Padding::VALID;
  options.stride_h = as_int(geometry.strides[0]);
  options.stride_w = as_int(geometry.strides[1]);
  options.fused_activation_function = job.activation;
  l.emit(Op::TRANSPOSE_CONV, {shape, weight, input, bias}, {target}, options);
  if (target == result) return {};
  const std::int64_t begin[] = {0, geometry.pads_begin[0], geometry.pads_begin[1], 0};
  auto size = l.tensor_shape(result);
  for (auto& extent : size) extent = std::max<std::int64_t>(extent, -1);
  l.emit(Op::SLICE,
         {target, l.invented_ints(result, "/begin", begin), l.invented_ints(result, "/size", size)},
         {result}, wire::SliceOptionsT());
  return {};
}

}  // namespace octet::tflite

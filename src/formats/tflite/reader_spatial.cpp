// Convolutions and pooling.

#include <algorithm>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

/// Height and width of what a window sees and how it moves.
struct Window {
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> dilation{1, 1};
};

constexpr std::array<std::size_t, 2> spatial_axes{1, 2};

Status check(const Window& window) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (window.kernel[i] < 1) return bad_input("its kernel has the extent {}", window.kernel[i]);
    if (window.stride[i] < 1) return bad_input("its stride is {}", window.stride[i]);
    if (window.dilation[i] < 1) return bad_input("its dilation is {}", window.dilation[i]);
  }
  return {};
}

std::vector<std::int64_t> list(const std::array<std::int64_t, 2>& pair) {
  return {pair[0], pair[1]};
}

/// All that SAME adds along one axis: max((ceil(in / stride) - 1) * stride + effective - in, 0).
std::int64_t same_padding(std::int64_t extent, std::int64_t kernel, std::int64_t stride,
                          std::int64_t dilation) {
  const auto effective = (kernel - 1) * dilation + 1;
  const auto steps = (extent + stride - 1) / stride;
  return std::max<std::int64_t>((steps - 1) * stride + effective - extent, 0);
}

/// Kernel, strides, dilations, and pads where the extents are known; the odd pad at the end.
Status set_window(Node& node, const Window& window, wire::Padding padding, const Shape& input) {
  OCTET_TRY(check(window));
  node.attributes["kernel_shape"] = list(window.kernel);
  node.attributes["strides"] = list(window.stride);
  node.attributes["dilations"] = list(window.dilation);
  if (padding != wire::Padding::SAME && padding != wire::Padding::VALID) {
    return bad_input("its padding is of the unknown kind {}", static_cast<int>(padding));
  }
  std::vector<std::int64_t> pads(4, 0);
  for (std::size_t i = 0; padding == wire::Padding::SAME && i < 2; ++i) {
    const auto extent = input[spatial_axes[i]];
    if (extent == dynamic_dim) {
      node.attributes["auto_pad"] = std::string("SAME_UPPER");
      return {};
    }
    const auto total = same_padding(extent, window.kernel[i], window.stride[i], window.dilation[i]);
    pads[i] = total / 2;
    pads[i + 2] = total - total / 2;
  }
  node.attributes["pads"] = std::move(pads);
  return {};
}

Status check_weights(const FileTensor& input, const FileTensor& weight) {
  if (input.rank() != 4) return bad_input("its input {} is not of rank 4", input.name);
  if (weight.rank() != 4) return bad_input("its weights {} are not of rank 4", weight.name);
  if (!is_static(weight.shape)) return bad_input("its weights {} have no fixed shape", weight.name);
  if (input.shape[3] == dynamic_dim) {
    return bad_input("its input {} has no fixed number of channels", input.name);
  }
  return {};
}

/// Adds the bias, and notes that floats meet integer weights.
Status finish_product(Translator& to, const FileOperator& op, Node node, std::size_t bias,
                      std::size_t input, std::size_t weight,
                      wire::ActivationFunctionType activation) {
  if (to.has_input(op, bias)) {
    OCTET_ASSIGN(const auto value, to.bias(op.inputs[bias], op.inputs[input], op.inputs[weight]));
    node.inputs.push_back(value);
  }
  const bool hybrid = is_hybrid(to, op, input, weight);
  return finish_with_weights(to, op, std::move(node), Order::image, activation, hybrid);
}

}  // namespace

namespace {

/// The Conv of either convolution: `perm` brings the weights into the order [O,I/group,kh,kw].
template <class Options>
Result<Node> conv_node(Translator& to, const FileOperator& op, const Options& options,
                       const std::vector<int>& perm, std::int64_t group) {
  const auto& weight = to.input(op, 1);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::image));
  OCTET_ASSIGN(const auto w, to.arranged(op.inputs[1], {std::nullopt, perm}));
  auto node = Translator::node("Conv", {x, w});
  const Window window{{weight.shape[1], weight.shape[2]},
                      {options.stride_h(), options.stride_w()},
                      {options.dilation_h_factor(), options.dilation_w_factor()}};
  OCTET_TRY(set_window(node, window, options.padding(), to.input(op, 0).shape));
  node.attributes["group"] = group;
  return node;
}

tl::unexpected<Error> mismatch(const FileTensor& input, const FileTensor& weight) {
  return bad_input("its weights {} {} do not go with the input {} {}", weight.name,
                   to_string(weight.shape), input.name, to_string(input.shape));
}

}  // namespace

Status read_conv(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::Conv2DOptions>(op));
  const auto& input = to.input(op, 0);
  const auto& weight = to.input(op, 1);
  OCTET_TRY(check_weights(input, weight));
  const auto depth = weight.shape[3];
  if (depth < 1 || input.shape[3] % depth != 0) return mismatch(input, weight);
  const auto group = std::max<std::int64_t>(input.shape[3] / depth, 1);
  OCTET_ASSIGN(auto node, conv_node(to, op, *options, {0, 3, 1, 2}, group));
  return finish_product(to, op, std::move(node), 2, 0, 1, options->fused_activation_function());
}

Status read_depthwise_conv(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::DepthwiseConv2DOptions>(op));
  const auto& input = to.input(op, 0);
  const auto& weight = to.input(op, 1);
  OCTET_TRY(check_weights(input, weight));
  const auto channels = input.shape[3];
  if (weight.shape[0] != 1 || channels < 1 || weight.shape[3] % channels != 0) {
    return mismatch(input, weight);
  }
  OCTET_ASSIGN(auto node, conv_node(to, op, *options, {3, 0, 1, 2}, channels));
  return finish_product(to, op, std::move(node), 2, 0, 1, options->fused_activation_function());
}

namespace {

/// Extents of a transposed convolution's output: as stated, or those of the tensor it makes, which
/// may be dynamic.
Result<std::array<std::int64_t, 2>> output_extents(Translator& to, const FileOperator& op) {
  const auto& target = to.output(op);
  if (target.rank() != 4) return bad_input("its output {} is not of rank 4", target.name);
  if (to.input(op, 0).is_constant) {
    OCTET_ASSIGN(const auto stated, to.integers(op, 0, "output shape"));
    if (stated.size() != 4) return bad_input("its output shape has {} extents", stated.size());
    return std::array<std::int64_t, 2>{stated[1], stated[2]};
  }
  return std::array<std::int64_t, 2>{target.shape[1], target.shape[2]};
}

/// The padding is that of the convolution from output to input, and the output as large as stated:
/// in ONNX's terms pads at the end that cut, or output_padding that adds.
Status set_transposed_window(Node& node, const Window& window, wire::Padding padding,
                             const Shape& input, const std::array<std::int64_t, 2>& output) {
  OCTET_TRY(check(window));
  std::vector<std::int64_t> pads(4, 0);
  std::vector<std::int64_t> output_padding(2, 0);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto extent = input[spatial_axes[i]];
    if (output[i] == dynamic_dim) {
      // Whatever the extents: all that the input reaches, or SAME's share of it.
      const auto rest = std::max<std::int64_t>(window.kernel[i] - window.stride[i], 0);
      const auto cut = padding == wire::Padding::SAME ? rest : 0;
      pads[i] = cut / 2;
      pads[i + 2] = cut - cut / 2;
      continue;
    }
    if (extent == dynamic_dim) return bad_input("its input has no fixed height and width");
    if (output[i] < 1) return bad_input("its output shape has the extent {}", output[i]);
    const auto total = padding == wire::Padding::SAME
                           ? same_padding(output[i], window.kernel[i], window.stride[i], 1)
                           : 0;
    pads[i] = total / 2;
    const auto end = window.stride[i] * (extent - 1) + window.kernel[i] - pads[i] - output[i];
    pads[i + 2] = std::max<std::int64_t>(end, 0);
    output_padding[i] = std::max<std::int64_t>(-end, 0);
  }
  node.attributes["kernel_shape"] = list(window.kernel);
  node.attributes["strides"] = list(window.stride);
  node.attributes["pads"] = std::move(pads);
  node.attributes["output_padding"] = std::move(output_padding);
  return {};
}

}  // namespace

Status read_transpose_conv(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::TransposeConvOptions>(op));
  const auto& weight = to.input(op, 1);
  const auto& input = to.input(op, 2);
  OCTET_TRY(check_weights(input, weight));
  OCTET_ASSIGN(const auto output, output_extents(to, op));
  OCTET_ASSIGN(const auto x, to.value(op.inputs[2], Order::image));
  OCTET_ASSIGN(const auto w, to.arranged(op.inputs[1], {std::nullopt, {3, 0, 1, 2}}));
  auto node = Translator::node("ConvTranspose", {x, w});
  const Window window{
      {weight.shape[1], weight.shape[2]}, {options->stride_h(), options->stride_w()}, {1, 1}};
  OCTET_TRY(set_transposed_window(node, window, options->padding(), input.shape, output));
  return finish_product(to, op, std::move(node), 3, 2, 1, options->fused_activation_function());
}

namespace {

Result<const wire::Pool2DOptions*> set_pool(Translator& to, const FileOperator& op, Node& node) {
  OCTET_ASSIGN(const auto* options, options_of<wire::Pool2DOptions>(op));
  const auto& input = to.input(op, 0);
  if (input.rank() != 4) return bad_input("its input {} is not of rank 4", input.name);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::image));
  node.inputs = {x};
  const Window window{{options->filter_height(), options->filter_width()},
                      {options->stride_h(), options->stride_w()},
                      {1, 1}};
  OCTET_TRY(set_window(node, window, options->padding(), input.shape));
  node.attributes.erase("dilations");
  return options;
}

}  // namespace

Status read_average_pool(Translator& to, const FileOperator& op) {
  auto node = Translator::node("AveragePool", {});
  OCTET_ASSIGN(const auto* options, set_pool(to, op, node));
  node.attributes["count_include_pad"] = std::int64_t{0};
  return to.finish(op, std::move(node), Order::image, options->fused_activation_function());
}

Status read_max_pool(Translator& to, const FileOperator& op) {
  auto node = Translator::node("MaxPool", {});
  OCTET_ASSIGN(const auto* options, set_pool(to, op, node));
  return to.finish(op, std::move(node), Order::image, options->fused_activation_function());
}

}  // namespace octet::tflite

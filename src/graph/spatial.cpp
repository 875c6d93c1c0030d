#include "graph/spatial.h"

#include <algorithm>
#include <string_view>

namespace octet {
namespace {

// Attributes beyond this are damage; below it none of the sums and products here can overflow.
constexpr std::int64_t attribute_limit = std::int64_t{1} << 30;
constexpr std::int64_t extent_limit = std::int64_t{1} << 40;

Result<std::vector<std::int64_t>> read_list(const Node& node, std::string_view key,
                                            std::size_t count, std::int64_t fallback,
                                            std::int64_t minimum) {
  auto values = node.ints_attribute(key);
  if (values.empty()) values.assign(count, fallback);
  if (values.size() != count) {
    return bad_input("{} has {} entries where {} are needed", key, values.size(), count);
  }
  for (const auto value : values) {
    if (value < minimum || value > attribute_limit) {
      return bad_input("{} contains {}, which is out of range", key, value);
    }
  }
  return values;
}

Status resolve_same(SpatialGeometry& geometry, std::size_t i, std::int64_t input, bool upper) {
  if (input == dynamic_dim) {
    // Stride 1 keeps the extent, whatever it is; the caller's pads then don't depend on it either.
    if (geometry.strides[i] != 1) return {};
  }
  const auto stride = geometry.strides[i];
  const auto kernel = geometry.effective_kernel(i);
  std::int64_t total = kernel - 1;
  if (input != dynamic_dim) {
    geometry.output[i] = (input + stride - 1) / stride;
    total = std::max<std::int64_t>((geometry.output[i] - 1) * stride + kernel - input, 0);
  }
  geometry.pads_begin[i] = upper ? total / 2 : total - total / 2;
  geometry.pads_end[i] = total - geometry.pads_begin[i];
  return {};
}

Status resolve_explicit(SpatialGeometry& geometry, std::size_t i, std::int64_t input,
                        bool ceil_mode) {
  if (input == dynamic_dim) return {};
  const auto stride = geometry.strides[i];
  const auto padded = input + geometry.pads_begin[i] + geometry.pads_end[i];
  const auto room = padded - geometry.effective_kernel(i);
  if (room < 0) {
    return bad_input("the kernel covers {} where the padded input has {} (spatial dimension {})",
                     geometry.effective_kernel(i), padded, i);
  }
  auto& output = geometry.output[i];
  output = (ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
  if (ceil_mode && (output - 1) * stride >= input + geometry.pads_begin[i]) --output;
  return {};
}

Status split_pads(const Node& node, SpatialGeometry& geometry) {
  const auto n = geometry.rank();
  OCTET_ASSIGN(const auto pads, read_list(node, "pads", 2 * n, 0, 0));
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(n);
  geometry.pads_begin.assign(pads.begin(), middle);
  geometry.pads_end.assign(middle, pads.end());
  return {};
}

Result<Shape> spatial_part(const Shape& shape) {
  if (shape.size() < 3) {
    return bad_input("shape {} has no spatial dimensions after batch and channels",
                     to_string(shape));
  }
  return Shape(shape.begin() + 2, shape.end());
}

/// Strides, dilations and the checks of kernel and input that all kinds share.
Result<SpatialGeometry> start_geometry(const Node& node, const Shape& input_spatial,
                                       const Shape& kernel) {
  const auto n = input_spatial.size();
  if (kernel.size() != n) {
    return bad_input("the kernel {} does not have the {} spatial dimensions of the input",
                     to_string(kernel), n);
  }
  SpatialGeometry geometry;
  geometry.kernel = kernel;
  for (std::size_t i = 0; i < n; ++i) {
    if (kernel[i] < 1 || kernel[i] > attribute_limit) {
      return bad_input("kernel {} is out of range", to_string(kernel));
    }
    if (input_spatial[i] != dynamic_dim &&
        (input_spatial[i] < 1 || input_spatial[i] > extent_limit)) {
      return bad_input("the input's spatial shape {} is out of range", to_string(input_spatial));
    }
  }
  OCTET_ASSIGN(geometry.strides, read_list(node, "strides", n, 1, 1));
  OCTET_ASSIGN(geometry.dilations, read_list(node, "dilations", n, 1, 1));
  geometry.pads_begin.assign(n, 0);
  geometry.pads_end.assign(n, 0);
  geometry.output.assign(n, dynamic_dim);
  return geometry;
}

enum class AutoPad { none, valid, same_upper, same_lower };

Result<AutoPad> read_auto_pad(const Node& node) {
  const auto text = node.string_attribute("auto_pad", "NOTSET");
  if (text == "NOTSET" || text.empty()) return AutoPad::none;
  if (text == "VALID") return AutoPad::valid;
  if (text == "SAME_UPPER") return AutoPad::same_upper;
  if (text == "SAME_LOWER") return AutoPad::same_lower;
  return bad_input("auto_pad {} does not exist", text);
}

Status check_kernel_shape(const Node& node, const Shape& kernel, const Shape& weight) {
  const auto stated = node.ints_attribute("kernel_shape");
  if (stated.empty() || stated == kernel) return {};
  return bad_input("kernel_shape {} contradicts the weight {}", to_string(stated),
                   to_string(weight));
}

Status check_transposed_channels(const Node& node, const Shape& input, const Shape& weight) {
  const auto group = node.int_attribute("group", 1);
  if (group < 1) return bad_input("group {} is out of range", group);
  const auto channels = input[1] != dynamic_dim ? input[1] : weight[0];
  if (weight[0] != dynamic_dim && weight[0] != channels) {
    return bad_input("input {} has {} channels where weight {} needs {}", to_string(input),
                     channels, to_string(weight), weight[0]);
  }
  if (channels != dynamic_dim && (channels < 1 || channels % group != 0)) {
    return bad_input("group {} does not divide the {} channels of input {}", group, channels,
                     to_string(input));
  }
  return {};
}

/// Output and pads of one dimension of a ConvTranspose. `demanded` is the extent that the
/// attribute output_shape states, or dynamic_dim.
Status resolve_transposed(SpatialGeometry& geometry, std::size_t i, std::int64_t input,
                          std::int64_t output_padding, std::int64_t demanded, AutoPad auto_pad) {
  const auto stride = geometry.strides[i];
  const bool same = auto_pad == AutoPad::same_upper || auto_pad == AutoPad::same_lower;
  auto& output = geometry.output[i];
  // Keeps every sum below 2^60 + 2^31 + 2^60 in magnitude.
  if (input != dynamic_dim && input > (std::int64_t{1} << 60) / stride) {
    return bad_input("stride {} times {} is out of range (spatial dimension {})", stride, input, i);
  }
  const auto tail = output_padding + geometry.effective_kernel(i);
  if (demanded == dynamic_dim && !same) {
    if (input == dynamic_dim) return {};
    output = stride * (input - 1) + tail - geometry.pads_begin[i] - geometry.pads_end[i];
    if (output >= 1 && output <= extent_limit) return {};
    return bad_input("the output's extent {} is out of range (spatial dimension {})", output, i);
  }
  output = demanded;
  auto total = tail - stride;
  if (demanded != dynamic_dim) {
    geometry.pads_begin[i] = geometry.pads_end[i] = 0;
    if (input == dynamic_dim) return {};
    total = stride * (input - 1) + tail - demanded;
  } else if (input != dynamic_dim) {
    output = input * stride;
    if (output > extent_limit) return bad_input("the output's extent {} is out of range", output);
  }
  total = std::max<std::int64_t>(total, 0);
  geometry.pads_begin[i] = auto_pad == AutoPad::same_upper ? total / 2 : total - total / 2;
  geometry.pads_end[i] = total - geometry.pads_begin[i];
  return {};
}

}  // namespace

Result<SpatialGeometry> resolve_spatial(const Node& node, const Shape& input_spatial,
                                        const Shape& kernel) {
  OCTET_ASSIGN(auto geometry, start_geometry(node, input_spatial, kernel));
  OCTET_ASSIGN(const auto auto_pad, read_auto_pad(node));
  if (auto_pad == AutoPad::none) OCTET_TRY(split_pads(node, geometry));
  const bool same = auto_pad == AutoPad::same_upper || auto_pad == AutoPad::same_lower;
  const bool ceil_mode = node.int_attribute("ceil_mode", 0) != 0;
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    OCTET_TRY(same ? resolve_same(geometry, i, input_spatial[i], auto_pad == AutoPad::same_upper)
                   : resolve_explicit(geometry, i, input_spatial[i], ceil_mode));
  }
  return geometry;
}

Result<SpatialGeometry> resolve_conv(const Node& node, const Shape& input, const Shape& weight) {
  if (weight.size() != input.size()) {
    return bad_input("input {} and weight {} differ in rank", to_string(input), to_string(weight));
  }
  OCTET_ASSIGN(const auto spatial, spatial_part(input));
  const Shape kernel(weight.begin() + 2, weight.end());
  OCTET_TRY(check_kernel_shape(node, kernel, weight));
  return resolve_spatial(node, spatial, kernel);
}

Result<SpatialGeometry> resolve_conv_transpose(const Node& node, const Shape& input,
                                               const Shape& weight) {
  if (weight.size() != input.size()) {
    return bad_input("input {} and weight {} differ in rank", to_string(input), to_string(weight));
  }
  OCTET_ASSIGN(const auto spatial, spatial_part(input));
  const Shape kernel(weight.begin() + 2, weight.end());
  OCTET_TRY(check_kernel_shape(node, kernel, weight));
  OCTET_TRY(check_transposed_channels(node, input, weight));
  OCTET_ASSIGN(auto geometry, start_geometry(node, spatial, kernel));
  const auto n = geometry.rank();
  OCTET_ASSIGN(const auto auto_pad, read_auto_pad(node));
  OCTET_ASSIGN(const auto extra, read_list(node, "output_padding", n, 0, 0));
  OCTET_ASSIGN(auto demanded, read_list(node, "output_shape", n, dynamic_dim, dynamic_dim));
  for (const auto extent : demanded) {
    if (extent == 0) return bad_input("output_shape contains 0, which is out of range");
  }
  if (auto_pad == AutoPad::none) OCTET_TRY(split_pads(node, geometry));
  for (std::size_t i = 0; i < n; ++i) {
    OCTET_TRY(resolve_transposed(geometry, i, spatial[i], extra[i], demanded[i], auto_pad));
  }
  return geometry;
}

Result<SpatialGeometry> resolve_pool(const Node& node, const Shape& input) {
  OCTET_ASSIGN(const auto spatial, spatial_part(input));
  const auto kernel = node.ints_attribute("kernel_shape");
  if (kernel.empty()) return bad_input("kernel_shape is missing");
  OCTET_ASSIGN(auto geometry, resolve_spatial(node, spatial, kernel));
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto widest = std::max(geometry.pads_begin[i], geometry.pads_end[i]);
    if (widest >= geometry.effective_kernel(i)) {
      return bad_input("padding {} is not smaller than the kernel {}", widest,
                       geometry.effective_kernel(i));
    }
  }
  return geometry;
}

}  // namespace octet

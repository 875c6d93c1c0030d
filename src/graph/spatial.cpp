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

}  // namespace

Result<SpatialGeometry> resolve_spatial(const Node& node, const Shape& input_spatial,
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

  const auto auto_pad = node.string_attribute("auto_pad", "NOTSET");
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (!same && auto_pad != "NOTSET" && auto_pad != "VALID" && !auto_pad.empty()) {
    return bad_input("auto_pad {} does not exist", auto_pad);
  }
  if (!same && auto_pad != "VALID") OCTET_TRY(split_pads(node, geometry));
  const bool ceil_mode = node.int_attribute("ceil_mode", 0) != 0;
  for (std::size_t i = 0; i < n; ++i) {
    OCTET_TRY(same ? resolve_same(geometry, i, input_spatial[i], auto_pad == "SAME_UPPER")
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
  const auto stated = node.ints_attribute("kernel_shape");
  if (!stated.empty() && stated != kernel) {
    return bad_input("kernel_shape {} contradicts the weight {}", to_string(stated),
                     to_string(weight));
  }
  return resolve_spatial(node, spatial, kernel);
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

#include "graph/resize.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

constexpr std::int64_t extent_limit = std::int64_t{1} << 40;

/// The axes that scales or sizes speak of, in their order.
Result<std::vector<std::size_t>> resized_axes(const Node& node, std::size_t rank) {
  const auto given = node.ints_attribute("axes");
  std::vector<std::size_t> axes;
  if (given.empty()) {
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(i);
    return axes;
  }
  std::vector<bool> seen(rank, false);
  for (const auto entry : given) {
    OCTET_ASSIGN(const auto axis, normalize_axis(entry, rank));
    const auto i = static_cast<std::size_t>(axis);
    if (seen[i]) return bad_input("axis {} is named twice", axis);
    seen[i] = true;
    axes.push_back(i);
  }
  return axes;
}

Result<std::int64_t> checked_extent(float extent) {
  if (extent >= 0 && extent <= static_cast<float>(extent_limit)) {
    return static_cast<std::int64_t>(extent);
  }
  return bad_input("an output extent of {} is out of range", extent);
}

Status apply_scales(ResizeGeometry& geometry, const std::vector<std::size_t>& axes,
                    std::span<const float> scales) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto scale = scales[i];
    if (!(scale > 0) || !std::isfinite(scale)) {
      return bad_input("the scale {} is out of range", scale);
    }
    geometry.scales[axes[i]] = scale;
    auto& extent = geometry.output[axes[i]];
    if (extent == dynamic_dim) continue;
    OCTET_ASSIGN(extent, checked_extent(std::floor(static_cast<float>(extent) * scale)));
  }
  return {};
}

/// Output / input; 0 when it can't be known, and 1 for nothing made of nothing.
Result<float> stretch_scale(std::int64_t input, std::int64_t size) {
  if (size < 0 || size > extent_limit) return bad_input("the size {} is out of range", size);
  if (input == dynamic_dim) return 0.0F;
  if (input != 0) return static_cast<float>(size) / static_cast<float>(input);
  if (size != 0) return bad_input("an empty axis cannot get the size {}", size);
  return 1.0F;
}

Status apply_sizes(ResizeGeometry& geometry, const std::vector<std::size_t>& axes,
                   std::span<const std::int64_t> sizes) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    OCTET_ASSIGN(geometry.scales[axes[i]], stretch_scale(geometry.output[axes[i]], sizes[i]));
    geometry.output[axes[i]] = sizes[i];
  }
  return {};
}

/// One scale for all axes: the least (or largest) that the sizes ask for.
Status keep_aspect_ratio(ResizeGeometry& geometry, const Shape& input,
                         const std::vector<std::size_t>& axes, bool not_larger) {
  if (axes.empty()) return {};
  bool is_known = true;
  float common = geometry.scales[axes.front()];
  for (const auto axis : axes) {
    const auto scale = geometry.scales[axis];
    is_known = is_known && input[axis] != dynamic_dim;
    common = not_larger ? std::min(common, scale) : std::max(common, scale);
  }
  for (const auto axis : axes) {
    geometry.scales[axis] = is_known ? common : 0.0F;
    geometry.output[axis] = dynamic_dim;
    if (!is_known) continue;
    OCTET_ASSIGN(geometry.output[axis],
                 checked_extent(std::round(common * static_cast<float>(input[axis]))));
  }
  return {};
}

}  // namespace

Result<ResizeGeometry> resolve_resize(const Node& node, const Shape& input,
                                      std::span<const float> scales,
                                      std::span<const std::int64_t> sizes) {
  OCTET_ASSIGN(const auto axes, resized_axes(node, input.size()));
  if (!scales.empty() && !sizes.empty()) return bad_input("both scales and sizes are given");
  const auto count = scales.empty() ? sizes.size() : scales.size();
  if (count != axes.size()) {
    return bad_input("{} {} where {} axes are resized", count, scales.empty() ? "sizes" : "scales",
                     axes.size());
  }
  const auto policy = node.string_attribute("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller") {
    return bad_input("keep_aspect_ratio_policy {} does not exist", policy);
  }
  ResizeGeometry geometry{input, std::vector<float>(input.size(), 1.0F)};
  if (!scales.empty()) {
    OCTET_TRY(apply_scales(geometry, axes, scales));
    return geometry;
  }
  OCTET_TRY(apply_sizes(geometry, axes, sizes));
  if (policy != "stretch") {
    OCTET_TRY(keep_aspect_ratio(geometry, input, axes, policy == "not_larger"));
  }
  return geometry;
}

}  // namespace octet

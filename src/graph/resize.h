#pragma once
// Geometry of Resize: one place that reads scales, sizes, axes and keep_aspect_ratio_policy.

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.h"

namespace octet {

/// One entry for each axis of the input.
struct ResizeGeometry {
  Shape output;
  /// Output elements for one of the input, as the coordinate transformation divides by it: the
  /// given scale, or output / input where sizes were given. 0 where the input's extent is dynamic
  /// and the sizes were given.
  std::vector<float> scales;
};

/// Exactly one of `scales` (input 2) and `sizes` (input 3) has entries: one for each axis, or for
/// each entry of the attribute axes. Formulas of the ONNX operator specification:
///
///   scales                      out = floor(in * scale), the product in float32
///   sizes, stretch              out = size, scale = out / in in float32
///   sizes, not_larger/_smaller  scale = the least/largest size / in of the axes, for all of them;
///                               out = in * scale rounded half away from zero
///
/// tf_crop_and_resize takes no part in it: as in the specification's reference implementation the
/// extent of its region does not change the output's. Dynamic extents in `input` give dynamic ones
/// where they count. Fails on lengths, scales and sizes out of range; the message does not name
/// the node.
[[nodiscard]] Result<ResizeGeometry> resolve_resize(const Node& node, const Shape& input,
                                                    std::span<const float> scales,
                                                    std::span<const std::int64_t> sizes);

}  // namespace octet

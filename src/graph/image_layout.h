#pragma once
// In which order the axes of images lie at a model's inputs.

#include <optional>

#include "graph/graph.h"

namespace octet {

enum class AxisOrder : std::uint8_t {
  channels_first,  ///< [N,C,H,W]
  channels_last,   ///< [N,H,W,C]
};

/// The order that what reads a rank-4 f32 value shows: a Transpose to channels-first behind it, or
/// a spatial operator (convolution, pooling, resizing) that reads it, elementwise operators and
/// padding between allowed. nullopt where neither is found, or the rank is another.
[[nodiscard]] std::optional<AxisOrder> shown_axis_order(const Graph& graph, ValueId value);

/// The same, else by the extents: channels last where the last axis, and not the second, has 1 or 3
/// elements; channels first where that says nothing either.
[[nodiscard]] AxisOrder image_axis_order(const Graph& graph, ValueId value);

/// Axes of [N,H,W,C] as a Transpose reads them to make [N,C,H,W], and the other way round.
[[nodiscard]] std::vector<std::int64_t> to_channels_first();
[[nodiscard]] std::vector<std::int64_t> to_channels_last();

}  // namespace octet

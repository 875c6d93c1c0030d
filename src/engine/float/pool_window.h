#pragma once
// What the windows of a pooling operator read along one dimension, and how pooling in any number of
// dimensions is called.

#include <algorithm>
#include <cstdint>

#include "engine/float/ops.h"
#include "graph/spatial.h"

namespace octet::float_engine {

enum class Pool { maximum, average };

/// Along one dimension: what a window reads and, for an average, how many positions it counts.
struct Window {
  std::int64_t input = 0;  ///< extent
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
  std::int64_t output = 1;

  [[nodiscard]] std::int64_t start(std::int64_t o) const { return o * stride - pad_begin; }
  /// First kernel index that reads the input.
  [[nodiscard]] std::int64_t first(std::int64_t o) const {
    const std::int64_t s = start(o);
    return s >= 0 ? 0 : (-s + dilation - 1) / dilation;
  }
  /// One past the last kernel index that reads the input.
  [[nodiscard]] std::int64_t last(std::int64_t o) const {
    const std::int64_t room = input - start(o);
    return room <= 0 ? 0 : std::min(kernel, (room + dilation - 1) / dilation);
  }
  /// Kernel positions on the input and its padding; what ceil_mode adds beyond does not count.
  [[nodiscard]] std::int64_t padded_count(std::int64_t o) const {
    const std::int64_t room = input + pad_end - start(o);
    return std::clamp<std::int64_t>((room + dilation - 1) / dilation, 0, kernel);
  }
};

[[nodiscard]] inline Window window(const SpatialGeometry& geometry, std::size_t i,
                                   std::int64_t input) {
  return {input,
          geometry.kernel[i],
          geometry.strides[i],
          geometry.dilations[i],
          geometry.pads_begin[i],
          geometry.pads_end[i],
          geometry.output[i]};
}

/// Pooling of a plain tensor in any number of spatial dimensions, also of 8-bit codes (maximum
/// only). With `indices`, the second output says where each maximum was found: its position in the
/// flattened input, images and channels included, the spatial dimensions in column-major order when
/// the attribute storage_order is 1.
[[nodiscard]] Outputs pool_plain(Pool kind, const Node& node, const Tensor& x, bool indices);

}  // namespace octet::float_engine

#pragma once
// A kernel sliding over a grid, as columns: the common part of convolutions that oneDNN does not
// compute for octet. Grid element g and kernel tap k meet at the image element
// g * stride + k * dilation - pad. In a Conv the image is the input and the grid the output; in a
// ConvTranspose it is the other way round.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/shape.h"
#include "graph/spatial.h"

namespace octet::float_engine {

/// Vectors have one entry for each spatial dimension, outermost first.
struct ColumnWalk {
  std::vector<std::int64_t> kernel, strides, dilations, pads;
  Shape image;
  Shape grid;

  ColumnWalk(const SpatialGeometry& geometry, Shape image_extents, Shape grid_extents)
      : kernel(geometry.kernel),
        strides(geometry.strides),
        dilations(geometry.dilations),
        pads(geometry.pads_begin),
        image(std::move(image_extents)),
        grid(std::move(grid_extents)) {}

  [[nodiscard]] std::int64_t taps() const { return element_count(kernel); }

  /// The same over `count` rows of the grid's outermost dimension from `first` on.
  [[nodiscard]] ColumnWalk part(std::int64_t first, std::int64_t count) const {
    ColumnWalk result = *this;
    result.pads[0] -= first * strides[0];
    result.grid[0] = count;
    return result;
  }

  /// Calls fn(tap, image_offset, image_step, grid_offset, count) for each run along the grid's
  /// innermost dimension where the tap lies on the image; offsets and steps in elements.
  template <class Fn>
  void for_each_run(Fn fn) const {
    const std::int64_t count = taps();
    Box box(grid.size());
    for (std::int64_t tap = 0; tap < count; ++tap) {
      if (!place(tap, box)) continue;
      visit(tap, box, fn);
    }
  }

 private:
  /// The grid elements whose tap lies on the image.
  struct Box {
    explicit Box(std::size_t rank) : low(rank), high(rank), offset(rank), at(rank) {}
    std::vector<std::int64_t> low, high, offset, at;
  };

  bool place(std::int64_t tap, Box& box) const {
    for (std::size_t d = grid.size(); d-- > 0; tap /= kernel[d]) {
      const std::int64_t offset = tap % kernel[d] * dilations[d] - pads[d];
      const std::int64_t room = image[d] - offset;
      box.offset[d] = offset;
      box.low[d] = offset >= 0 ? 0 : (strides[d] - 1 - offset) / strides[d];
      box.high[d] = room <= 0 ? 0 : std::min(grid[d], (room - 1) / strides[d] + 1);
      if (box.low[d] >= box.high[d]) return false;
    }
    return true;
  }

  template <class Fn>
  void visit(std::int64_t tap, Box& box, Fn fn) const {
    const std::size_t inner = grid.size() - 1;
    box.at = box.low;
    for (;;) {
      std::int64_t image_offset = 0;
      std::int64_t grid_offset = 0;
      for (std::size_t d = 0; d <= inner; ++d) {
        image_offset = image_offset * image[d] + box.at[d] * strides[d] + box.offset[d];
        grid_offset = grid_offset * grid[d] + box.at[d];
      }
      fn(tap, image_offset, strides[inner], grid_offset, box.high[inner] - box.low[inner]);
      std::size_t d = inner;
      for (; d > 0; --d) {
        if (++box.at[d - 1] < box.high[d - 1]) break;
        box.at[d - 1] = box.low[d - 1];
      }
      if (d == 0) return;
    }
  }
};

}  // namespace octet::float_engine

#pragma once
// Convolution as a matrix product, without im2col: the input codes under one kernel row lie side
// by side in memory (see segment_shape), so a tile reads kernel_height segments per pixel, all at
// a constant distance from those of the next pixel. MatrixConv cuts a call into tiles; a Backend
// computes them with its instruction set.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kernels/conv.h"
#include "kernels/x86/packing.h"
#include "kernels/x86/requantize_params.h"
#include "kernels/x86/row_window.h"

namespace octet::kernels {

/// Input and output of one tile: some pixels by the channels of one OutputBlock. Code j of segment
/// s of pixel p is segments[s][offset + p * pixel_stride + j].
template <class Element, class Weight>
struct MatrixTile {
  const Element* const* segments = nullptr;
  int segment_count = 1;
  int steps = 1;  ///< multiply steps per segment
  std::int64_t offset = 0;
  std::int64_t pixel_stride = 0;
  const Weight* weights = nullptr;
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  std::uint8_t* output = nullptr;
  std::int64_t output_stride = 0;
  int channels = 0;  ///< stored
  RequantizeParams requantize;
};

/// Backend has: types Element, Weight; `order`; full_vectors(channels of a group);
/// full_pixels(vectors); run_tile(pixels, vectors, tile).
template <class Backend>
class MatrixConv final : public Conv {
 public:
  using Element = typename Backend::Element;
  using Tile = MatrixTile<Element, typename Backend::Weight>;

  MatrixConv(const ConvParams& params, std::string_view name)
      : name_(name),
        input_zero_point_(params.input_zero_point),
        requantize_(params),
        packed_(pack_matrix<typename Backend::Weight>(
            params, Backend::order,
            Backend::full_vectors(params.geometry.out_channels / params.geometry.groups))) {}

  void run(const ConvGeometry& geometry, const std::uint8_t* input, std::uint8_t* output,
           std::int64_t first_row, std::int64_t last_row, std::byte* scratch) const override {
    if (is_pointwise(geometry) && geometry.groups == 1) {
      run_pointwise(geometry, input, output, first_row, last_row, scratch);
    } else {
      run_rows(geometry, input, output, first_row, last_row, scratch);
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& geometry) const override {
    if (is_pointwise(geometry) && geometry.groups == 1) {
      return widens ? static_cast<std::size_t>(chunk_pixels(geometry) * geometry.in_channels) *
                              sizeof(Element) +
                          64
                    : 0;
    }
    return segment_bytes() + RowWindow<Element>::scratch_bytes(geometry);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  static constexpr bool widens = !std::is_same_v<Element, std::uint8_t>;

  [[nodiscard]] std::size_t segment_bytes() const {
    return whole_lines(static_cast<std::size_t>(packed_.segments.count) * sizeof(Element*));
  }

  /// Pixels whose input stays in the second-level cache while all weights pass by.
  [[nodiscard]] static std::int64_t chunk_pixels(const ConvGeometry& geometry) {
    constexpr std::int64_t bytes = 128 * 1024;
    const auto pixel_bytes = static_cast<std::int64_t>(sizeof(Element)) * geometry.in_channels;
    return std::max<std::int64_t>(bytes / pixel_bytes, 48);
  }

  [[nodiscard]] Tile tile_for(const Element* const* segments, const ConvGeometry& geometry) const {
    Tile tile;
    tile.segments = segments;
    tile.segment_count = packed_.segments.count;
    tile.steps = packed_.steps;
    tile.pixel_stride = std::int64_t{geometry.stride_width} * geometry.in_channels;
    tile.output_stride = geometry.out_channels;
    tile.requantize = requantize_;
    return tile;
  }

  /// All rows together are one long row of pixels.
  void run_pointwise(const ConvGeometry& geometry, const std::uint8_t* input, std::uint8_t* output,
                     std::int64_t first_row, std::int64_t last_row, std::byte* scratch) const {
    const std::int64_t last = last_row * geometry.out_width;
    const std::int64_t channels = geometry.in_channels;
    const std::int64_t chunk = chunk_pixels(geometry);
    for (std::int64_t pixel = first_row * geometry.out_width; pixel < last; pixel += chunk) {
      const std::int64_t pixels = std::min(chunk, last - pixel);
      const std::uint8_t* from = input + pixel * channels;
      const Element* segment = nullptr;
      if constexpr (widens) {
        auto* to = reinterpret_cast<Element*>(scratch);
        std::copy_n(from, pixels * channels, to);
        segment = to;
      } else {
        segment = from;
      }
      run_pixels(tile_for(&segment, geometry), pixels, output + pixel * geometry.out_channels);
    }
  }

  void run_rows(const ConvGeometry& geometry, const std::uint8_t* input, std::uint8_t* output,
                std::int64_t first_row, std::int64_t last_row, std::byte* scratch) const {
    auto** segments = reinterpret_cast<const Element**>(scratch);
    RowWindow<Element> window(geometry, input, input_zero_point_, scratch + segment_bytes());
    const Tile tile = tile_for(segments, geometry);
    const auto& shape = packed_.segments;
    for (std::int64_t row = first_row; row < last_row; ++row) {
      window.move_to(row);
      for (int s = 0; s < shape.count; ++s) {
        segments[s] = window.row(s / shape.per_row) + s % shape.per_row * shape.step;
      }
      run_pixels(tile, geometry.out_width,
                 output + row * geometry.out_width * geometry.out_channels);
    }
  }

  /// `output` is that of the first pixel. Weights stay close while pixels pass by.
  void run_pixels(Tile tile, std::int64_t pixels, std::uint8_t* output) const {
    for (const auto& block : packed_.blocks) {
      tile.weights = packed_.weights.data() + block.weights;
      tile.bias = packed_.bias.data() + block.lanes;
      tile.multiplier = packed_.multiplier.data() + block.lanes;
      tile.channels = block.channels;
      // Tiles of equal width rather than full ones and a narrow rest.
      const std::int64_t full = Backend::full_pixels(block.vectors);
      const std::int64_t tiles = (pixels + full - 1) / full;
      for (std::int64_t t = 0, first = 0; t < tiles; ++t) {
        const std::int64_t next = (t + 1) * pixels / tiles;
        tile.offset = block.first_input + first * tile.pixel_stride;
        tile.output = output + block.first_channel + first * tile.output_stride;
        Backend::run_tile(static_cast<int>(next - first), block.vectors, tile);
        first = next;
      }
    }
  }

  std::string_view name_;
  std::uint8_t input_zero_point_;
  RequantizeParams requantize_;
  PackedMatrix<typename Backend::Weight> packed_;
};

}  // namespace octet::kernels

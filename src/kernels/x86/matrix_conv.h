#pragma once
// Convolution as a matrix product, without im2col: the input codes under one kernel row lie side
// by side in memory (see segment_shape), so a tile reads kernel_height segments per pixel, all at
// a constant distance from those of the next pixel. MatrixConv cuts a call into tiles; a Backend
// computes them with its instruction set.

#include <algorithm>
#include <array>
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
/// s of pixel p is segments[s][offset + p * pixel_stride + j]; the segments of the next row of
/// pixels follow those of this one.
template <class Element, class Weight>
struct MatrixTile {
  const Element* const* segments = nullptr;
  int segment_count = 1;
  int steps = 1;  ///< multiply steps per segment
  std::int64_t offset = 0;
  std::int64_t pixel_stride = 0;
  const Weight* weights = nullptr;
  const ExcessWindow* excess = nullptr;  ///< one register's after the other's
  std::array<int, 2> excess_windows{};   ///< of each register
  const std::int32_t* bias = nullptr;
  const std::int32_t* row_bias = nullptr;  ///< one for each pixel, or nullptr (AVX512-VNNI only)
  const float* multiplier = nullptr;
  const float* output_bias = nullptr;  ///< floats
  float input_scale = 1;               ///< floats
  void* output = nullptr;              ///< elements of requantize.output
  std::int64_t output_stride = 0;      ///< elements
  int channels = 0;                    ///< stored
  bool plain_lanes = false;            ///< codes: registers are in plain order (AVX512-VNNI only)
  RequantizeParams requantize;
};

/// What a run of pixels needs from beginning to end for backends that cut it into equal tiles
/// rather than full ones and a narrow rest. `full_pixels(vectors)` is the width of a full tile,
/// `run_tile(pixels, vectors, tile)` computes one.
template <class Tile, auto full_pixels, auto run_tile>
class EqualTiles {
 public:
  EqualTiles(std::int64_t /*pixels*/, int /*tile_steps*/) {}

  void run(std::int64_t rows, std::int64_t pixels, int vectors, Tile tile) const {
    const auto bytes = static_cast<std::int64_t>(element_bytes(tile.requantize.output));
    for (std::int64_t row = 0; row < rows; ++row) {
      run_row(pixels, vectors, tile);
      tile.segments += tile.segment_count;
      tile.output = static_cast<std::byte*>(tile.output) + pixels * tile.output_stride * bytes;
    }
  }

 private:
  void run_row(std::int64_t pixels, int vectors, Tile tile) const {
    const std::int64_t full = full_pixels(vectors);
    const std::int64_t tiles = (pixels + full - 1) / full;
    const auto bytes = static_cast<std::int64_t>(element_bytes(tile.requantize.output));
    const std::int64_t offset = tile.offset;
    auto* output = static_cast<std::byte*>(tile.output);
    for (std::int64_t t = 0, first = 0; t < tiles; ++t) {
      const std::int64_t next = (t + 1) * pixels / tiles;
      tile.offset = offset + first * tile.pixel_stride;
      tile.output = output + first * tile.output_stride * bytes;
      run_tile(static_cast<int>(next - first), vectors, tile);
      first = next;
    }
  }
};

/// Backend has: types Element, Weight; order(output); full_vectors(channels of a group); Scope,
/// made with (pixels, tile_steps), whose run(rows, pixels, vectors, tile) computes a block of
/// channels of so many rows of pixels.
template <class Backend>
class MatrixConv final : public Conv {
 public:
  using Element = typename Backend::Element;
  using Tile = MatrixTile<Element, typename Backend::Weight>;

  MatrixConv(const ConvParams& params, std::string_view name)
      : name_(name),
        input_zero_point_(params.input_zero_point),
        input_scale_(params.input_scale),
        requantize_(params),
        packed_(pack_matrix<typename Backend::Weight>(
            params, Backend::order(params.output),
            Backend::full_vectors(params.geometry.out_channels / params.geometry.groups))),
        channel_step_(params.geometry.groups == 1 ? packed_.blocks.front().channels : 0) {}

  void run(const ConvGeometry& geometry, const ConvCall& call) const override {
    const InputParams input =
        call.input_params.value_or(InputParams{input_zero_point_, input_scale_});
    Call state{call, {}, input.zero_point};
    state.tile.input_scale = input.scale;
    state.tile.bias = biases_of(packed_.lanes, input_zero_point_, call);
    state.tile.pixel_stride = std::int64_t{geometry.stride_width} * geometry.in_channels;
    state.tile.output_stride = geometry.out_channels;
    state.tile.requantize = requantize_;
    state.tile.segment_count = packed_.segments.count;
    state.tile.steps = packed_.steps;
    if (is_pointwise(geometry) && geometry.groups == 1) {
      run_pointwise(geometry, state);
    } else {
      run_rows(geometry, state);
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& geometry) const override {
    if (is_pointwise(geometry) && geometry.groups == 1) {
      return packed_.lanes.moved_bytes +
             (widens ? static_cast<std::size_t>(chunk_pixels(geometry) * geometry.in_channels) *
                               sizeof(Element) +
                           64
                     : 0);
    }
    const int rows = chunk_rows(geometry);
    return packed_.lanes.moved_bytes + segment_bytes(rows) +
           RowWindow<Element>::scratch_bytes(geometry, rows);
  }

  [[nodiscard]] int channel_step() const override { return channel_step_; }

  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] const PackedMatrix<typename Backend::Weight>& packed() const { return packed_; }

 private:
  static constexpr bool widens = !std::is_same_v<Element, std::uint8_t>;

  /// A call whose quantization has been looked up. The tile's bias is that of the first lane.
  struct Call {
    ConvCall call;
    Tile tile;
    std::uint8_t input_zero_point;
  };

  [[nodiscard]] std::size_t segment_bytes(int rows) const {
    return whole_lines(static_cast<std::size_t>(rows * packed_.segments.count) * sizeof(Element*));
  }
  /// Input that stays in the second-level cache while all weights pass by.
  static constexpr std::int64_t chunk_bytes = 128 * 1024;

  /// Output rows with so much input.
  [[nodiscard]] static int chunk_rows(const ConvGeometry& geometry) {
    const std::int64_t bytes = RowWindow<Element>::row_bytes(geometry) * geometry.stride_height;
    return static_cast<int>(std::clamp<std::int64_t>(chunk_bytes / std::max<std::int64_t>(bytes, 1),
                                                     1, std::max(geometry.out_height, 1)));
  }

  [[nodiscard]] static std::int64_t chunk_pixels(const ConvGeometry& geometry) {
    const auto pixel_bytes = static_cast<std::int64_t>(sizeof(Element)) * geometry.in_channels;
    return std::max<std::int64_t>(chunk_bytes / pixel_bytes, 48);
  }

  /// All rows together are one long row of pixels.
  void run_pointwise(const ConvGeometry& geometry, const Call& state) const {
    const std::int64_t last = state.call.last_row * geometry.out_width;
    const std::int64_t channels = geometry.in_channels;
    const std::int64_t chunk = chunk_pixels(geometry);
    const std::int64_t output_pixel = state.call.output_row * geometry.out_width;
    const Element* segment = nullptr;
    Tile tile = state.tile;
    tile.segments = &segment;
    for (std::int64_t pixel = state.call.first_row * geometry.out_width; pixel < last;
         pixel += chunk) {
      const std::int64_t pixels = std::min(chunk, last - pixel);
      const std::uint8_t* from = state.call.input + pixel * channels;
      if constexpr (widens) {
        auto* to = reinterpret_cast<Element*>(state.call.scratch + packed_.lanes.moved_bytes);
        std::copy_n(from, pixels * channels, to);
        segment = to;
      } else {
        segment = from;
      }
      typename Backend::Scope scope(pixels, packed_.tile_steps);
      run_pixels(scope, tile, 1, pixels, state.call,
                 (pixel - output_pixel) * geometry.out_channels);
    }
  }

  void run_rows(const ConvGeometry& geometry, const Call& state) const {
    std::byte* scratch = state.call.scratch + packed_.lanes.moved_bytes;
    auto** segments = reinterpret_cast<const Element**>(scratch);
    const int most = chunk_rows(geometry);
    RowWindow<Element> window(geometry, state.call.input, state.input_zero_point,
                              scratch + segment_bytes(most), most);
    Tile tile = state.tile;
    tile.segments = segments;
    typename Backend::Scope scope(geometry.out_width, packed_.tile_steps);
    for (std::int64_t row = state.call.first_row; row < state.call.last_row;) {
      // Rows of one image.
      const std::int64_t image_end = (row / geometry.out_height + 1) * geometry.out_height;
      const std::int64_t next = std::min({row + most, state.call.last_row, image_end});
      for (std::int64_t r = row; r < next; ++r) {
        window.move_to(r);
        point_segments(window, segments + (r - row) * packed_.segments.count);
      }
      run_pixels(scope, tile, next - row, geometry.out_width, state.call,
                 (row - state.call.output_row) * geometry.out_width * geometry.out_channels);
      row = next;
    }
  }

  void point_segments(const RowWindow<Element>& window, const Element** segments) const {
    const auto& shape = packed_.segments;
    for (int s = 0; s < shape.count; ++s) {
      segments[s] = window.row(s / shape.per_row) + s % shape.per_row * shape.step;
    }
  }

  /// Rows of `pixels`; the first pixel's output is element `position`. Weights stay close while
  /// pixels pass by.
  void run_pixels(typename Backend::Scope& scope, Tile tile, std::int64_t rows, std::int64_t pixels,
                  const ConvCall& call, std::int64_t position) const {
    const std::int32_t* bias = tile.bias;
    const auto bytes = static_cast<std::int64_t>(element_bytes(requantize_.output));
    for (const auto& block : packed_.blocks) {
      if (block.first_channel < call.channels.first || block.first_channel >= call.channels.last)
        continue;
      tile.weights = packed_.weights.data() + block.weights;
      tile.excess = packed_.excess.data() + block.excess;
      tile.excess_windows = block.excess_windows;
      tile.bias = bias + block.lanes;
      tile.multiplier = packed_.lanes.multiplier.data() + block.lanes;
      tile.output_bias = packed_.lanes.output_bias.data() + block.lanes;
      tile.channels = block.channels;
      tile.offset = block.first_input;
      tile.output = static_cast<std::byte*>(call.output) + (position + block.first_channel) * bytes;
      scope.run(rows, pixels, block.vectors, tile);
    }
  }

  std::string_view name_;
  std::uint8_t input_zero_point_;
  float input_scale_;
  RequantizeParams requantize_;
  PackedMatrix<typename Backend::Weight> packed_;
  int channel_step_;  ///< channels of a full block
};

}  // namespace octet::kernels

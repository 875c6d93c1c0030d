#pragma once
// Depthwise convolution, channels across the registers. DepthwiseConv walks over rows and channel
// blocks; a Backend computes one output row of one block.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/conv.h"
#include "kernels/x86/packing.h"
#include "kernels/x86/requantize_params.h"
#include "kernels/x86/row_window.h"

namespace octet::kernels {

/// One channel block of one output row, or of two rows one below the other. Tap t of output pixel
/// x, channel c of the block is taps[t][offset + x * stride * pixel_stride + c]; empty slots of a
/// group point to some readable tap.
template <class Weight>
struct DepthwiseRow {
  const std::uint8_t* const* taps = nullptr;
  int tap_groups = 1;
  std::int64_t offset = 0;
  int pixels = 1;
  int rows = 1;                        ///< 2 only where the kernel takes rows together
  std::int64_t pixel_stride = 0;       ///< from one input pixel to the next
  std::int64_t column_stride = 0;      ///< from one column of the kernel to the next
  std::int64_t output_stride = 0;      ///< from one output pixel to the next (channels)
  std::int64_t output_row_stride = 0;  ///< from one output row to the next
  int stride = 1;                      ///< input pixels per output pixel
  const Weight* weights = nullptr;
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  const float* output_bias = nullptr;  ///< floats
  float input_scale = 1;               ///< floats
  void* output = nullptr;              ///< elements of requantize.output
  int channels = 0;                    ///< stored
  RequantizeParams requantize;
};

/// Kernels of 3x3 without dilation along the row and a stride of 1 or 2: neighbouring output pixels
/// share columns of the input.
[[nodiscard]] bool is_depthwise_3x3(const ConvGeometry& geometry);

/// Output rows that such a kernel takes together: 2 with equal strides up to `max_stride`, since
/// they share input rows.
[[nodiscard]] int rows_together(const ConvGeometry& geometry, int max_stride);
/// Slots of a 3x3 kernel's weights: for each output row the three columns, for each column a slot
/// for each of the 4 input rows under two output rows one below the other.
[[nodiscard]] std::vector<int> column_slots();
/// The taps whose addresses a 3x3 kernel needs: 3 rows at the leftmost column, and up to two more
/// of the output row below.
[[nodiscard]] std::vector<int> column_taps();

/// Where few channels leave lanes empty and the stride along the row is 1, the codes of a row are
/// taken as they lie: `repeat` pixels count as one of repeat * channels channels. 1 where that does
/// not pay; `lanes` are those of a block.
[[nodiscard]] int pixels_as_one(const ConvGeometry& geometry, int lanes);
/// The layer of repeat * channels channels.
[[nodiscard]] ConvParams repeat_channels(ConvParams params, int repeat);

/// Backend has: type Weight; `order`; `vectors`; slots(geometry), the tap in each slot of the
/// packed weights; taps(geometry), those whose addresses run_row gets; rows(geometry), as
/// rows_together says; repeat(geometry), as pixels_as_one says; run_row(row).
template <class Backend>
class DepthwiseConv final : public Conv {
 public:
  using Weight = typename Backend::Weight;

  DepthwiseConv(const ConvParams& params, std::string_view name)
      : name_(name),
        input_zero_point_(params.input_zero_point),
        input_scale_(params.input_scale),
        requantize_(params),
        repeat_(Backend::repeat(params.geometry)),
        rows_(Backend::rows(params.geometry)),
        taps_(Backend::taps(params.geometry)),
        packed_(pack_depthwise<Weight>(repeat_channels(params, repeat_), Backend::order,
                                       Backend::vectors, Backend::slots(params.geometry))) {}

  void run(const ConvGeometry& geometry, const ConvCall& call) const override {
    std::byte* scratch = call.scratch + packed_.lanes.moved_bytes;
    auto** taps = reinterpret_cast<const std::uint8_t**>(scratch);
    scratch += tap_bytes();
    auto** input_rows = reinterpret_cast<const std::uint8_t**>(scratch);
    scratch += input_row_bytes(geometry);
    const InputParams input =
        call.input_params.value_or(InputParams{input_zero_point_, input_scale_});
    RowWindow<std::uint8_t> window(geometry, call.input, input.zero_point, scratch, rows_);
    const std::int32_t* bias = biases_of(packed_.lanes, input_zero_point_, call);
    DepthwiseRow<Weight> row;
    row.taps = taps;
    row.tap_groups = static_cast<int>(taps_.size()) / Backend::order.depth;
    row.pixel_stride = std::int64_t{repeat_} * geometry.in_channels;
    row.column_stride = geometry.in_channels;
    row.output_stride = row.pixel_stride;
    row.output_row_stride = std::int64_t{geometry.out_width} * geometry.out_channels;
    row.stride = geometry.stride_width;
    row.input_scale = input.scale;
    row.requantize = requantize_;
    const auto bytes = static_cast<std::int64_t>(element_bytes(requantize_.output));
    for (std::int64_t y = call.first_row; y < call.last_row; y += row.rows) {
      const std::int64_t image_rows = geometry.out_height - y % geometry.out_height;
      row.rows = static_cast<int>(std::min({std::int64_t{rows_}, call.last_row - y, image_rows}));
      point_input_rows(geometry, window, y, row.rows, input_rows);
      point_taps(geometry, input_rows, taps);
      const std::int64_t position = (y - call.output_row) * row.output_row_stride;
      for (const auto& block : packed_.blocks) {
        row.weights = packed_.weights.data() + block.weights;
        row.bias = bias + block.lanes;
        row.multiplier = packed_.lanes.multiplier.data() + block.lanes;
        row.output_bias = packed_.lanes.output_bias.data() + block.lanes;
        const auto run_pixels = [&](std::int64_t first, std::int64_t pixels, int channels) {
          const std::int64_t from = first * row.pixel_stride + block.first_channel;
          row.offset = from;
          row.output = static_cast<std::byte*>(call.output) + (position + from) * bytes;
          row.pixels = static_cast<int>(pixels);
          row.channels = channels;
          Backend::run_row(row);
        };
        // Codes of the row from the block's first channel on: whole blocks, and a part of one.
        const std::int64_t codes = row.output_row_stride - block.first_channel;
        const std::int64_t whole =
            codes < block.channels ? 0 : (codes - block.channels) / row.pixel_stride + 1;
        const std::int64_t rest = codes - whole * row.pixel_stride;
        if (whole > 0) run_pixels(0, whole, block.channels);
        if (rest > 0) run_pixels(whole, 1, static_cast<int>(rest));
      }
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& geometry) const override {
    return packed_.lanes.moved_bytes + tap_bytes() + input_row_bytes(geometry) +
           RowWindow<std::uint8_t>::scratch_bytes(geometry, rows_);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  [[nodiscard]] std::size_t tap_bytes() const {
    return whole_lines(taps_.size() * sizeof(std::uint8_t*));
  }

  [[nodiscard]] std::size_t input_row_bytes(const ConvGeometry& geometry) const {
    return whole_lines(static_cast<std::size_t>(geometry.kernel_height + more_rows) *
                       sizeof(std::uint8_t*));
  }

  /// Input rows that only the second of two output rows needs.
  static constexpr int more_rows = 2;

  /// The input rows under output row y, and more_rows: those of output row y + 1 where `rows` is 2,
  /// else any.
  void point_input_rows(const ConvGeometry& geometry, RowWindow<std::uint8_t>& window,
                        std::int64_t y, int rows, const std::uint8_t** to) const {
    window.move_to(y);
    for (int ky = 0; ky < geometry.kernel_height; ++ky) *to++ = window.row(ky);
    if (rows == 2) window.move_to(y + 1);
    for (int i = 0; i < more_rows; ++i) {
      const int ky = geometry.kernel_height - geometry.stride_height + i;
      *to++ = window.row(std::clamp(ky, 0, geometry.kernel_height - 1));
    }
  }

  void point_taps(const ConvGeometry& geometry, const std::uint8_t* const* input_rows,
                  const std::uint8_t** to) const {
    for (const int slot : taps_) {
      const int tap = std::max(slot, 0);
      const std::int64_t column =
          std::int64_t{tap % geometry.kernel_width} * geometry.dilation_width;
      *to++ = input_rows[tap / geometry.kernel_width] + column * geometry.in_channels;
    }
  }

  std::string_view name_;
  std::uint8_t input_zero_point_;
  float input_scale_;
  RequantizeParams requantize_;
  int repeat_;
  int rows_;  ///< output rows taken together
  std::vector<int> taps_;
  PackedDepthwise<Weight> packed_;
};

/// All taps in order, with empty slots up to a multiple of `depth`.
[[nodiscard]] std::vector<int> taps_in_order(const ConvGeometry& geometry, int depth);

}  // namespace octet::kernels

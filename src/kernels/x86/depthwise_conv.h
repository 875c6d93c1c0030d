#pragma once
// Depthwise convolution, channels across the registers. DepthwiseConv walks over rows and channel
// blocks; a Backend computes one output row of one block.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/conv.h"
#include "kernels/x86/packing.h"
#include "kernels/x86/requantize_params.h"
#include "kernels/x86/row_window.h"

namespace octet::kernels {

/// One output row of one channel block. Tap t of output pixel x, channel c of the block, is
/// taps[t][x * input_stride + c]; empty slots of a group point to some readable tap.
template <class Weight>
struct DepthwiseRow {
  const std::uint8_t* const* taps = nullptr;
  int tap_groups = 1;
  int pixels = 1;
  std::int64_t pixel_stride = 0;   ///< from one input pixel to the next
  std::int64_t output_stride = 0;  ///< the same for output pixels (channels)
  int stride = 1;                  ///< input pixels per output pixel
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

/// Where few channels leave lanes empty and the stride along the row is 1, the codes of a row are
/// taken as they lie: `repeat` pixels count as one of repeat * channels channels. 1 where that does
/// not pay; `lanes` are those of a block, `shares_columns` tells whether the kernel for whole
/// pixels is the one that uses each interleaved column for several of them.
[[nodiscard]] int pixels_as_one(const ConvGeometry& geometry, int lanes, bool shares_columns);
/// The layer of repeat * channels channels.
[[nodiscard]] ConvParams repeat_channels(ConvParams params, int repeat);

/// Backend has: type Weight; `order`; `vectors`; taps(geometry), the slots of the tap groups;
/// repeat(geometry), as pixels_as_one says; run_row(row).
template <class Backend>
class DepthwiseConv final : public Conv {
 public:
  using Weight = typename Backend::Weight;

  DepthwiseConv(const ConvParams& params, std::string_view name)
      : name_(name),
        kernel_width_(params.geometry.kernel_width),
        input_zero_point_(params.input_zero_point),
        input_scale_(params.input_scale),
        requantize_(params),
        repeat_(Backend::repeat(params.geometry)),
        taps_(Backend::taps(params.geometry)),
        packed_(pack_depthwise<Weight>(repeat_channels(params, repeat_), Backend::order,
                                       Backend::vectors, taps_)) {}

  void run(const ConvGeometry& geometry, const ConvCall& call) const override {
    std::byte* scratch = call.scratch + bias_bytes();
    auto** taps = reinterpret_cast<const std::uint8_t**>(scratch);
    const InputParams input =
        call.input_params.value_or(InputParams{input_zero_point_, input_scale_});
    RowWindow<std::uint8_t> window(geometry, call.input, input.zero_point, scratch + tap_bytes());
    const std::int32_t* bias = packed_.lanes.bias.data();
    if (call.input_params) {
      auto* moved = reinterpret_cast<std::int32_t*>(call.scratch);
      move_zero_point(packed_.lanes, input_zero_point_, input.zero_point, moved);
      bias = moved;
    }
    DepthwiseRow<Weight> row;
    row.taps = taps;
    row.tap_groups = static_cast<int>(taps_.size()) / Backend::order.depth;
    row.pixel_stride = std::int64_t{repeat_} * geometry.in_channels;
    row.output_stride = row.pixel_stride;
    row.stride = geometry.stride_width;
    row.input_scale = input.scale;
    row.requantize = requantize_;
    const auto bytes = static_cast<std::int64_t>(element_bytes(requantize_.output));
    for (std::int64_t y = call.first_row; y < call.last_row; ++y) {
      window.move_to(y);
      const std::int64_t position =
          (y - call.output_row) * geometry.out_width * geometry.out_channels;
      for (const auto& block : packed_.blocks) {
        row.weights = packed_.weights.data() + block.weights;
        row.bias = bias + block.lanes;
        row.multiplier = packed_.lanes.multiplier.data() + block.lanes;
        row.output_bias = packed_.lanes.output_bias.data() + block.lanes;
        const auto run_pixels = [&](std::int64_t first, std::int64_t pixels, int channels) {
          const std::int64_t from = first * row.pixel_stride + block.first_channel;
          point_taps(geometry, window, from, taps);
          row.output = static_cast<std::byte*>(call.output) + (position + from) * bytes;
          row.pixels = static_cast<int>(pixels);
          row.channels = channels;
          Backend::run_row(row);
        };
        // Codes of the row from the block's first channel on: whole blocks, and a part of one.
        const std::int64_t codes =
            std::int64_t{geometry.out_width} * geometry.out_channels - block.first_channel;
        const std::int64_t whole =
            codes < block.channels ? 0 : (codes - block.channels) / row.pixel_stride + 1;
        const std::int64_t rest = codes - whole * row.pixel_stride;
        if (whole > 0) run_pixels(0, whole, block.channels);
        if (rest > 0) run_pixels(whole, 1, static_cast<int>(rest));
      }
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& geometry) const override {
    return bias_bytes() + tap_bytes() + RowWindow<std::uint8_t>::scratch_bytes(geometry);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  [[nodiscard]] std::size_t tap_bytes() const {
    return whole_lines(taps_.size() * sizeof(std::uint8_t*));
  }

  /// Scratch for the biases of an input quantized at run time.
  [[nodiscard]] std::size_t bias_bytes() const {
    if (requantize_.output == ConvOutput::codes) return 0;
    return whole_lines(packed_.lanes.count * sizeof(std::int32_t));
  }

  void point_taps(const ConvGeometry& geometry, const RowWindow<std::uint8_t>& window,
                  std::int64_t first_code, const std::uint8_t** to) const {
    for (const int slot : taps_) {
      const int tap = slot < 0 ? 0 : slot;
      const std::int64_t column = std::int64_t{tap % kernel_width_} * geometry.dilation_width;
      *to++ = window.row(tap / kernel_width_) + column * geometry.in_channels + first_code;
    }
  }

  std::string_view name_;
  int kernel_width_;
  std::uint8_t input_zero_point_;
  float input_scale_;
  RequantizeParams requantize_;
  int repeat_;
  std::vector<int> taps_;
  PackedDepthwise<Weight> packed_;
};

/// All taps in order, with empty slots up to a multiple of `depth`.
[[nodiscard]] std::vector<int> taps_in_order(const ConvGeometry& geometry, int depth);

}  // namespace octet::kernels

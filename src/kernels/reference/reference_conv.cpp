#include "kernels/reference/reference_conv.h"

#include "arithmetic/dynamic.h"
#include "arithmetic/requantize.h"

namespace octet::kernels {
namespace {

constexpr std::string_view kernel_name = "i8_conv_channel_onnx_1x1__reference";

class ReferenceConv final : public Conv {
 public:
  explicit ReferenceConv(const ConvParams& params) : params_(params) {}

  void run(const ConvGeometry& geometry, const ConvCall& call) const override {
    const InputParams input =
        call.input_params.value_or(InputParams{params_.input_zero_point, params_.input_scale});
    const std::int64_t row_elements = std::int64_t{geometry.out_width} * geometry.out_channels;
    for (std::int64_t row = call.first_row; row < call.last_row; ++row) {
      const std::int64_t image = row / geometry.out_height;
      const auto y = static_cast<int>(row % geometry.out_height);
      const std::uint8_t* in =
          call.input + image * geometry.in_height * geometry.in_width * geometry.in_channels;
      std::int64_t at = (row - call.output_row) * row_elements;
      for (int x = 0; x < geometry.out_width; ++x) {
        for (int o = 0; o < geometry.out_channels; ++o, ++at) {
          store(accumulate(geometry, in, input.zero_point, y, x, o), input.scale, o, call.output,
                at);
        }
      }
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& /*geometry*/) const override {
    return 0;
  }
  [[nodiscard]] std::string_view name() const override { return kernel_name; }

 private:
  /// bias + sum of (x - z) * w. Unsigned arithmetic wraps modulo 2^32 where int would be undefined.
  [[nodiscard]] std::int32_t accumulate(const ConvGeometry& g, const std::uint8_t* image,
                                        int zero_point, int y, int x, int o) const {
    const int group_inputs = g.in_channels / g.groups;
    const int group_outputs = g.out_channels / g.groups;
    const int first_channel = o / group_outputs * group_inputs;
    const std::int8_t* w =
        params_.weights.data() + std::int64_t{o} * g.kernel_height * g.kernel_width * group_inputs;
    auto sum = static_cast<std::uint32_t>(params_.bias[static_cast<std::size_t>(o)]);
    for (int ky = 0; ky < g.kernel_height; ++ky) {
      const std::int64_t iy =
          std::int64_t{y} * g.stride_height - g.pad_top + std::int64_t{ky} * g.dilation_height;
      for (int kx = 0; kx < g.kernel_width; ++kx, w += group_inputs) {
        const std::int64_t ix =
            std::int64_t{x} * g.stride_width - g.pad_left + std::int64_t{kx} * g.dilation_width;
        if (iy < 0 || iy >= g.in_height || ix < 0 || ix >= g.in_width) continue;
        const std::uint8_t* in = image + (iy * g.in_width + ix) * g.in_channels + first_channel;
        for (int c = 0; c < group_inputs; ++c) {
          sum += static_cast<std::uint32_t>((int{in[c]} - zero_point) * int{w[c]});
        }
      }
    }
    return static_cast<std::int32_t>(sum);
  }

  void store(std::int32_t accumulator, float input_scale, int o, void* output,
             std::int64_t at) const {
    const auto channel = static_cast<std::size_t>(o);
    switch (params_.output) {
      case ConvOutput::codes:
        static_cast<std::uint8_t*>(output)[at] = static_cast<std::uint8_t>(
            requantize_onnx(accumulator, params_.multiplier[channel], params_.output_zero_point,
                            params_.low, params_.high));
        return;
      case ConvOutput::accumulators: static_cast<std::int32_t*>(output)[at] = accumulator; return;
      case ConvOutput::floats:
        static_cast<float*>(output)[at] =
            float_output(accumulator, input_scale * params_.multiplier[channel],
                         params_.output_bias.empty() ? no_bias : params_.output_bias[channel]);
        return;
    }
  }

  ConvParams params_;
};

bool accepts_all(const ConvParams& /*params*/) { return true; }

std::unique_ptr<Conv> make(const ConvParams& params) {
  return std::make_unique<ReferenceConv>(params);
}

}  // namespace

ConvKernel reference_conv_kernel() { return {kernel_name, Isa::reference, accepts_all, make}; }

}  // namespace octet::kernels

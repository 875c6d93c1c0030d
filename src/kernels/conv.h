#pragma once
// 8-bit convolution kernels: Conv, Gemm and MatMul (1x1 on a 1-pixel-high image), grouped and
// depthwise. Kernels see pointers and parameters, never the graph.
//
// Activations are u8 = signed code + 128 in NHWC; weights are signed 8-bit codes. For output
// channel o and pixel p, with x the input code and z its zero point,
//
//   acc = bias[o] + sum over taps k and input channels c of (x[p,k,c] - z) * w[o,k,c]      (int32)
//
// and the output, by ConvParams::output, is one of
//
//   codes         y = round_half_even(clamp(f32(acc) * multiplier[o], low - zy, high - zy)) + zy
//   accumulators  acc itself
//   floats        y = f32(acc) * (input_scale * multiplier[o]) + output_bias[o]
//
// (rule onnx: src/arithmetic/requantize.h; floats: float_output of src/arithmetic/dynamic.h)
//
// The padded border contributes x = z, that is nothing. A kernel may fold -z * sum(w) into the
// bias. The int32 sum wraps modulo 2^32; the planner's guards keep real models away from that.
// Every kernel equals the reference bit for bit.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace octet::kernels {

/// Geometry of one call. Extents in elements; batch N is the number of images in `input`.
struct ConvGeometry {
  std::int64_t batch = 1;
  int in_height = 1, in_width = 1, in_channels = 1;
  int out_height = 1, out_width = 1, out_channels = 1;
  int kernel_height = 1, kernel_width = 1;
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  int pad_top = 0, pad_left = 0;  ///< bottom and right padding follow from the output extents
  int groups = 1;
};

/// Multiply-accumulates of one call, those with padding among them.
[[nodiscard]] constexpr std::int64_t macs(const ConvGeometry& g) {
  return g.batch * g.out_height * g.out_width * std::int64_t{g.out_channels} * g.kernel_height *
         g.kernel_width * (g.in_channels / g.groups);
}

/// What a convolution gives for each output element.
enum class ConvOutput : std::uint8_t {
  codes,         ///< u8, requantized
  accumulators,  ///< int32
  floats,        ///< f32
};

[[nodiscard]] constexpr std::size_t element_bytes(ConvOutput output) {
  return output == ConvOutput::codes ? 1 : 4;
}

/// What is fixed when a model is loaded. Unsigned codes throughout (signed code + 128).
struct ConvParams {
  ConvGeometry geometry;  ///< of the first call; only batch and spatial extents may change
  std::vector<std::int8_t> weights;  ///< [out_channels][kernel_h][kernel_w][in_channels / groups]
  std::vector<std::int32_t> bias;    ///< [out_channels]; zeros when the layer has none
  std::vector<float> multiplier;     ///< [out_channels]; accumulators: not used
  ConvOutput output = ConvOutput::codes;
  float input_scale = 1;           ///< floats: of the input's codes
  std::vector<float> output_bias;  ///< floats: [out_channels], or empty for none
  std::uint8_t input_zero_point = 128;
  std::uint8_t output_zero_point = 128;
  std::uint8_t low = 0;     ///< smallest output code (a fused Relu or Clip raises it)
  std::uint8_t high = 255;  ///< largest output code
};

/// Quantization of an input that is known only when the kernel runs.
struct InputParams {
  std::uint8_t zero_point = 128;
  float scale = 1;
};

/// Output channels [first, last).
struct ChannelRange {
  int first = 0;
  int last = std::numeric_limits<int>::max();
};

/// One call. Computes output rows [first_row, last_row), row r = image * out_height + y, so that a
/// caller can split one call over threads. `input` and `output` are the whole dense NHWC tensors.
/// Inputs may be read up to 64 bytes beyond their end (buffers are allocated so).
struct ConvCall {
  const std::uint8_t* input = nullptr;
  void* output = nullptr;  ///< u8, int32 or f32, by ConvParams::output
  std::int64_t first_row = 0;
  std::int64_t last_row = 0;
  /// scratch_bytes(geometry) bytes, 64-byte aligned, not shared between concurrent calls.
  std::byte* scratch = nullptr;
  /// Replaces ConvParams::input_zero_point and input_scale; not for codes.
  std::optional<InputParams> input_params;
  std::int64_t output_row = 0;  ///< the row that `output` begins with, where it holds a part
  ChannelRange channels{};      ///< all of them, or parts as Conv::channel_step allows
};

/// A convolution with its weights packed for one kernel. Immutable; thread-safe given distinct
/// scratch memory.
class Conv {
 public:
  Conv() = default;
  Conv(const Conv&) = delete;
  Conv& operator=(const Conv&) = delete;
  virtual ~Conv() = default;

  virtual void run(const ConvGeometry& geometry, const ConvCall& call) const = 0;
  void run(const ConvGeometry& geometry, const std::uint8_t* input, void* output,
           std::int64_t first_row, std::int64_t last_row, std::byte* scratch) const {
    run(geometry, ConvCall{input, output, first_row, last_row, scratch, {}});
  }
  [[nodiscard]] virtual std::size_t scratch_bytes(const ConvGeometry& geometry) const = 0;
  /// What the ends of a ChannelRange inside the output channels must be multiples of; 0 where a
  /// call computes all channels.
  [[nodiscard]] virtual int channel_step() const { return 0; }
  /// Full name by the grammar type_op_granularity_rule_tile__isa.
  [[nodiscard]] virtual std::string_view name() const = 0;
};

enum class Isa : std::uint8_t { reference, avx2, avxvnni, avx512vnni, amx };
inline constexpr std::array all_isas = {Isa::reference, Isa::avx2, Isa::avxvnni, Isa::avx512vnni,
                                        Isa::amx};

[[nodiscard]] std::string_view name(Isa isa);
[[nodiscard]] std::optional<Isa> isa_from_name(std::string_view name);
/// Of a kernel, by its name and what a step adds to it after a space.
[[nodiscard]] Isa isa_of(std::string_view kernel);

/// Best instruction set of this CPU, lowered by OCTET_KERNELS (a name of an Isa).
[[nodiscard]] Isa default_isa();
/// Whether this CPU can run it.
[[nodiscard]] bool isa_available(Isa isa);

/// One row of the kernel table.
struct ConvKernel {
  std::string_view name;
  Isa isa = Isa::reference;
  bool (*accepts)(const ConvParams& params) = nullptr;
  std::unique_ptr<Conv> (*make)(const ConvParams& params) = nullptr;
};

/// All convolution kernels in priority order, the reference last.
[[nodiscard]] std::span<const ConvKernel> conv_kernels();

/// The first row of the table whose isa is at most `isa` and available, and that accepts `params`.
[[nodiscard]] std::unique_ptr<Conv> make_conv(const ConvParams& params, Isa isa);

}  // namespace octet::kernels

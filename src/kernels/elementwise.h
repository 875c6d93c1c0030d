#pragma once
// Elementwise kernels on 8-bit codes, and the borders between codes and f32. Codes are u8 (signed
// code + 128). Where nothing else is said a formula is rule onnx (docs/arithmetic.md): Add as ONNX
// Runtime's QLinearAdd computes it, the others as the ONNX specification does between
// DequantizeLinear and QuantizeLinear, in f32.

#include <array>
#include <cstdint>

#include "arithmetic/requantize.h"

namespace octet::kernels {

/// One per-tensor quantization of u8 codes: real = scale * (q - zero_point).
struct CodeParams {
  float scale = 1;
  std::uint8_t zero_point = 128;
  std::uint8_t low = 0;     ///< smallest code
  std::uint8_t high = 255;  ///< largest code
  Rule rule = Rule::onnx;   ///< how codes are made
  /// The file has these codes as uint8: of rules tflite and xnnpack, which count with them so.
  bool stored_unsigned = false;
  /// What a code is more than in the file.
  [[nodiscard]] std::int32_t file_offset() const { return stored_unsigned ? 0 : 128; }
};

enum class BinaryOp : std::uint8_t { add, subtract, multiply, divide, squared_difference, prelu };

/// add: add_onnx of arithmetic/requantize.h. subtract, multiply and divide:
/// q = clamp(round_half_even((sa * (a - za) op sb * (b - zb)) / s) + z, low, high), with one f32
/// rounding after each product, the operation and the division. (x / 0 is infinite and saturates,
/// 0 / 0 gives low.) Rules tflite and xnnpack: all but divide, by arithmetic/litert_binary.h; the
/// last two are theirs alone.
struct BinaryParams {
  BinaryOp op = BinaryOp::add;
  CodeParams a, b;  ///< low and high are not used
  CodeParams output;
  /// Rule openvino, add: the operand taken to the units of the other, and how (SumParams).
  bool moves_b = false;
  bool own_code = false;
};

/// The output is a dense row-major block of these extents; an operand's stride is 0 along the
/// dimensions that it is broadcast along.
struct BinaryGeometry {
  std::array<std::int64_t, 4> extent{1, 1, 1, 1};
  std::array<std::int64_t, 4> a_stride{};
  std::array<std::int64_t, 4> b_stride{};
};

/// Computes output rows [first_row, last_row); a row is one run along the last dimension.
void binary(const BinaryParams& params, const BinaryGeometry& geometry, const std::uint8_t* a,
            const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
            std::int64_t last_row);

/// Any function of one code: out[i] = table[in[i]].
using LookupTable = std::array<std::uint8_t, 256>;
void lookup(const LookupTable& table, const std::uint8_t* input, std::uint8_t* output,
            std::int64_t count);

/// QuantizeLinear and DequantizeLinear.
void quantize_codes(const CodeParams& params, const float* input, std::uint8_t* output,
                    std::int64_t count);
void dequantize_codes(const CodeParams& params, const std::uint8_t* input, float* output,
                      std::int64_t count);

/// Most channels of quantize_planes.
inline constexpr std::int64_t max_planes = 16;
/// quantize_codes of pixels whose channels (at most max_planes) lie in planes `plane_stride` values
/// apart: output[p * channels + c] is the code of input[c * plane_stride + p].
void quantize_planes(const CodeParams& params, const float* input, std::int64_t plane_stride,
                     std::int64_t channels, std::int64_t pixels, std::uint8_t* output);

/// Smallest and largest of `count` values; NaN is passed over. Without a value, 0 and 0.
struct Range {
  float minimum = 0;
  float maximum = 0;
};
[[nodiscard]] Range value_range(const float* values, std::int64_t count);

}  // namespace octet::kernels

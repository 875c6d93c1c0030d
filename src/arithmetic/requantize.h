#pragma once
// Requantization by rule: how the exact int32 result of an integer operator becomes an 8-bit code.
//
// Rule `onnx` is what the ONNX specification computes for DequantizeLinear -> op -> QuantizeLinear
// when the accumulator is kept exact, in the form ONNX Runtime evaluates it (f32, half to even).

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "arithmetic/round.h"

namespace octet {

/// Named after what they reproduce; see docs/arithmetic.md for the table op x rule x type.
enum class Rule : std::uint8_t { onnx, openvino, xnnpack, tflite };

/// Whether a rule is one of LiteRT's (arithmetic/litert.h).
[[nodiscard]] constexpr bool is_litert(Rule rule) {
  return rule == Rule::tflite || rule == Rule::xnnpack;
}

[[nodiscard]] std::string_view name(Rule rule);
[[nodiscard]] std::optional<Rule> rule_from_name(std::string_view name);

/// Rule onnx, Conv, Gemm and MatMul: the f32 multiplier of the accumulator, with the products in
/// this order: (input scale * weight scale) / output scale.
[[nodiscard]] inline float onnx_multiplier(float input_scale, float weight_scale,
                                           float output_scale) {
  return (input_scale * weight_scale) / output_scale;
}

/// Rule onnx: q = round_half_even(clamp(f32(accumulator) * multiplier, qmin - zp, qmax - zp)) + zp.
/// `low` and `high` are codes of at most 16 bits: the code range narrowed by a fused Relu or Clip.
[[nodiscard]] inline std::int32_t requantize_onnx(std::int32_t accumulator, float multiplier,
                                                  std::int32_t zero_point, std::int32_t low,
                                                  std::int32_t high) {
  const float scaled = static_cast<float>(accumulator) * multiplier;
  const float limited =
      saturate(scaled, static_cast<float>(low - zero_point), static_cast<float>(high - zero_point));
  return static_cast<std::int32_t>(round_half_even_bounded(limited)) + zero_point;
}

/// Rule onnx, AveragePool and GlobalAveragePool: the f32 multiplier of the exact int32 sum of
/// (q - zero_point) over `count` pixels; the result goes through requantize_onnx.
[[nodiscard]] inline float onnx_average_multiplier(float input_scale, float output_scale,
                                                   std::int64_t count) {
  return input_scale / (output_scale * static_cast<float>(count));
}

/// Rule onnx, Add: the constants of q = round_half_even(a * a_ratio + b * b_ratio + offset), on
/// unsigned codes (signed code + 128). The form of ONNX Runtime's QLinearAdd: with fused
/// multiply-adds, and with the output's zero point added before rounding.
struct OnnxAdd {
  float a_ratio = 1;  ///< a's scale / output scale
  float b_ratio = 1;  ///< b's scale / output scale
  float offset = 0;   ///< output zero point - fma(a_ratio, a zero point, b_ratio * b zero point)
};

/// Zero points of unsigned codes.
[[nodiscard]] inline OnnxAdd onnx_add(float a_scale, std::int32_t a_zero_point, float b_scale,
                                      std::int32_t b_zero_point, float scale,
                                      std::int32_t zero_point) {
  const float a_ratio = a_scale / scale;
  const float b_ratio = b_scale / scale;
  const float b_part = b_ratio * static_cast<float>(b_zero_point);
  const float offset =
      static_cast<float>(zero_point) - std::fma(a_ratio, static_cast<float>(a_zero_point), b_part);
  return {a_ratio, b_ratio, offset};
}

/// fma(a, a_ratio, fma(b, b_ratio, offset)), rounded half to even, limited to [low, high]; codes
/// unsigned, of at most 16 bits.
[[nodiscard]] inline std::int32_t add_onnx(const OnnxAdd& add, std::int32_t a, std::int32_t b,
                                           std::int32_t low, std::int32_t high) {
  const float sum = std::fma(static_cast<float>(a), add.a_ratio,
                             std::fma(static_cast<float>(b), add.b_ratio, add.offset));
  const float limited = saturate(sum, static_cast<float>(low), static_cast<float>(high));
  return static_cast<std::int32_t>(round_half_even_bounded(limited));
}

}  // namespace octet

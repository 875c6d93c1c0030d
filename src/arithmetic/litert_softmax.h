#pragma once
// Rules tflite and xnnpack: SOFTMAX and LOG_SOFTMAX of a row of 8-bit codes. Rule tflite computes
// in fixed point, rule xnnpack, for which LiteRT runs its own optimized kernels, by a table of 256
// f32 exponentials. Measured on LiteRT 2.3.0 (tests/parity/litert_rows_elementwise.py). Source of
// the formulas: TensorFlow Lite (softmax.h, log_softmax.h, activations.cc).

#include <array>
#include <cstdint>

#include "arithmetic/fixed_point.h"
#include "arithmetic/litert_binary.h"

namespace octet::litert {

enum class SoftmaxKind : std::uint8_t { softmax, logarithmic };

/// From codes to codes, both signed + 128. Zero points do not matter: outputs have the params that
/// LiteRT demands (softmax_output), and softmax does not see the input's. The logarithm does see
/// whether a file has int8 or uint8 codes: `offset` is 128 or 0, what codes are more than there.
class Softmax {
 public:
  Softmax(Rule rule, SoftmaxKind kind, float input_scale, std::int32_t offset);

  /// `count` codes, `step` apart, at least one.
  void row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
           std::int64_t step) const;

 private:
  /// Sums of the exponentials of the distances from `most`.
  [[nodiscard]] std::uint32_t fixed_sum(const std::uint8_t* input, std::int64_t count,
                                        std::int64_t step, std::int32_t most) const;
  [[nodiscard]] float table_sum(const std::uint8_t* input, std::int64_t count, std::int64_t step,
                                std::int32_t most) const;
  void fixed_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                 std::int64_t step) const;
  void fixed_log_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                     std::int64_t step) const;
  void table_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                 std::int64_t step) const;
  void table_log_row(const std::uint8_t* input, std::uint8_t* output, std::int64_t count,
                     std::int64_t step) const;

  SoftmaxKind kind_;
  bool fixed_;
  float input_scale_;
  std::int32_t offset_;
  std::array<float, 256> table_{};                ///< exp(-scale * distance from the largest)
  std::array<std::int32_t, 256> scaled_{};        ///< fixed: -distance, 5 integer bits
  std::array<std::int32_t, 256> exponentials_{};  ///< fixed
  FixedMultiplier to_distance_;                   ///< fixed logarithm: from 5 integer bits
  int furthest_ = 255;  ///< fixed: codes further from the largest count as 0
};

/// Scale 1/256 and the lowest code for softmax, 16/256 and the highest for its logarithm; zero
/// point signed + 128.
[[nodiscard]] Affine softmax_output(SoftmaxKind kind);

}  // namespace octet::litert

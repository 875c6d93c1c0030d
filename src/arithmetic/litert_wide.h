#pragma once
// Rules tflite and xnnpack: operators on 16-bit codes that do not accumulate. Zero points are 0,
// and both rules have one formula but for ADD. Measured on LiteRT 2.3.0
// (tests/parity/litert_rows_wide.py). Sources of the formulas: TensorFlow Lite (add.cc, mul.cc,
// activations.cc, softmax.h, tanh.h, logistic.h, quantize.cc, reduce.cc), gemmlowp (fixedpoint.h).
//
// QUANTIZE between codes is `convert`, LEAKY_RELU `leaky_relu`, MEAN `average` by rule tflite, RELU
// and RELU6 `rescale`, AVERAGE_POOL_2D `pooled`, RESIZE_BILINEAR Resample::fixed.

#include <array>
#include <cstdint>
#include <functional>

#include "arithmetic/litert_binary.h"

namespace octet::litert {

/// ADD, SUB and MUL.
[[nodiscard]] Binary wide_binary(Operation operation, float a_scale, float b_scale,
                                 float output_scale);

/// ADD and SUB of operators that state pot_scale_int16: where all scales are powers of two, one
/// operand's is the output's and the other's not larger, that one is shifted. Else as above.
[[nodiscard]] Binary power_of_two_sum(Operation operation, float a_scale, float b_scale,
                                      float output_scale);

/// Elements that the optimized ADD of equal shapes computes together, counted in the order of the
/// file; what remains behind the last whole block is computed as `code` does.
inline constexpr std::int64_t wide_block = 16;
/// An element of such a block: operands come into common units with one rounding in place of two.
[[nodiscard]] std::int32_t code_in_block(const Binary& sum, std::int32_t a, std::int32_t b,
                                         std::int32_t low, std::int32_t high);

/// Scale that LOGISTIC, TANH and SOFTMAX demand of their outputs.
inline constexpr float wide_unit = 1.0F / 32768.0F;

/// LOGISTIC and TANH by a table of the sigmoid at multiples of 1/24, linear between them. Inputs
/// come into its steps by a multiplier of 16 bits that is cut off, then rounded with ties upward.
class WideSigmoid {
 public:
  explicit WideSigmoid(float input_scale);

  [[nodiscard]] std::int32_t logistic(std::int32_t code) const;
  [[nodiscard]] std::int32_t tanh(std::int32_t code) const;

 private:
  /// In steps of 1/24 / 2^9, modulo 2^32.
  [[nodiscard]] std::int32_t steps(std::int32_t code) const;
  /// The sigmoid at `magnitude` steps of 1/24 / 2^bits, times 2^(16 + bits).
  [[nodiscard]] std::int32_t between(std::uint32_t magnitude, int bits) const;

  std::array<std::int32_t, 256> table_{};
  std::int32_t multiplier_ = 0;
  int right_ = 0;
};

/// A function on an interval as 513 codes, linear between them. Each is moved by half of the error
/// that the line to its successor has in the middle.
class WideTable {
 public:
  /// In f64, between numbers in [-1, 1).
  WideTable(double (*function)(double), double least, double most);
  /// In f32, between codes of two scales: EXP and GELU.
  WideTable(float input_scale, float output_scale, const std::function<float(float)>& function);

  /// `position`: -32768 is the interval's begin, 32768 its end.
  [[nodiscard]] std::int32_t at(std::int32_t position) const;

 private:
  template <class Real, class Function>
  void fill(Function function, Real least, Real most, Real factor);

  std::array<std::int16_t, 513> table_{};
};

/// SOFTMAX: exponentials and the reciprocal of their sum by tables.
class WideSoftmax {
 public:
  explicit WideSoftmax(float input_scale);

  /// `count` codes, at least one; input and output may be the same.
  void row(const std::int16_t* input, std::int16_t* output, std::int64_t count) const;

 private:
  WideTable exponential_;  ///< of [-10, 0]
  WideTable reciprocal_;   ///< 1 / (1 + x) of [0, 1]
  FixedMultiplier to_position_;
};

}  // namespace octet::litert

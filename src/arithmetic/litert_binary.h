#pragma once
// Rules tflite and xnnpack: operators of two coded values, element by element. Rule tflite is
// LiteRT's reference kernels, rule xnnpack XNNPACK where its delegate takes the operator and
// LiteRT's built-in kernels elsewhere. Measured on version 2.3.0 for all pairs of codes
// (tests/parity/litert_rows_elementwise.py).
//
// Each gives an int32 from two codes without their zero points, which is then scaled, so that it
// does not matter whether codes are signed. Sources of the formulas: TensorFlow Lite (add.cc,
// mul.cc, prelu.cc, squared_difference.cc), XNNPACK (microparams of qs8-vaddc and qs8-vmulc).

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "arithmetic/fixed_point.h"
#include "arithmetic/litert.h"
#include "arithmetic/requantize.h"
#include "arithmetic/round.h"

namespace octet::litert {

/// real = scale * (code - zero_point).
struct Affine {
  float scale = 1;
  std::int32_t zero_point = 0;
};

enum class Operation : std::uint8_t { add, subtract, multiply, squared_difference, prelu };

enum class BinaryForm : std::uint8_t {
  fixed_sum,           ///< built-in Add and Sub: operands scaled to common units, then the sum
  shifted_sum,         ///< Add and Sub of 16 bits whose scales are powers of two
  ratio_sum,           ///< XNNPACK's Add and Sub: 21-bit multipliers, one shift with ties upward
  fixed_product,       ///< built-in Mul: scale_twice_rounded of the product
  floating_product,    ///< XNNPACK's Mul: requantize_onnx of the product
  squared_difference,  ///< (x - y)^2: operands scaled to common units
  slope,               ///< PRelu: the operand, or its product with a slope where it is below 0
};

/// Constants of one operator between given quantizations; a form uses some of them.
struct Binary {
  BinaryForm form = BinaryForm::fixed_sum;
  Affine a, b, output;
  int left = 0;              ///< fixed_sum, squared_difference: operands are scaled times 2^left
  FixedMultiplier a_factor;  ///< slope: of operands above 0
  FixedMultiplier b_factor;
  FixedMultiplier factor;                 ///< of the result
  bool subtracts = false;                 ///< of fixed_sum, shifted_sum
  float floating = 1;                     ///< of floating_product
  std::int32_t a_ratio = 0, b_ratio = 0;  ///< ratio_sum
  int right = 0;                          ///< ratio_sum, 1 to 31
  int a_right = 0, b_right = 0;           ///< shifted_sum
};

namespace binary_detail {

inline void set_fixed_sum(Binary& binary, bool subtracts, int left) {
  const auto a = static_cast<double>(binary.a.scale);
  const auto b = static_cast<double>(binary.b.scale);
  const double unit = 2 * std::max(a, b);
  binary.form = BinaryForm::fixed_sum;
  binary.subtracts = subtracts;
  binary.left = left;
  binary.a_factor = fixed_multiplier(a / unit);
  binary.b_factor = fixed_multiplier(b / unit);
  binary.factor =
      fixed_multiplier(unit / std::ldexp(static_cast<double>(binary.output.scale), binary.left));
}

inline void set_squared_difference(Binary& binary) {
  const auto a = static_cast<double>(binary.a.scale);
  const auto b = static_cast<double>(binary.b.scale);
  const double unit = 2 * std::max(a, b);
  binary.form = BinaryForm::squared_difference;
  binary.left = 7;
  binary.a_factor = fixed_multiplier(a / unit);
  binary.b_factor = fixed_multiplier(b / unit);
  binary.factor =
      fixed_multiplier(unit * unit / (0x1.0p14 * static_cast<double>(binary.output.scale)));
}

/// The delegate takes sums whose operands' scales are not too far from the output's.
inline bool takes_sum(float a_ratio, float b_ratio) {
  const auto fits = [](float ratio) { return ratio >= 0x1.0p-10F && ratio < 0x1.0p8F; };
  return fits(a_ratio) && fits(b_ratio);
}

inline void set_ratio_sum(Binary& binary, float a_ratio, float b_ratio, bool subtracts) {
  binary.form = BinaryForm::ratio_sum;
  binary.right = 20 - std::ilogb(std::max(a_ratio, b_ratio));
  const auto multiplier = [&](float ratio) {
    return static_cast<std::int32_t>(round_half_even(std::ldexp(ratio, binary.right)));
  };
  binary.a_ratio = multiplier(a_ratio);
  binary.b_ratio = subtracts ? -multiplier(b_ratio) : multiplier(b_ratio);
}

}  // namespace binary_detail

/// `rule` is tflite or xnnpack.
[[nodiscard]] inline Binary binary(Rule rule, Operation operation, const Affine& a, const Affine& b,
                                   const Affine& output) {
  Binary result;
  result.a = a;
  result.b = b;
  result.output = output;
  const bool delegate = rule == Rule::xnnpack;
  switch (operation) {
    case Operation::add:
    case Operation::subtract: {
      const bool subtracts = operation == Operation::subtract;
      const float a_ratio = a.scale / output.scale;
      const float b_ratio = b.scale / output.scale;
      if (delegate && binary_detail::takes_sum(a_ratio, b_ratio)) {
        binary_detail::set_ratio_sum(result, a_ratio, b_ratio, subtracts);
      } else {
        binary_detail::set_fixed_sum(result, subtracts, 20);
      }
      break;
    }
    case Operation::multiply:
      result.floating = onnx_multiplier(a.scale, b.scale, output.scale);
      result.factor = fixed_multiplier(static_cast<double>(result.floating));
      result.form = delegate && result.floating >= 0x1.0p-16F && result.floating < 0x1.0p8F
                        ? BinaryForm::floating_product
                        : BinaryForm::fixed_product;
      break;
    case Operation::squared_difference: binary_detail::set_squared_difference(result); break;
    case Operation::prelu:
      result.form = BinaryForm::slope;
      result.a_factor = fixed_multiplier(static_cast<double>(a.scale / output.scale));
      result.factor =
          fixed_multiplier(static_cast<double>(onnx_multiplier(a.scale, b.scale, output.scale)));
      break;
  }
  return result;
}

/// An operand of fixed_sum or squared_difference in common units.
[[nodiscard]] inline std::int32_t common_units(std::int32_t centred, int left,
                                               const FixedMultiplier& factor) {
  return scale_twice_rounded(shift_left(centred, left), factor);
}

/// One pair of codes to a code within [low, high].
[[nodiscard]] inline std::int32_t code(const Binary& p, std::int32_t a, std::int32_t b,
                                       std::int32_t low, std::int32_t high) {
  const std::int32_t x = a - p.a.zero_point;
  const std::int32_t y = b - p.b.zero_point;
  const auto limited = [&](std::int32_t scaled) {
    return to_code(scaled, p.output.zero_point, low, high);
  };
  switch (p.form) {
    case BinaryForm::ratio_sum: return limited(divide_up(p.a_ratio * x + p.b_ratio * y, p.right));
    case BinaryForm::fixed_product: return limited(scale_twice_rounded(x * y, p.factor));
    case BinaryForm::floating_product:
      return requantize_onnx(x * y, p.floating, p.output.zero_point, low, high);
    case BinaryForm::slope:
      return limited(x >= 0 ? scale_twice_rounded(x, p.a_factor)
                            : scale_twice_rounded(x * y, p.factor));
    case BinaryForm::shifted_sum: {
      const std::int32_t right = divide_away(y, p.b_right);
      return limited(divide_away(x, p.a_right) + (p.subtracts ? -right : right));
    }
    case BinaryForm::fixed_sum:
    case BinaryForm::squared_difference: break;
  }
  const std::int32_t left = common_units(x, p.left, p.a_factor);
  const std::int32_t right = common_units(y, p.left, p.b_factor);
  if (p.form == BinaryForm::squared_difference) {
    return limited(scale_twice_rounded((left - right) * (left - right), p.factor));
  }
  return limited(scale_twice_rounded(p.subtracts ? left - right : left + right, p.factor));
}

}  // namespace octet::litert

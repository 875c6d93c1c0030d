#include "graph/partial_numbers.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

using Kind = PartialInt::Kind;

/// Results of float32 arithmetic in double precision, rounded once more, are those of float32 for
/// the four operations and the square root.
PartialInt rounded_real(DType dtype, double value) {
  return real_number(dtype == DType::f32 ? static_cast<double>(static_cast<float>(value)) : value);
}

/// A 32-bit result would wrap around; then it is not what was computed here.
PartialInt fitting(DType dtype, std::int64_t value) {
  const bool wraps = dtype == DType::i32 && (value > INT32_MAX || value < INT32_MIN);
  return wraps ? PartialInt{} : known_number(value);
}

PartialInt divide(std::string_view op, DType dtype, std::int64_t a, std::int64_t b) {
  if (b == 0 || (a == INT64_MIN && b == -1)) return {};
  if (op == "Div") return fitting(dtype, a / b);
  const auto rest = a % b;
  const bool shifted = op == "Mod" && rest != 0 && (rest < 0) != (b < 0);
  return fitting(dtype, shifted ? rest + b : rest);
}

PartialInt combine_known(std::string_view op, DType dtype, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "Add") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "Sub") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "Mul") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "Min") {
    result = std::min(a, b);
  } else if (op == "Max") {
    result = std::max(a, b);
  } else if (op == "Div" || op == "Mod" || op == "FMod") {
    return divide(op, dtype, a, b);
  } else if (op == "And") {
    result = a != 0 && b != 0 ? 1 : 0;
  } else if (op == "Or") {
    result = a != 0 || b != 0 ? 1 : 0;
  } else if (op == "Xor") {
    result = (a != 0) != (b != 0) ? 1 : 0;
  } else {
    return {};
  }
  return overflow ? PartialInt{} : fitting(dtype, result);
}

PartialInt combine_real(std::string_view op, DType dtype, double a, double b) {
  if (op == "Add") return rounded_real(dtype, a + b);
  if (op == "Sub") return rounded_real(dtype, a - b);
  if (op == "Mul") return rounded_real(dtype, a * b);
  if (op == "Div") return rounded_real(dtype, a / b);
  if (std::isnan(a) || std::isnan(b)) return {};
  if (op == "Min") return real_number(std::min(a, b));
  if (op == "Max") return real_number(std::max(a, b));
  return {};
}

bool is_number(const PartialInt& a, std::int64_t value) {
  return a == known_number(value) || (a.is_real() && a.real() == static_cast<double>(value));
}

std::optional<bool> equal(const PartialInt& a, const PartialInt& b) {
  if (a.kind == Kind::unknown || b.kind == Kind::unknown) return std::nullopt;
  if (a.kind == Kind::extent && b.kind == Kind::extent) {
    return a == b ? std::optional(true) : std::nullopt;
  }
  if (a.is_known() && b.is_known()) return a.value == b.value;
  if (a.is_real() && b.is_real()) return a.real() == b.real();
  const auto& number = a.kind == Kind::extent ? b : a;
  const bool negative = number.is_real() ? number.real() < 0 : number.value < 0;
  return negative ? std::optional(false) : std::nullopt;
}

std::optional<bool> less(const PartialInt& a, const PartialInt& b) {
  if (a.is_known() && b.is_known()) return a.value < b.value;
  if (a.is_real() && b.is_real()) return a.real() < b.real();
  if (a == b && a.kind == Kind::extent) return false;
  if (a.is_known() && b.kind == Kind::extent && a.value < 0) return true;
  if (a.kind == Kind::extent && b.is_known() && b.value <= 0) return false;
  return std::nullopt;
}

bool is_nan(const PartialInt& a) { return a.is_real() && std::isnan(a.real()); }

PartialInt map_integer(std::string_view op, DType dtype, std::int64_t a) {
  if (op == "Not") return known_number(a == 0 ? 1 : 0);
  if (op == "Sign") return known_number((a > 0 ? 1 : 0) - (a < 0 ? 1 : 0));
  if (a == INT64_MIN) return {};
  if (op == "Neg") return fitting(dtype, -a);
  if (op == "Abs") return fitting(dtype, a < 0 ? -a : a);
  return {};
}

PartialInt map_real(std::string_view op, DType dtype, double a) {
  if (op == "Neg") return real_number(-a);
  if (op == "Abs") return real_number(std::fabs(a));
  if (op == "Floor") return real_number(std::floor(a));
  if (op == "Ceil") return real_number(std::ceil(a));
  if (op == "Round") return real_number(std::nearbyint(a));
  if (op == "Sqrt") return rounded_real(dtype, std::sqrt(a));
  if (op == "Sign") return real_number((a > 0 ? 1 : 0) - (a < 0 ? 1 : 0));
  return {};
}

PartialInt cast_real(DType to, double a) {
  if (to == DType::f32 || to == DType::f64) return rounded_real(to, a);
  if (to == DType::boolean) return known_number(a != 0 ? 1 : 0);
  // Beyond 2^63 the result is up to the machine; NaN fails the comparison too.
  if (!(std::fabs(a) < 0x1p63)) return {};
  return fitting(to, static_cast<std::int64_t>(a));
}

}  // namespace

PartialInt combine_numbers(std::string_view op, DType dtype, const PartialInt& a,
                           const PartialInt& b) {
  if (a.is_known() && b.is_known()) return combine_known(op, dtype, a.value, b.value);
  if (a.is_real() && b.is_real()) return combine_real(op, dtype, a.real(), b.real());
  // What is left is an extent, or something unknown, beside a number: only neutral elements tell.
  const bool sum = op == "Add" || op == "Sub";
  const bool product = op == "Mul" || op == "Div";
  if (sum || product) {
    const std::int64_t neutral = sum ? 0 : 1;
    if (is_number(b, neutral)) return a;
    if ((op == "Add" || op == "Mul") && is_number(a, neutral)) return b;
  }
  if (op == "Mul" && (a == known_number(0) || b == known_number(0))) return known_number(0);
  if (op == "Max" || op == "Min") {
    if (a == b && a.kind == Kind::extent) return a;
    const auto& number = a.kind == Kind::extent ? b : a;
    const auto& extent = a.kind == Kind::extent ? a : b;
    const bool below = number.is_known() && extent.kind == Kind::extent && number.value <= 0;
    if (below) return op == "Max" ? extent : number;
  }
  return {};
}

PartialInt compare_numbers(std::string_view op, const PartialInt& a, const PartialInt& b) {
  if (is_nan(a) || is_nan(b)) return known_number(0);
  std::optional<bool> result;
  if (op == "Equal") result = equal(a, b);
  if (op == "Less") result = less(a, b);
  if (op == "Greater") result = less(b, a);
  if (op == "LessOrEqual") result = less(b, a);
  if (op == "GreaterOrEqual") result = less(a, b);
  if (!result) return {};
  const bool negated = op == "LessOrEqual" || op == "GreaterOrEqual";
  return known_number(*result != negated ? 1 : 0);
}

PartialInt map_number(std::string_view op, DType dtype, const PartialInt& a) {
  if (op == "Identity") return a;
  if (a.is_known()) return map_integer(op, dtype, a.value);
  if (a.is_real()) return map_real(op, dtype, a.real());
  const bool keeps_extent = op == "Abs" || op == "Floor" || op == "Ceil" || op == "Round";
  return a.kind == Kind::extent && keeps_extent ? a : PartialInt{};
}

PartialInt cast_number(DType to, const PartialInt& a) {
  if (a.is_real()) return cast_real(to, a.real());
  if (a.kind == Kind::extent) return to == DType::boolean ? PartialInt{} : a;
  if (!a.is_known()) return {};
  if (to == DType::f32) return real_number(static_cast<double>(static_cast<float>(a.value)));
  if (to == DType::f64) return real_number(static_cast<double>(a.value));
  if (to == DType::boolean) return known_number(a.value != 0 ? 1 : 0);
  return fitting(to, a.value);
}

}  // namespace octet

#pragma once
// Private to shape inference: arithmetic on numbers that are known in part. Results are those that
// running the operator would give, or unknown.

#include <bit>
#include <optional>
#include <string_view>

#include "graph/value_facts.h"

namespace octet {

[[nodiscard]] inline PartialInt known_number(std::int64_t value) {
  return {PartialInt::Kind::known, value};
}
[[nodiscard]] inline PartialInt real_number(double value) {
  return {PartialInt::Kind::real, std::bit_cast<std::int64_t>(value)};
}

/// Add, Sub, Mul, Div, Min, Max, Mod (of Python's sign), FMod (of C's sign) on elements of
/// tensors of this type, And, Or, Xor on booleans.
[[nodiscard]] PartialInt combine_numbers(std::string_view op, DType dtype, const PartialInt& a,
                                         const PartialInt& b);

/// Equal, Less, LessOrEqual, Greater, GreaterOrEqual as a known 0 or 1. An extent is never
/// negative.
[[nodiscard]] PartialInt compare_numbers(std::string_view op, const PartialInt& a,
                                         const PartialInt& b);

/// Identity, Neg, Abs, Sign, Floor, Ceil, Round, Sqrt, Not; unknown for every other operator.
[[nodiscard]] PartialInt map_number(std::string_view op, DType dtype, const PartialInt& a);

/// Cast to an element of this type.
[[nodiscard]] PartialInt cast_number(DType to, const PartialInt& a);

}  // namespace octet

#pragma once
#include <algorithm>

#include "core/shape.h"

namespace octet {

/// Checks a shape that a file claims. Empty dimensions count as 1, so that the product of the
/// others cannot overflow on the way to a zero, and neither can strides.
[[nodiscard]] inline Status check_file_shape(Shape shape) {
  std::replace(shape.begin(), shape.end(), std::int64_t{0}, std::int64_t{1});
  OCTET_TRY(checked_element_count(shape));
  return {};
}

}  // namespace octet

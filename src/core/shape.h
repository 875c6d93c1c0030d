#pragma once
// Shapes. A dimension that only the data fixes (a batch) is `dynamic_dim`.

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"

namespace octet {

inline constexpr std::int64_t dynamic_dim = -1;

/// Extents, outermost first; each is >= 0, or dynamic_dim.
using Shape = std::vector<std::int64_t>;

/// Elements of a tensor of this shape. Fails on a dynamic dimension, a negative one, or a product
/// beyond 2^40 (a file that claims so much is damaged).
[[nodiscard]] Result<std::int64_t> checked_element_count(const Shape& shape);

/// The same for shapes that are known to be valid.
[[nodiscard]] std::int64_t element_count(const Shape& shape);

[[nodiscard]] bool is_static(const Shape& shape);

/// "[1,3,224,224]"; a dynamic dimension prints as "?".
[[nodiscard]] std::string to_string(const Shape& shape);

/// Elements to step for +1 in each dimension of a dense row-major tensor.
[[nodiscard]] std::vector<std::int64_t> row_major_strides(const Shape& shape);

/// Axis in [0, rank) for one that may count from the end.
[[nodiscard]] Result<int> normalize_axis(std::int64_t axis, std::size_t rank);

/// Multidirectional (numpy) broadcasting; dynamic dimensions broadcast to dynamic.
[[nodiscard]] Result<Shape> broadcast_shapes(const Shape& a, const Shape& b);

}  // namespace octet

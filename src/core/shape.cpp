#include "core/shape.h"

#include <algorithm>

namespace octet {

Result<std::int64_t> checked_element_count(const Shape& shape) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  // Empty dimensions are left out of the product, so that strides of an empty tensor stay sane too.
  std::int64_t extent = 1;
  for (const auto dim : shape) {
    if (dim < 0) return bad_input("shape {} has a dimension that is not fixed", to_string(shape));
    if (dim > limit / extent) return bad_input("shape {} is absurdly large", to_string(shape));
    if (dim > 0) extent *= dim;
  }
  return element_count(shape);
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const auto dim : shape) count *= dim;
  return count;
}

bool is_static(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim >= 0; });
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += shape[i] == dynamic_dim ? std::string("?") : std::to_string(shape[i]);
  }
  return text + "]";
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Result<int> normalize_axis(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return bad_input("axis {} is outside rank {}", axis, rank);
  }
  return static_cast<int>(axis < 0 ? axis + signed_rank : axis);
}

Result<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const auto db = i < b.size() ? b[b.size() - 1 - i] : 1;
    auto& dim = out[out.size() - 1 - i];
    if (da == db) {
      dim = da;
    } else if (da == 1) {
      dim = db;
    } else if (db == 1) {
      dim = da;
    } else if (da == dynamic_dim || db == dynamic_dim) {
      dim = std::max(da, db);
    } else {
      return bad_input("shapes {} and {} do not broadcast", to_string(a), to_string(b));
    }
  }
  return out;
}

}  // namespace octet

#pragma once
// The matrix products that a MatMul with numpy broadcasting consists of.

#include <utility>
#include <vector>

#include "core/result.h"
#include "core/shape.h"
#include "kernels/product.h"

namespace octet::integer {

/// A batch of products of one shape.
struct ProductBatch {
  Shape output;
  kernels::ProductShape shape;
  std::vector<std::pair<std::int64_t, std::int64_t>> offsets;  ///< of a and b, by product
};
/// Errors do not name the node.
[[nodiscard]] Result<ProductBatch> make_product_batch(const Shape& a, const Shape& b);

}  // namespace octet::integer

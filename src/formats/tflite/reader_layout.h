#pragma once
// Where a tensor in the file's order [N,H,W,C] is an image [N,C,H,W] in the graph.

#include <array>
#include <cstdint>
#include <vector>

#include "formats/tflite/reader_model.h"

namespace octet::tflite {

/// Transpose permutations between the orders, and the axis of an image for one of the file.
inline constexpr std::array<int, 4> to_image{0, 3, 1, 2};
inline constexpr std::array<int, 4> from_image{0, 2, 3, 1};
inline constexpr std::array<std::int64_t, 4> image_axis{0, 2, 3, 1};

/// By tensor number: read or made by a spatial operator, or joined to such a tensor by operators
/// that work in any order of axes. Only rank 4; never a constant.
[[nodiscard]] std::vector<bool> find_images(const FileModel& model);

/// [N,H,W,C] -> [N,C,H,W].
[[nodiscard]] Shape image_shape(const Shape& shape);

/// A tensor of this shape (file's order) has the same bytes in both orders.
[[nodiscard]] bool same_bytes(const Shape& shape);

/// What is left of an image without these axes (file's numbering) has its axes in the file's order.
[[nodiscard]] bool keeps_order(const std::vector<std::int64_t>& removed);

}  // namespace octet::tflite

#pragma once
// In which order the file holds the axes of a value: order[i] is the axis of the graph's value that
// lies at position i of the stored tensor.

#include <span>

#include "core/tensor.h"

namespace octet::tflite {

using AxisOrder = std::vector<std::int64_t>;

/// [0, 1, ..., rank - 1].
[[nodiscard]] AxisOrder identity_order(std::size_t rank);
/// [0, 2, ..., rank - 1, 1]: how images are stored.
[[nodiscard]] AxisOrder channels_last(std::size_t rank);
[[nodiscard]] bool is_identity(const AxisOrder& order);

/// Where each axis of the value lies: the inverse permutation.
[[nodiscard]] AxisOrder positions(const AxisOrder& order);
[[nodiscard]] std::int64_t position_of(const AxisOrder& order, std::int64_t axis);

/// out[i] = list[order[i]].
[[nodiscard]] Shape permuted(std::span<const std::int64_t> list, const AxisOrder& order);

/// Order of Transpose(value, perm) when nothing is moved: the value is stored in `order`.
[[nodiscard]] AxisOrder behind_transpose(const AxisOrder& order, const AxisOrder& perm);

/// `order` over the axes that are left without these, which count anew.
[[nodiscard]] AxisOrder without_axes(const AxisOrder& order,
                                     const std::vector<std::int64_t>& removed);

/// Whether a value of this shape has the same bytes in both orders: its extents other than 1 come
/// in the same sequence.
[[nodiscard]] bool same_bytes(const AxisOrder& a, const AxisOrder& b, const Shape& shape);

/// A tensor of whole bytes per element with its axes permuted: axis i of the result is order[i] of
/// `from`.
[[nodiscard]] Tensor permute_axes(const Tensor& from, const AxisOrder& order);

/// Elements along the last axis taken in this order.
[[nodiscard]] Tensor gather_last(const Tensor& from, std::span<const std::int64_t> indices);

}  // namespace octet::tflite

#include "formats/tflite/axis_order.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace octet::tflite {

AxisOrder identity_order(std::size_t rank) {
  AxisOrder order(rank);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

AxisOrder channels_last(std::size_t rank) {
  auto order = identity_order(rank);
  if (rank > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}

bool is_identity(const AxisOrder& order) { return order == identity_order(order.size()); }

AxisOrder positions(const AxisOrder& order) {
  AxisOrder inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  }
  return inverse;
}

std::int64_t position_of(const AxisOrder& order, std::int64_t axis) {
  return std::find(order.begin(), order.end(), axis) - order.begin();
}

Shape permuted(std::span<const std::int64_t> list, const AxisOrder& order) {
  Shape out;
  out.reserve(order.size());
  for (const auto axis : order) out.push_back(list[static_cast<std::size_t>(axis)]);
  return out;
}

AxisOrder behind_transpose(const AxisOrder& order, const AxisOrder& perm) {
  // Axis j of the result is axis perm[j] of the value.
  return permuted(positions(perm), order);
}

AxisOrder without_axes(const AxisOrder& order, const std::vector<std::int64_t>& removed) {
  AxisOrder out;
  for (const auto axis : order) {
    if (std::find(removed.begin(), removed.end(), axis) != removed.end()) continue;
    out.push_back(axis - std::count_if(removed.begin(), removed.end(),
                                       [&](auto other) { return other < axis; }));
  }
  return out;
}

bool same_bytes(const AxisOrder& a, const AxisOrder& b, const Shape& shape) {
  const auto without_ones = [&](const AxisOrder& order) {
    AxisOrder kept;
    for (const auto axis : order) {
      if (shape[static_cast<std::size_t>(axis)] != 1) kept.push_back(axis);
    }
    return kept;
  };
  return without_ones(a) == without_ones(b);
}

Tensor permute_axes(const Tensor& from, const AxisOrder& order) {
  if (is_identity(order)) return from;
  const auto strides = row_major_strides(from.shape());
  Tensor out(from.dtype(), permuted(from.shape(), order));
  const auto rank = order.size();
  const auto size = static_cast<std::size_t>(bits(from.dtype())) / 8;
  const auto* source = from.raw();
  auto* target = out.mutable_raw();
  std::vector<std::int64_t> index(rank, 0);
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < out.size(); ++i) {
    std::memcpy(target, source + static_cast<std::size_t>(offset) * size, size);
    target += size;
    for (std::size_t d = rank; d-- > 0;) {
      const auto stride = strides[static_cast<std::size_t>(order[d])];
      offset += stride;
      if (++index[d] < out.shape()[d]) break;
      offset -= stride * index[d];
      index[d] = 0;
    }
  }
  return out;
}

Tensor gather_last(const Tensor& from, std::span<const std::int64_t> indices) {
  auto shape = from.shape();
  shape.back() = static_cast<std::int64_t>(indices.size());
  Tensor out(from.dtype(), std::move(shape));
  const auto size = static_cast<std::size_t>(bits(from.dtype())) / 8;
  const auto row = from.shape().back();
  const auto rows = row == 0 ? 0 : from.size() / row;
  auto* target = out.mutable_raw();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (const auto i : indices) {
      std::memcpy(target, from.raw() + static_cast<std::size_t>(r * row + i) * size, size);
      target += size;
    }
  }
  return out;
}

}  // namespace octet::tflite

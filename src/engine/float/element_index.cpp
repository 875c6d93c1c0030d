#include "engine/float/element_index.h"

namespace octet::float_engine {
namespace {

Result<std::int64_t> checked_index(std::int64_t index, std::int64_t extent, std::size_t dimension,
                                   const Shape& data) {
  if (index < -extent || index >= extent) {
    return bad_input("index {} is outside dimension {} of {}", index, dimension, to_string(data));
  }
  return index < 0 ? index + extent : index;
}

}  // namespace

Result<std::vector<std::int64_t>> element_offsets(const Shape& data, const Tensor& indices,
                                                  std::int64_t axis) {
  const Shape& shape = indices.shape();
  OCTET_ASSIGN(const int normal, normalize_axis(axis, data.size()));
  const auto along = static_cast<std::size_t>(normal);
  bool fits = shape.size() == data.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = i == along || shape[i] <= data[i];
  }
  if (!fits) {
    return bad_input("indices of shape {} do not fit {} along axis {}", to_string(shape),
                     to_string(data), along);
  }
  OCTET_ASSIGN(auto offsets, to_int64(indices));
  const auto strides = row_major_strides(data);
  std::vector<std::int64_t> at(shape.size(), 0);
  std::int64_t base = 0;
  for (auto& offset : offsets) {
    OCTET_ASSIGN(const auto index, checked_index(offset, data[along], along, data));
    offset = base + index * strides[along];
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::int64_t step = d == along ? 0 : strides[d];
      base += step;
      if (++at[d] < shape[d]) break;
      base -= step * shape[d];
      at[d] = 0;
    }
  }
  return offsets;
}

Result<Slices> slices_of(const Shape& data, const Tensor& indices, std::int64_t batch_dims) {
  const Shape& shape = indices.shape();
  const auto rank = static_cast<std::int64_t>(data.size());
  if (shape.empty() || data.empty() || batch_dims < 0 ||
      batch_dims >= static_cast<std::int64_t>(shape.size()) || shape.back() > rank - batch_dims) {
    return bad_input("indices of shape {} with batch_dims {} do not fit {}", to_string(shape),
                     batch_dims, to_string(data));
  }
  const auto batch = static_cast<std::size_t>(batch_dims);
  const auto depth = static_cast<std::size_t>(shape.back());
  for (std::size_t i = 0; i < batch; ++i) {
    if (shape[i] != data[i]) {
      return bad_input("batch dimension {} differs between {} and {}", i, to_string(data),
                       to_string(shape));
    }
  }
  Slices result;
  result.rows.assign(shape.begin(), shape.end() - 1);
  result.slice.assign(data.begin() + static_cast<std::ptrdiff_t>(batch + depth), data.end());
  const auto count = element_count(result.rows);
  const auto batches = element_count(Shape(data.begin(), data.begin() + batch_dims));
  OCTET_ASSIGN(const auto values, to_int64(indices));
  const auto strides = row_major_strides(data);
  const std::int64_t batch_step = batches > 0 ? element_count(data) / batches : 0;
  const std::int64_t rows_per_batch = batches > 0 ? count / batches : 0;
  // Rows of no indices take no memory in a file, so any number of them could be claimed.
  if (depth == 0 && count > (std::int64_t{1} << 26)) return bad_input("{} slices", count);
  result.offsets.reserve(static_cast<std::size_t>(count));
  for (std::int64_t row = 0; row < count; ++row) {
    std::int64_t offset = row / rows_per_batch * batch_step;
    for (std::size_t k = 0; k < depth; ++k) {
      const std::size_t d = batch + k;
      const std::int64_t value = values[static_cast<std::size_t>(row) * depth + k];
      OCTET_ASSIGN(const auto index, checked_index(value, data[d], d, data));
      offset += index * strides[d];
    }
    result.offsets.push_back(offset);
  }
  return result;
}

}  // namespace octet::float_engine

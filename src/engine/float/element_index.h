#pragma once
// Where index tensors point: what the gathering and the scattering operators share.

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"

namespace octet::float_engine {

/// GatherElements, ScatterElements: for each element of `indices`, in order, the flat offset of the
/// element of a tensor of shape `data` at the same place but for `axis`, where the index says.
/// Negative indices count from the end. Fails on an index outside, and unless the ranks agree and
/// `indices` is nowhere larger beside `axis`.
[[nodiscard]] Result<std::vector<std::int64_t>> element_offsets(const Shape& data,
                                                                const Tensor& indices,
                                                                std::int64_t axis);

/// GatherND, ScatterND: slices of a tensor of shape `data`.
struct Slices {
  std::vector<std::int64_t> offsets;  ///< flat offset of the slice of each row of `indices`
  Shape rows;                         ///< the extents of `indices` but the last
  Shape slice;                        ///< extents of a slice
};

/// The last extent of `indices` holds indices of the dimensions from `batch_dims` on; the ones
/// before belong together. Negative indices count from the end. Fails on an index outside.
[[nodiscard]] Result<Slices> slices_of(const Shape& data, const Tensor& indices,
                                       std::int64_t batch_dims);

}  // namespace octet::float_engine

#pragma once
// Data movement on bytes: Transpose, Slice, Pad, Concat, Split and the change between row-major and
// channels-last order are all one strided copy.

#include <cstdint>
#include <vector>

namespace octet::kernels {

/// out[sum i_d * out_stride_d] = in[sum i_d * in_stride_d] for all 0 <= i_d < extent_d. Strides may
/// be negative. Any rank.
struct StridedCopy {
  std::vector<std::int64_t> extent;
  std::vector<std::int64_t> in_stride;
  std::vector<std::int64_t> out_stride;
};

/// The same copy with as few dimensions as it takes: neighbours through which both sides run evenly
/// become one.
[[nodiscard]] StridedCopy simplified(const StridedCopy& copy);

/// Fast for simplified copies whose last dimension is dense on both sides, and for those that
/// transpose their last two.
void copy_strided(const StridedCopy& copy, const std::uint8_t* input, std::uint8_t* output);

/// output[p * channels + c] = planes[c * plane_stride + p].
void interleave_planes(const std::uint8_t* planes, std::int64_t plane_stride, std::int64_t channels,
                       std::int64_t pixels, std::uint8_t* output);

}  // namespace octet::kernels

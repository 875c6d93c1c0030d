#include "kernels/copy.h"

#include <cstring>

namespace octet::kernels {
namespace {

void copy_from(const StridedCopy& copy, std::size_t axis, const std::uint8_t* input,
               std::uint8_t* output) {
  const std::int64_t extent = copy.extent[axis];
  const std::int64_t in_stride = copy.in_stride[axis];
  const std::int64_t out_stride = copy.out_stride[axis];
  if (axis + 1 < copy.extent.size()) {
    for (std::int64_t i = 0; i < extent; ++i) {
      copy_from(copy, axis + 1, input + i * in_stride, output + i * out_stride);
    }
    return;
  }
  if (in_stride == 1 && out_stride == 1) {
    if (extent > 0) std::memcpy(output, input, static_cast<std::size_t>(extent));
    return;
  }
  for (std::int64_t i = 0; i < extent; ++i) output[i * out_stride] = input[i * in_stride];
}

}  // namespace

void copy_strided(const StridedCopy& copy, const std::uint8_t* input, std::uint8_t* output) {
  if (copy.extent.empty()) {
    *output = *input;
    return;
  }
  copy_from(copy, 0, input, output);
}

}  // namespace octet::kernels

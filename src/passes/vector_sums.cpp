#include "passes/vector_sums.h"

#include "engine/float/vector_clones.h"

namespace octet::sums {
namespace {

constexpr std::int64_t lanes = 16;

template <class T>
OCTET_INLINE T add_up(const T* a, const T* b, std::int64_t count) {
  T partial[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (std::int64_t l = 0; l < lanes; ++l) partial[l] += a[i + l] * b[i + l];
  }
  for (std::int64_t l = 0; i < count; ++i, ++l) partial[l] += a[i] * b[i];
  for (std::int64_t width = lanes / 2; width > 0; width /= 2) {
    for (std::int64_t l = 0; l < width; ++l) partial[l] += partial[l + width];
  }
  return partial[0];
}

}  // namespace

OCTET_VECTOR_CLONES float dot(const float* a, const float* b, std::int64_t count) {
  return add_up(a, b, count);
}

OCTET_VECTOR_CLONES double dot(const double* a, const double* b, std::int64_t count) {
  return add_up(a, b, count);
}

OCTET_VECTOR_CLONES void add_scaled(const float* __restrict values, float factor,
                                    std::int64_t count, float* __restrict sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += factor * values[i];
}

}  // namespace octet::sums

#include "calibration/histogram_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace octet {
namespace {

#define OCTET_INLINE inline __attribute__((always_inline))

struct RangeKeys {
  std::int32_t low;
  std::int32_t high;
  std::int32_t magnitude;
};

/// Bits of a float as an integer that orders like it (and its own inverse): minima and maxima of
/// integers vectorise without promising anything about NaN.
OCTET_INLINE std::int32_t order_key(std::int32_t bits) {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

OCTET_INLINE RangeKeys scan_body(const float* values, std::size_t count) {
  std::int32_t low = std::numeric_limits<std::int32_t>::max();
  std::int32_t high = std::numeric_limits<std::int32_t>::min();
  std::int32_t magnitude = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::int32_t>(values[i]);
    const std::int32_t key = order_key(bits);
    low = key < low ? key : low;
    high = key > high ? key : high;
    const std::int32_t absolute = bits & 0x7fffffff;
    magnitude = absolute > magnitude ? absolute : magnitude;
  }
  return {low, high, magnitude};
}

OCTET_INLINE void bins_body(const float* values, std::size_t count, float reciprocal, float width,
                            std::int32_t first_bin, std::int32_t* bins) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto truncated = static_cast<std::int32_t>(values[i] * reciprocal);
    // Compared with the value itself: the product of a tiny negative value underflows to -0.
    const auto below = static_cast<std::int32_t>(values[i] < static_cast<float>(truncated) * width);
    bins[i] = truncated - below - first_bin;
  }
}

using ScanFunction = RangeKeys (*)(const float*, std::size_t);
using BinsFunction = void (*)(const float*, std::size_t, float, float, std::int32_t, std::int32_t*);

RangeKeys scan_generic(const float* values, std::size_t count) { return scan_body(values, count); }
void bins_generic(const float* values, std::size_t count, float reciprocal, float width,
                  std::int32_t first_bin, std::int32_t* bins) {
  bins_body(values, count, reciprocal, width, first_bin, bins);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) RangeKeys scan_avx2(const float* values, std::size_t count) {
  return scan_body(values, count);
}
__attribute__((target("avx2"))) void bins_avx2(const float* values, std::size_t count,
                                               float reciprocal, float width,
                                               std::int32_t first_bin, std::int32_t* bins) {
  bins_body(values, count, reciprocal, width, first_bin, bins);
}
__attribute__((target("avx512f"))) RangeKeys scan_avx512(const float* values, std::size_t count) {
  return scan_body(values, count);
}
__attribute__((target("avx512f"))) void bins_avx512(const float* values, std::size_t count,
                                                    float reciprocal, float width,
                                                    std::int32_t first_bin, std::int32_t* bins) {
  bins_body(values, count, reciprocal, width, first_bin, bins);
}
#endif

struct Kernels {
  ScanFunction scan = scan_generic;
  BinsFunction bins = bins_generic;
};

Kernels pick_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {scan_avx512, bins_avx512};
  if (__builtin_cpu_supports("avx2")) return {scan_avx2, bins_avx2};
#endif
  return {};
}

const Kernels& kernels() {
  static const Kernels picked = pick_kernels();
  return picked;
}

}  // namespace

ValueRange scan_range(const float* values, std::size_t count) {
  const RangeKeys keys = kernels().scan(values, count);
  constexpr std::int32_t infinity_bits = 0x7f800000;
  // Adding +0 turns -0 into +0.
  return {std::bit_cast<float>(order_key(keys.low)) + 0.0F,
          std::bit_cast<float>(order_key(keys.high)) + 0.0F, keys.magnitude < infinity_bits};
}

void bin_indices(const float* values, std::size_t count, int exponent, std::int32_t first_bin,
                 std::int32_t* bins) {
  kernels().bins(values, count, std::ldexp(1.0F, -exponent), std::ldexp(1.0F, exponent), first_bin,
                 bins);
}

}  // namespace octet

#include "calibration/histogram_kernels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/float/vector_clones.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace octet {
namespace {

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

OCTET_INLINE std::size_t bins_body(const float* values, std::size_t count, float reciprocal,
                                   float width, std::int32_t first_bin, std::uint16_t* bins) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto truncated = static_cast<std::int32_t>(values[i] * reciprocal);
    // Compared with the value itself: the product of a tiny negative value underflows to -0.
    const auto below = static_cast<std::int32_t>(values[i] < static_cast<float>(truncated) * width);
    bins[i] = static_cast<std::uint16_t>(truncated - below - first_bin);
  }
  return count;
}

OCTET_INLINE void add_body(const std::uint16_t* tables, std::size_t bins, std::uint64_t* sums) {
  for (std::size_t i = 0; i < bins; ++i) {
    sums[i] +=
        std::uint32_t{tables[i]} + tables[bins + i] + tables[2 * bins + i] + tables[3 * bins + i];
  }
}

using ScanFunction = RangeKeys (*)(const float*, std::size_t);
using BinsFunction = std::size_t (*)(const float*, std::size_t, float, float, std::int32_t,
                                     std::uint16_t*);
using AddFunction = void (*)(const std::uint16_t*, std::size_t, std::uint64_t*);

RangeKeys scan_generic(const float* values, std::size_t count) { return scan_body(values, count); }
std::size_t bins_generic(const float* values, std::size_t count, float reciprocal, float width,
                         std::int32_t first_bin, std::uint16_t* bins) {
  return bins_body(values, count, reciprocal, width, first_bin, bins);
}

void add_generic(const std::uint16_t* tables, std::size_t bins, std::uint64_t* sums) {
  add_body(tables, bins, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) RangeKeys scan_avx2(const float* values, std::size_t count) {
  return scan_body(values, count);
}
__attribute__((target("avx2"))) std::size_t bins_avx2(const float* values, std::size_t count,
                                                      float reciprocal, float width,
                                                      std::int32_t first_bin, std::uint16_t* bins) {
  return bins_body(values, count, reciprocal, width, first_bin, bins);
}
__attribute__((target("avx2"))) void add_avx2(const std::uint16_t* tables, std::size_t bins,
                                              std::uint64_t* sums) {
  add_body(tables, bins, sums);
}
__attribute__((target("avx512f"))) RangeKeys scan_avx512(const float* values, std::size_t count) {
  const __m512 first = _mm512_set1_ps(values[0]);
  const __m512i no_sign = _mm512_set1_epi32(0x7fffffff);
  __m512 low = first;
  __m512 high = first;
  __m512i magnitude = _mm512_setzero_si512();
  for (std::size_t i = 0; i < count; i += 16) {
    const auto lanes = static_cast<__mmask16>(count - i < 16 ? (1U << (count - i)) - 1 : 0xffffU);
    const __m512 value = _mm512_mask_loadu_ps(first, lanes, values + i);
    low = _mm512_maskz_min_ps(0xffff, low, value);
    high = _mm512_maskz_max_ps(0xffff, high, value);
    const __m512i absolute = _mm512_and_si512(_mm512_castps_si512(value), no_sign);
    magnitude = _mm512_maskz_max_epi32(0xffff, magnitude, absolute);
  }
  std::array<float, 32> extremes;
  _mm512_storeu_ps(extremes.data(), low);
  _mm512_storeu_ps(extremes.data() + 16, high);
  std::array<float, 16> magnitudes;
  _mm512_storeu_ps(magnitudes.data(), _mm512_castsi512_ps(magnitude));
  RangeKeys keys = scan_body(extremes.data(), extremes.size());
  keys.magnitude = scan_body(magnitudes.data(), magnitudes.size()).magnitude;
  return keys;
}
__attribute__((target("avx512f"))) std::size_t bins_avx512(const float* values, std::size_t count,
                                                           float reciprocal, float width,
                                                           std::int32_t first_bin,
                                                           std::uint16_t* bins) {
  return bins_body(values, count, reciprocal, width, first_bin, bins);
}
__attribute__((target("avx512f"))) void add_avx512(const std::uint16_t* tables, std::size_t bins,
                                                   std::uint64_t* sums) {
  add_body(tables, bins, sums);
}

#define OCTET_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vbmi2")))

/// floor(values * reciprocal) of `lanes`, 0 of the others. The product is exact: reciprocal >= 1 is
/// a power of two.
OCTET_VBMI2 OCTET_INLINE __m512i floors(const float* values, std::uint64_t lanes,
                                        __m512 reciprocal) {
  const auto mask = static_cast<__mmask16>(lanes);
  const __m512 value = _mm512_maskz_loadu_ps(mask, values);
  return _mm512_maskz_cvt_roundps_epi32(mask, _mm512_mul_ps(value, reciprocal),
                                        _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

/// Leaves out what lies in zero's bin: half of the values behind a Relu, which to count one by one
/// would take longest.
OCTET_VBMI2 std::size_t bins_vbmi2(const float* values, std::size_t count, float reciprocal,
                                   float width, std::int32_t first_bin, std::uint16_t* bins) {
  if (reciprocal < 1) return bins_avx512(values, count, reciprocal, width, first_bin, bins);
  const __m512 reciprocals = _mm512_set1_ps(reciprocal);
  const __m512i first = _mm512_set1_epi16(static_cast<std::int16_t>(first_bin));
  std::size_t written = 0;
  for (std::size_t i = 0; i < count; i += 32) {
    const std::uint64_t left = std::min<std::uint64_t>(count - i, 32);
    const std::uint64_t lanes = (std::uint64_t{1} << left) - 1;
    const __m512i low = floors(values + i, lanes & 0xffff, reciprocals);
    const __m512i high = floors(values + i + 16, lanes >> 16, reciprocals);
    const __m512i bin = _mm512_packs_epi32(low, high);
    const __mmask32 kept = _mm512_test_epi16_mask(bin, bin);
    // Compressing in a register and storing all of it is faster than storing some lanes.
    _mm512_storeu_si512(bins + written,
                        _mm512_maskz_compress_epi16(kept, _mm512_sub_epi16(bin, first)));
    written += static_cast<std::size_t>(__builtin_popcount(kept));
  }
  return written;
}
#endif

struct Kernels {
  ScanFunction scan = scan_generic;
  BinsFunction bins = bins_generic;
  AddFunction add = add_generic;
};

Kernels pick_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    const bool compresses =
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
    return {scan_avx512, compresses ? bins_vbmi2 : bins_avx512, add_avx512};
  }
  if (__builtin_cpu_supports("avx2")) return {scan_avx2, bins_avx2, add_avx2};
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

std::size_t bins_but_zero(const float* values, std::size_t count, int exponent,
                          std::int32_t first_bin, std::uint16_t* bins) {
  return kernels().bins(values, count, std::ldexp(1.0F, -exponent), std::ldexp(1.0F, exponent),
                        first_bin, bins);
}

void add_four_tables(const std::uint16_t* tables, std::size_t bins, std::uint64_t* sums) {
  kernels().add(tables, bins, sums);
}

}  // namespace octet

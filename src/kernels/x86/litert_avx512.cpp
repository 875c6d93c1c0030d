// Requantization of 16 accumulators at a time; what remains of a row is masked.

#if defined(__x86_64__)

#include <algorithm>

#include "kernels/x86/avx512.h"
#include "kernels/x86/x86_litert.h"

namespace octet::kernels::litert {
namespace {

struct Limits {
  __m512i low, high, zero_point;  ///< low and high without the zero point
};

OCTET_AVX512VNNI inline Limits make_limits(const Requantization& p) {
  return {_mm512_set1_epi32(p.low - p.zero_point), _mm512_set1_epi32(p.high - p.zero_point),
          _mm512_set1_epi32(p.zero_point)};
}

/// `count` (1 to 16) values of one array, or one value for all lanes.
OCTET_AVX512VNNI inline __m512i load(const std::int32_t* from, __mmask16 mask, bool uniform) {
  return uniform ? _mm512_set1_epi32(*from) : _mm512_maskz_loadu_epi32(mask, from);
}
OCTET_AVX512VNNI inline __m512d load(const double* from, __mmask8 mask, bool uniform) {
  return uniform ? _mm512_set1_pd(*from) : _mm512_maskz_loadu_pd(mask, from);
}

/// high_product of all lanes.
OCTET_AVX512VNNI inline __m512i high_products(__m512i a, __m512i b) {
  const __m512i half = _mm512_set1_epi64(std::int64_t{1} << 30);
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, b), half);
  const __m512i odd =
      _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32)), half);
  return _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
}

OCTET_AVX512VNNI inline __m512i divide_away(__m512i value, __m512i right) {
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, right), one);
  const __m512i threshold =
      _mm512_add_epi32(_mm512_srli_epi32(mask, 1), _mm512_srli_epi32(value, 31));
  const __mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(value, mask), threshold);
  const __m512i quotient = _mm512_srav_epi32(value, right);
  return _mm512_mask_add_epi32(quotient, up, quotient, one);
}

/// The quotient's last lost bit is what ties upward add; a shift by -1 gives 0.
OCTET_AVX512VNNI inline __m512i divide_up(__m512i value, __m512i right) {
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i lost = _mm512_srlv_epi32(value, _mm512_sub_epi32(right, one));
  return _mm512_add_epi32(_mm512_srav_epi32(value, right), _mm512_and_si512(lost, one));
}

template <Scaling scaling>
OCTET_AVX512VNNI inline __m512i scale_fixed(const Requantization& p, __m512i sum, std::int64_t at,
                                            __mmask16 mask, bool uniform) {
  const __m512i left = load(p.left.data() + at, mask, uniform);
  const __m512i multiplier = load(p.multiplier.data() + at, mask, uniform);
  const __m512i right = load(p.right.data() + at, mask, uniform);
  const __m512i product = high_products(_mm512_sllv_epi32(sum, left), multiplier);
  if constexpr (scaling == Scaling::twice_rounded) return divide_away(product, right);
  return divide_up(product, right);
}

OCTET_AVX512VNNI inline __m256i scale_real8(__m256i sum, __m512d factor, const Limits& limits) {
  const __m512d scaled = _mm512_mul_pd(_mm512_cvtepi32_pd(sum), factor);
  const __m512d low = _mm512_cvtepi32_pd(_mm512_castsi512_si256(limits.low));
  const __m512d high = _mm512_cvtepi32_pd(_mm512_castsi512_si256(limits.high));
  const __m512d limited = _mm512_min_pd(_mm512_max_pd(scaled, low), high);
  const __m512d sign = _mm512_and_pd(limited, _mm512_set1_pd(-0.0));
  return _mm512_cvttpd_epi32(
      _mm512_add_pd(limited, _mm512_or_pd(sign, _mm512_set1_pd(below_half))));
}

OCTET_AVX512VNNI inline __m512i scale_real(const Requantization& p, __m512i sum, std::int64_t at,
                                           __mmask16 mask, bool uniform, const Limits& limits) {
  const double* factors = p.real.data() + at;
  const __m512d first = load(factors, static_cast<__mmask8>(mask), uniform);
  const __m512d second =
      load(factors + (uniform ? 0 : 8), static_cast<__mmask8>(mask >> 8), uniform);
  const __m256i low = scale_real8(_mm512_castsi512_si256(sum), first, limits);
  const __m256i high = scale_real8(_mm512_extracti64x4_epi64(sum, 1), second, limits);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

OCTET_AVX512VNNI inline __m512i scale_floating(const Requantization& p, __m512i sum,
                                               std::int64_t at, __mmask16 mask, bool uniform,
                                               const Limits& limits) {
  const __m512 factor = uniform ? _mm512_set1_ps(p.floating[static_cast<std::size_t>(at)])
                                : _mm512_maskz_loadu_ps(mask, p.floating.data() + at);
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor);
  // max returns its second operand when one is NaN, as saturate does.
  const __m512 above = _mm512_max_ps(scaled, _mm512_cvtepi32_ps(limits.low));
  return _mm512_cvtps_epi32(_mm512_min_ps(above, _mm512_cvtepi32_ps(limits.high)));
}

template <Scaling scaling>
OCTET_AVX512VNNI inline __m512i scale(const Requantization& p, __m512i sum, std::int64_t at,
                                      __mmask16 mask, bool uniform, const Limits& limits) {
  if constexpr (scaling == Scaling::floating) {
    return scale_floating(p, sum, at, mask, uniform, limits);
  } else if constexpr (scaling == Scaling::real) {
    return scale_real(p, sum, at, mask, uniform, limits);
  } else {
    return scale_fixed<scaling>(p, sum, at, mask, uniform);
  }
}

template <Scaling scaling>
OCTET_AVX512VNNI void run(const Requantization& p, const std::int32_t* accumulators,
                          std::uint8_t* output, std::int64_t rows) {
  const Limits limits = make_limits(p);
  const bool uniform = p.channels == 1;
  const std::int64_t length = uniform ? rows : p.channels;
  if (uniform) rows = 1;
  for (std::int64_t row = 0; row < rows; ++row, accumulators += length, output += length) {
    for (std::int64_t i = 0; i < length; i += 16) {
      const int lanes = static_cast<int>(std::min<std::int64_t>(length - i, 16));
      const auto mask = static_cast<__mmask16>(avx512::low_bits(lanes));
      const __m512i sum = _mm512_maskz_loadu_epi32(mask, accumulators + i);
      const __m512i scaled = scale<scaling>(p, sum, uniform ? 0 : i, mask, uniform, limits);
      const __m512i limited = _mm512_min_epi32(_mm512_max_epi32(scaled, limits.low), limits.high);
      _mm512_mask_cvtepi32_storeu_epi8(output + i, mask,
                                       _mm512_add_epi32(limited, limits.zero_point));
    }
  }
}

}  // namespace

void requantize_avx512(const Requantization& params, const std::int32_t* accumulators,
                       std::uint8_t* output, std::int64_t rows) {
  switch (params.scaling) {
    case Scaling::floating: return run<Scaling::floating>(params, accumulators, output, rows);
    case Scaling::twice_rounded:
      return run<Scaling::twice_rounded>(params, accumulators, output, rows);
    case Scaling::rounded_up: return run<Scaling::rounded_up>(params, accumulators, output, rows);
    case Scaling::real: return run<Scaling::real>(params, accumulators, output, rows);
  }
}

}  // namespace octet::kernels::litert

#endif

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

/// The factors of 16 channels; of those that the scaling has none, nothing.
template <Scaling scaling>
struct Factors {
  __m512i left, multiplier, right;
  __m512d low, high;
  __m512 floating;

  OCTET_AVX512VNNI void load(const Requantization& p, std::int64_t at, __mmask16 mask) {
    if constexpr (scaling == Scaling::floating) {
      floating = _mm512_maskz_loadu_ps(mask, p.floating.data() + at);
    } else if constexpr (scaling == Scaling::real) {
      low = _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p.real.data() + at);
      high = _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask >> 8), p.real.data() + at + 8);
    } else {
      left = _mm512_maskz_loadu_epi32(mask, p.left.data() + at);
      multiplier = _mm512_maskz_loadu_epi32(mask, p.multiplier.data() + at);
      right = _mm512_maskz_loadu_epi32(mask, p.right.data() + at);
    }
  }
};

OCTET_AVX512VNNI inline __m256i scale_real8(__m256i sum, __m512d factor, const Limits& limits) {
  const __m512d scaled = _mm512_mul_pd(_mm512_cvtepi32_pd(sum), factor);
  const __m512d low = _mm512_cvtepi32_pd(_mm512_castsi512_si256(limits.low));
  const __m512d high = _mm512_cvtepi32_pd(_mm512_castsi512_si256(limits.high));
  const __m512d limited = _mm512_min_pd(_mm512_max_pd(scaled, low), high);
  const __m512d sign = _mm512_and_pd(limited, _mm512_set1_pd(-0.0));
  return _mm512_cvttpd_epi32(
      _mm512_add_pd(limited, _mm512_or_pd(sign, _mm512_set1_pd(below_half))));
}

template <Scaling scaling>
OCTET_AVX512VNNI inline __m512i scale(const Factors<scaling>& f, __m512i sum,
                                      const Limits& limits) {
  if constexpr (scaling == Scaling::floating) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), f.floating);
    // max returns its second operand when one is NaN, as saturate does.
    const __m512 above = _mm512_max_ps(scaled, _mm512_cvtepi32_ps(limits.low));
    return _mm512_cvtps_epi32(_mm512_min_ps(above, _mm512_cvtepi32_ps(limits.high)));
  } else if constexpr (scaling == Scaling::real) {
    const __m256i low = scale_real8(_mm512_castsi512_si256(sum), f.low, limits);
    const __m256i high = scale_real8(_mm512_extracti64x4_epi64(sum, 1), f.high, limits);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  } else {
    const __m512i product = high_products(_mm512_sllv_epi32(sum, f.left), f.multiplier);
    if constexpr (scaling == Scaling::twice_rounded) return divide_away(product, f.right);
    return divide_up(product, f.right);
  }
}

template <Scaling scaling>
OCTET_AVX512VNNI inline void requantize16(const Factors<scaling>& factors, const Limits& limits,
                                          __mmask16 mask, const std::int32_t* from,
                                          std::uint8_t* to) {
  const __m512i sum = _mm512_maskz_loadu_epi32(mask, from);
  const __m512i scaled = scale<scaling>(factors, sum, limits);
  const __m512i limited = _mm512_min_epi32(_mm512_max_epi32(scaled, limits.low), limits.high);
  _mm512_mask_cvtepi32_storeu_epi8(to, mask, _mm512_add_epi32(limited, limits.zero_point));
}

template <Scaling scaling>
OCTET_AVX512VNNI void run(const Requantization& p, const std::int32_t* accumulators,
                          std::uint8_t* output, std::int64_t count) {
  const Limits limits = make_limits(p);
  for (std::int64_t c = 0; c < p.period; c += 16) {
    const auto lanes = std::min<std::int64_t>(p.period - c, 16);
    const auto mask = static_cast<__mmask16>(avx512::low_bits(static_cast<int>(lanes)));
    Factors<scaling> factors;
    factors.load(p, c, mask);
    std::int64_t at = c;
    for (; at + lanes <= count; at += p.period) {
      requantize16(factors, limits, mask, accumulators + at, output + at);
    }
    if (at < count) {
      const auto rest = static_cast<__mmask16>(avx512::low_bits(static_cast<int>(count - at)));
      requantize16(factors, limits, rest, accumulators + at, output + at);
    }
  }
}

}  // namespace

void requantize_avx512(const Requantization& params, const std::int32_t* accumulators,
                       std::uint8_t* output, std::int64_t count) {
  switch (params.scaling) {
    case Scaling::floating: return run<Scaling::floating>(params, accumulators, output, count);
    case Scaling::twice_rounded:
      return run<Scaling::twice_rounded>(params, accumulators, output, count);
    case Scaling::rounded_up: return run<Scaling::rounded_up>(params, accumulators, output, count);
    case Scaling::real: return run<Scaling::real>(params, accumulators, output, count);
  }
}

}  // namespace octet::kernels::litert

#endif

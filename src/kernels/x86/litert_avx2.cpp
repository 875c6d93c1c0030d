// Requantization of 8 accumulators at a time; what remains of a row goes through a buffer.

#if defined(__x86_64__)

#include <algorithm>
#include <cstring>

#include "kernels/x86/avx2.h"
#include "kernels/x86/x86_litert.h"

namespace octet::kernels::litert {
namespace {

constexpr std::int64_t register_lanes = 8;

struct Limits {
  __m256i low, high, zero_point;  ///< low and high without the zero point
};

OCTET_AVX2 inline Limits make_limits(const Requantization& p) {
  return {_mm256_set1_epi32(p.low - p.zero_point), _mm256_set1_epi32(p.high - p.zero_point),
          _mm256_set1_epi32(p.zero_point)};
}

/// The lanes of a register that a row has; -1 in each.
OCTET_AVX2 inline __m256i lane_mask(std::int64_t lanes) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(lanes)), lane);
}

/// high_product of all lanes.
OCTET_AVX2 inline __m256i high_products(__m256i a, __m256i b) {
  const __m256i half = _mm256_set1_epi64x(std::int64_t{1} << 30);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), half);
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
}

OCTET_AVX2 inline __m256i divide_away(__m256i value, __m256i right) {
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, right), one);
  const __m256i threshold =
      _mm256_add_epi32(_mm256_srli_epi32(mask, 1), _mm256_srli_epi32(value, 31));
  // A comparison gives -1 where it holds.
  const __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(value, mask), threshold);
  return _mm256_sub_epi32(_mm256_srav_epi32(value, right), up);
}

/// The quotient's last lost bit is what ties upward add; a shift by -1 gives 0.
OCTET_AVX2 inline __m256i divide_up(__m256i value, __m256i right) {
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i lost = _mm256_srlv_epi32(value, _mm256_sub_epi32(right, one));
  return _mm256_add_epi32(_mm256_srav_epi32(value, right), _mm256_and_si256(lost, one));
}

/// The factors of 8 channels; of those that the scaling has none, nothing.
template <Scaling scaling>
struct Factors {
  __m256i left, multiplier, right;
  __m256d low, high;
  __m256 floating;

  OCTET_AVX2 void load(const Requantization& p, std::int64_t at, __m256i mask) {
    if constexpr (scaling == Scaling::floating) {
      floating = _mm256_maskload_ps(p.floating.data() + at, mask);
    } else if constexpr (scaling == Scaling::real) {
      low = _mm256_maskload_pd(p.real.data() + at,
                               _mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask)));
      high = _mm256_maskload_pd(p.real.data() + at + 4,
                                _mm256_cvtepi32_epi64(_mm256_extracti128_si256(mask, 1)));
    } else {
      left = _mm256_maskload_epi32(p.left.data() + at, mask);
      multiplier = _mm256_maskload_epi32(p.multiplier.data() + at, mask);
      right = _mm256_maskload_epi32(p.right.data() + at, mask);
    }
  }
};

OCTET_AVX2 inline __m128i scale_real4(__m128i sum, __m256d factor, const Limits& limits) {
  const __m256d scaled = _mm256_mul_pd(_mm256_cvtepi32_pd(sum), factor);
  const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(limits.low));
  const __m256d high = _mm256_cvtepi32_pd(_mm256_castsi256_si128(limits.high));
  const __m256d limited = _mm256_min_pd(_mm256_max_pd(scaled, low), high);
  const __m256d sign = _mm256_and_pd(limited, _mm256_set1_pd(-0.0));
  return _mm256_cvttpd_epi32(
      _mm256_add_pd(limited, _mm256_or_pd(sign, _mm256_set1_pd(below_half))));
}

template <Scaling scaling>
OCTET_AVX2 inline __m256i scale(const Factors<scaling>& f, __m256i sum, const Limits& limits) {
  if constexpr (scaling == Scaling::floating) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), f.floating);
    // max returns its second operand when one is NaN, as saturate does.
    const __m256 above = _mm256_max_ps(scaled, _mm256_cvtepi32_ps(limits.low));
    return _mm256_cvtps_epi32(_mm256_min_ps(above, _mm256_cvtepi32_ps(limits.high)));
  } else if constexpr (scaling == Scaling::real) {
    const __m128i low = scale_real4(_mm256_castsi256_si128(sum), f.low, limits);
    const __m128i high = scale_real4(_mm256_extracti128_si256(sum, 1), f.high, limits);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  } else {
    const __m256i product = high_products(_mm256_sllv_epi32(sum, f.left), f.multiplier);
    if constexpr (scaling == Scaling::twice_rounded) return divide_away(product, f.right);
    return divide_up(product, f.right);
  }
}

/// The first `lanes` codes, each within 0..255.
OCTET_AVX2 inline void store(__m256i codes, std::uint8_t* output, std::int64_t lanes) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  const __m128i bytes = _mm_packus_epi16(words, words);
  if (lanes == register_lanes) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(output), bytes);
    return;
  }
  alignas(16) std::uint8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  std::memcpy(output, all, static_cast<std::size_t>(lanes));
}

template <Scaling scaling>
OCTET_AVX2 inline void requantize8(const Factors<scaling>& factors, const Limits& limits,
                                   __m256i sum, std::uint8_t* to, std::int64_t lanes) {
  const __m256i scaled = scale<scaling>(factors, sum, limits);
  const __m256i limited = _mm256_min_epi32(_mm256_max_epi32(scaled, limits.low), limits.high);
  store(_mm256_add_epi32(limited, limits.zero_point), to, lanes);
}

template <Scaling scaling>
OCTET_AVX2 void run(const Requantization& p, const std::int32_t* accumulators, std::uint8_t* output,
                    std::int64_t count) {
  const Limits limits = make_limits(p);
  for (std::int64_t c = 0; c < p.period; c += register_lanes) {
    const std::int64_t lanes = std::min(p.period - c, register_lanes);
    const __m256i mask = lane_mask(lanes);
    Factors<scaling> factors;
    factors.load(p, c, mask);
    std::int64_t at = c;
    for (; at + lanes <= count; at += p.period) {
      const __m256i sum = _mm256_maskload_epi32(accumulators + at, mask);
      requantize8(factors, limits, sum, output + at, lanes);
    }
    if (at < count) {
      const __m256i sum = _mm256_maskload_epi32(accumulators + at, lane_mask(count - at));
      requantize8(factors, limits, sum, output + at, count - at);
    }
  }
}

}  // namespace

void requantize_avx2(const Requantization& params, const std::int32_t* accumulators,
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

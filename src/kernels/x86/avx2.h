#pragma once
// Register-level pieces that the AVX2 kernels share.
//
// vpmaddubsw sums two u8 * s8 products in 16 bits and saturates. Unless weights are split so that
// it cannot (excess.h), they and the codes are widened to 16 bits and multiplied by vpmaddwd, whose
// sums of two products are exact.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/x86/isa.h"
#include "kernels/x86/requantize_params.h"

namespace octet::kernels::avx2 {

/// sum += the two products s16 * s16 of each 32-bit lane.
OCTET_AVX2 inline void dot2(__m256i& sum, __m256i codes, __m256i weights) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(codes, weights));
}

OCTET_AVX2 inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

/// Two 16-bit codes from any address in every lane.
OCTET_AVX2 inline __m256i broadcast2(const std::int16_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm256_set1_epi32(word);
}

/// Four codes from any address in every lane.
OCTET_AVX2 inline __m256i broadcast4(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm256_set1_epi32(word);
}

/// The tail of codes, see RequantizeParams.
struct Tail {
  __m256 high;
  __m256i zero_point;
  __m128i low;
};

OCTET_AVX2 inline Tail make_tail(const RequantizeParams& params) {
  return {_mm256_set1_ps(params.high), _mm256_set1_epi16(params.zero_point),
          _mm_set1_epi8(static_cast<char>(params.low))};
}

/// Sums to rounded codes minus the output zero point; values below the range are left as they are.
template <bool saturating>
OCTET_AVX2 inline __m256i scale_and_round(__m256i sum, const float* multiplier, __m256 high) {
  const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(multiplier));
  if constexpr (saturating) return _mm256_cvtps_epi32(scaled);
  // min returns its second operand when one is NaN, and NaN converts to INT32_MIN.
  return _mm256_cvtps_epi32(_mm256_min_ps(high, scaled));
}

/// Codes of 2 registers of rounded values, packed in 128-bit parts.
template <bool saturating>
OCTET_AVX2 inline __m128i pack_codes(__m256i first, __m256i second, const Tail& tail) {
  const __m256i words = _mm256_packs_epi32(first, second);
  // Without saturation words lie in [INT16_MIN, 255 - zero point]: the addition cannot wrap.
  const __m256i shifted = saturating ? _mm256_adds_epi16(words, tail.zero_point)
                                     : _mm256_add_epi16(words, tail.zero_point);
  const __m128i codes =
      _mm_packus_epi16(_mm256_castsi256_si128(shifted), _mm256_extracti128_si256(shifted, 1));
  return saturating ? codes : _mm_max_epu8(codes, tail.low);
}

/// 16 codes in channel order from 2 registers in pack order (see packing.h).
template <bool saturating>
OCTET_AVX2 inline __m128i requantize16(__m256i first, __m256i second, const float* multiplier,
                                       const Tail& tail) {
  return pack_codes<saturating>(scale_and_round<saturating>(first, multiplier, tail.high),
                                scale_and_round<saturating>(second, multiplier + 8, tail.high),
                                tail);
}

/// The same 8 channels of two pixels, from registers in plain order: 8 codes each.
template <bool saturating>
OCTET_AVX2 inline __m128i requantize8x2(__m256i first, __m256i second, const float* multiplier,
                                        const Tail& tail) {
  const __m128i codes =
      pack_codes<saturating>(scale_and_round<saturating>(first, multiplier, tail.high),
                             scale_and_round<saturating>(second, multiplier, tail.high), tail);
  // Four codes of the first pixel, of the second, of the first, of the second.
  return _mm_shuffle_epi32(codes, 0b11011000);
}

/// The first `channels` (1 to 16) codes.
OCTET_AVX2 inline void store(std::uint8_t* output, __m128i codes, int channels) {
  if (channels == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output), codes);
    return;
  }
  if ((channels & 8) != 0) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(output), codes);
    output += 8;
    codes = _mm_srli_si128(codes, 8);
  }
  if ((channels & 7) == 0) return;
  const auto rest = static_cast<std::uint64_t>(_mm_cvtsi128_si64(codes));
  for (int i = 0; i < (channels & 7); ++i) output[i] = static_cast<std::uint8_t>(rest >> (8 * i));
}

/// The tail of accumulators and floats.
struct Numbers {
  __m256 multiplier[2];
  __m256 bias[2];
  __m256i mask[2];
  bool floats;
};

/// `Part` is a MatrixTile or a DepthwiseRow of `vectors` registers.
template <int vectors, class Part>
OCTET_AVX2 inline Numbers make_numbers(const Part& part) {
  const __m256 scale = _mm256_set1_ps(part.input_scale);
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  Numbers numbers{};
  for (int v = 0; v < vectors; ++v) {
    numbers.multiplier[v] = _mm256_mul_ps(scale, _mm256_loadu_ps(part.multiplier + 8 * v));
    numbers.bias[v] = _mm256_loadu_ps(part.output_bias + 8 * v);
    numbers.mask[v] = _mm256_cmpgt_epi32(_mm256_set1_epi32(part.channels - 8 * v), lane);
  }
  numbers.floats = part.requantize.output == ConvOutput::floats;
  return numbers;
}

/// Registers in plain order (plain_order8) to elements `at` and on.
template <int vectors>
OCTET_AVX2 inline void store_numbers(const Numbers& numbers, const __m256i (&sums)[vectors],
                                     void* output, std::int64_t at) {
  for (int v = 0; v < vectors; ++v) {
    if (numbers.floats) {
      const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[v]), numbers.multiplier[v]);
      _mm256_maskstore_ps(static_cast<float*>(output) + at + 8 * v, numbers.mask[v],
                          _mm256_add_ps(scaled, numbers.bias[v]));
    } else {
      _mm256_maskstore_epi32(static_cast<int*>(output) + at + 8 * v, numbers.mask[v], sums[v]);
    }
  }
}

}  // namespace octet::kernels::avx2

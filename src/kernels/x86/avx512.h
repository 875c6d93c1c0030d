#pragma once
// Register-level pieces that the AVX512-VNNI kernels share.

// g++ 12 warns about the deliberately undefined registers inside its own intrinsics.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/x86/isa.h"
#include "kernels/x86/requantize_params.h"

namespace octet::kernels::avx512 {

/// sum += the four products u8 * s8 of each 32-bit lane (no saturation).
///
/// Written as assembly since g++ 12 puts register copies around _mm512_dpbusd_epi32, which costs
/// half the speed.
OCTET_AVX512VNNI inline void dot4(__m512i& sum, __m512i codes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
}

/// Four bytes from any address in every lane.
OCTET_AVX512VNNI inline __m512i broadcast4(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}

/// Bytes a, b, c, d of each channel side by side.
OCTET_AVX512VNNI inline void interleave(__m512i a, __m512i b, __m512i c, __m512i d,
                                        __m512i (&quads)[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b);
  const __m512i ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d);
  const __m512i cd_high = _mm512_unpackhi_epi8(c, d);
  quads[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
  quads[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
  quads[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
  quads[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

/// Pack order to plain order: part l of register v becomes part v of register l. (Of pack_order and
/// plain_order, packing.h, for lanes of 4 bytes.)
OCTET_AVX512VNNI inline void to_plain_order(__m512i (&registers)[4]) {
  const __m512i low01 = _mm512_shuffle_i32x4(registers[0], registers[1], 0x44);
  const __m512i low23 = _mm512_shuffle_i32x4(registers[2], registers[3], 0x44);
  const __m512i high01 = _mm512_shuffle_i32x4(registers[0], registers[1], 0xEE);
  const __m512i high23 = _mm512_shuffle_i32x4(registers[2], registers[3], 0xEE);
  registers[0] = _mm512_shuffle_i32x4(low01, low23, 0x88);
  registers[1] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
  registers[2] = _mm512_shuffle_i32x4(high01, high23, 0x88);
  registers[3] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
}

/// The tail of accumulators and floats: 16 channels to `output`, the first element of the register.
OCTET_AVX512VNNI inline void store_floats(void* output, __mmask16 mask, __m512i sum,
                                          __m512 multiplier, __m512 bias) {
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier);
  _mm512_mask_storeu_ps(output, mask, _mm512_add_ps(scaled, bias));
}

/// The tail of codes, see RequantizeParams.
struct Tail {
  __m512 high;
  __m512i zero_point;
  __m512i low;
};

OCTET_AVX512VNNI inline Tail make_tail(const RequantizeParams& params) {
  return {_mm512_set1_ps(params.high), _mm512_set1_epi16(params.zero_point),
          _mm512_set1_epi8(static_cast<char>(params.low))};
}

/// Sums to rounded codes minus the output zero point; values below the range are left as they are.
template <bool saturating>
OCTET_AVX512VNNI inline __m512i scale_and_round(__m512i sum, const float* multiplier,
                                                const Tail& tail) {
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(multiplier));
  if constexpr (saturating) return _mm512_cvtps_epi32(scaled);
  // min returns its second operand when one is NaN, and NaN converts to INT32_MIN.
  return _mm512_cvtps_epi32(_mm512_min_ps(tail.high, scaled));
}

/// Without saturation words lie in [INT16_MIN, 255 - zero point]: the addition cannot wrap.
template <bool saturating>
OCTET_AVX512VNNI inline __m512i add_zero_point(__m512i words, const Tail& tail) {
  return saturating ? _mm512_adds_epi16(words, tail.zero_point)
                    : _mm512_add_epi16(words, tail.zero_point);
}

/// Words of two registers of sums, the output zero point included.
template <bool saturating>
OCTET_AVX512VNNI inline __m512i code_words(__m512i first, __m512i second, const float* multiplier,
                                           const Tail& tail) {
  return add_zero_point<saturating>(
      _mm512_packs_epi32(scale_and_round<saturating>(first, multiplier, tail),
                         scale_and_round<saturating>(second, multiplier + 16, tail)),
      tail);
}

/// 64 codes in channel order from 4 registers in pack order (see packing.h).
template <bool saturating>
OCTET_AVX512VNNI inline __m512i requantize64(const __m512i (&sum)[4], const float* multiplier,
                                             const Tail& tail) {
  const __m512i codes =
      _mm512_packus_epi16(code_words<saturating>(sum[0], sum[1], multiplier, tail),
                          code_words<saturating>(sum[2], sum[3], multiplier + 32, tail));
  return saturating ? codes : _mm512_max_epu8(codes, tail.low);
}

/// 32 codes in channel order from 2 registers in pack order.
template <bool saturating>
OCTET_AVX512VNNI inline __m256i requantize32(const __m512i (&sum)[2], const float* multiplier,
                                             const Tail& tail) {
  const __m512i words = code_words<saturating>(sum[0], sum[1], multiplier, tail);
  const __m256i codes = _mm512_cvtusepi16_epi8(_mm512_max_epi16(words, _mm512_setzero_si512()));
  return saturating ? codes : _mm256_max_epu8(codes, _mm512_castsi512_si256(tail.low));
}

/// 48 codes in channel order from 3 registers in pack order; the last 16 bytes are anything.
template <bool saturating>
OCTET_AVX512VNNI inline __m512i requantize48(const __m512i (&sum)[3], const float* multiplier,
                                             const Tail& tail) {
  const __m512i third = scale_and_round<saturating>(sum[2], multiplier + 32, tail);
  const __m512i words = _mm512_packs_epi32(third, third);
  // Of each 128-bit part the first 12 bytes.
  const __m512i codes =
      _mm512_packus_epi16(code_words<saturating>(sum[0], sum[1], multiplier, tail),
                          add_zero_point<saturating>(words, tail));
  const __m512i together = _mm512_maskz_compress_epi32(0x7777, codes);
  return saturating ? together : _mm512_max_epu8(together, tail.low);
}

/// 16 codes from one register.
template <bool saturating>
OCTET_AVX512VNNI inline __m128i requantize16(__m512i sum, const float* multiplier,
                                             const Tail& tail) {
  const __m256i words = _mm512_cvtsepi32_epi16(scale_and_round<saturating>(sum, multiplier, tail));
  const __m256i zero_point = _mm512_castsi512_si256(tail.zero_point);
  const __m256i moved =
      saturating ? _mm256_adds_epi16(words, zero_point) : _mm256_add_epi16(words, zero_point);
  const __m128i codes =
      _mm_packus_epi16(_mm256_castsi256_si128(moved), _mm256_extracti128_si256(moved, 1));
  return saturating ? codes : _mm_max_epu8(codes, _mm512_castsi512_si128(tail.low));
}

/// The `count` (0 to 64) lowest bits.
[[nodiscard]] inline std::uint64_t low_bits(int count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

}  // namespace octet::kernels::avx512

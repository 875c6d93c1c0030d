// Elementwise kernels of rules tflite and xnnpack, 8 values at a time.

#if defined(__x86_64__)

#include "arithmetic/litert_unary.h"
#include "kernels/x86/avx2.h"
#include "kernels/x86/x86_litert_elementwise.h"

namespace octet::kernels::litert {
namespace {

OCTET_AVX2 inline __m256i codes8(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

/// Stores eight 32-bit codes, each within 0..255, as bytes.
OCTET_AVX2 inline void store8(__m256i codes, std::uint8_t* to) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}

OCTET_AVX2 void ratio_sums(const Binary& params, std::uint8_t low, std::uint8_t high,
                           const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* output,
                           std::int64_t count) {
  const Binary p = params;
  const __m256i a_ratio = _mm256_set1_epi32(p.a_ratio);
  const __m256i b_ratio = _mm256_set1_epi32(p.b_ratio);
  // Half a step, and the zero points' part.
  const __m256i bias = _mm256_set1_epi32((1 << (p.right - 1)) - p.a_ratio * p.a.zero_point -
                                         p.b_ratio * p.b.zero_point);
  const __m128i right = _mm_cvtsi32_si128(p.right);
  const __m256i zero_point = _mm256_set1_epi32(p.output.zero_point);
  const __m256i least = _mm256_set1_epi32(low);
  const __m256i most = _mm256_set1_epi32(high);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i x = _mm256_mullo_epi32(codes8(a + i), a_ratio);
    const __m256i y = _mm256_mullo_epi32(codes8(b + i), b_ratio);
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(x, y), bias);
    const __m256i code = _mm256_add_epi32(_mm256_sra_epi32(sum, right), zero_point);
    store8(_mm256_min_epi32(_mm256_max_epi32(code, least), most), output + i);
  }
  for (; i < count; ++i) output[i] = static_cast<std::uint8_t>(code(p, a[i], b[i], low, high));
}

OCTET_AVX2 void products(const Binary& params, const std::uint8_t* a, const std::uint8_t* b,
                         std::int32_t* sums, std::int64_t count) {
  const std::int32_t a_zero = params.a.zero_point;
  const std::int32_t b_zero = params.b.zero_point;
  const __m256i za = _mm256_set1_epi32(a_zero);
  const __m256i zb = _mm256_set1_epi32(b_zero);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i x = _mm256_sub_epi32(codes8(a + i), za);
    const __m256i y = _mm256_sub_epi32(codes8(b + i), zb);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i), _mm256_mullo_epi32(x, y));
  }
  for (; i < count; ++i) sums[i] = (a[i] - a_zero) * (b[i] - b_zero);
}

OCTET_AVX2 void unit_sums(const std::int32_t* a_units, const std::int32_t* b_units,
                          const std::uint8_t* a, const std::uint8_t* b, std::int32_t* sums,
                          std::int64_t count) {
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i x = _mm256_i32gather_epi32(a_units, codes8(a + i), 4);
    const __m256i y = _mm256_i32gather_epi32(b_units, codes8(b + i), 4);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + i), _mm256_add_epi32(x, y));
  }
  for (; i < count; ++i) sums[i] = a_units[a[i]] + b_units[b[i]];
}

/// Half away from zero: adding what lies just below 1/2, with the sign of x, before truncating.
OCTET_AVX2 inline __m256i round_away(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0F));
  const __m256 half = _mm256_or_ps(sign, _mm256_set1_ps(0x1.fffffep-2F));
  return _mm256_cvttps_epi32(_mm256_add_ps(x, half));
}

template <Rule rule>
OCTET_AVX2 void quantize_by(const CodeParams& params, const float* input, std::uint8_t* output,
                            std::int64_t count) {
  const CodeParams p = params;
  const __m256 scale = _mm256_set1_ps(rule == Rule::tflite ? p.scale : 1.0F / p.scale);
  const __m256 low = _mm256_set1_ps(static_cast<float>(p.low - p.zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(p.high - p.zero_point));
  const __m256i zero_point = _mm256_set1_epi32(p.zero_point);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 x = _mm256_loadu_ps(input + i);
    const __m256 steps = rule == Rule::tflite ? _mm256_div_ps(x, scale) : _mm256_mul_ps(x, scale);
    // max returns its second operand when one is NaN, as saturate does.
    const __m256 limited = _mm256_min_ps(_mm256_max_ps(steps, low), high);
    const __m256i rounded =
        rule == Rule::tflite ? round_away(limited) : _mm256_cvtps_epi32(limited);
    store8(_mm256_add_epi32(rounded, zero_point), output + i);
  }
  for (; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(quantize(rule, input[i], affine(p), p.low, p.high));
  }
}

void quantize_any(const CodeParams& params, const float* input, std::uint8_t* output,
                  std::int64_t count) {
  if (params.rule == Rule::tflite) return quantize_by<Rule::tflite>(params, input, output, count);
  quantize_by<Rule::xnnpack>(params, input, output, count);
}

}  // namespace

const ElementwiseVectors* x86_elementwise_vectors(Isa isa) {
  static constexpr ElementwiseVectors avx2{ratio_sums, products, unit_sums, quantize_any};
  return isa >= Isa::avx2 && isa_available(Isa::avx2) ? &avx2 : nullptr;
}

}  // namespace octet::kernels::litert

#endif

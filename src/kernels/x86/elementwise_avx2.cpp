// Elementwise kernels, 8 values at a time. 512-bit registers gain nothing where the division bounds
// (quantize and binary) or memory (dequantize).

#if defined(__x86_64__)

#include <limits>

#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "kernels/x86/avx2.h"
#include "kernels/x86/x86_elementwise.h"

namespace octet::kernels {
namespace {

OCTET_AVX2 inline __m256 dequantize8(const std::uint8_t* from, __m256i zero_point, __m256 scale) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  const __m256i codes = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), zero_point);
  return _mm256_mul_ps(_mm256_cvtepi32_ps(codes), scale);
}

struct Quantizer {
  __m256 scale, low, high;
  __m256i zero_point;
};

OCTET_AVX2 inline Quantizer make_quantizer(const CodeParams& params) {
  return {_mm256_set1_ps(params.scale),
          _mm256_set1_ps(static_cast<float>(params.low - params.zero_point)),
          _mm256_set1_ps(static_cast<float>(params.high - params.zero_point)),
          _mm256_set1_epi32(params.zero_point)};
}

/// Stores eight 32-bit codes, each within 0..255, as bytes.
OCTET_AVX2 inline void store8(__m256i codes, std::uint8_t* to) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}

OCTET_AVX2 inline void quantize8(const Quantizer& q, __m256 values, std::uint8_t* to) {
  // max returns its second operand when one is NaN: NaN becomes low.
  const __m256 above = _mm256_max_ps(_mm256_div_ps(values, q.scale), q.low);
  const __m256i rounded = _mm256_cvtps_epi32(_mm256_min_ps(above, q.high));
  store8(_mm256_add_epi32(rounded, q.zero_point), to);
}

std::uint8_t quantize1(const CodeParams& p, float x) {
  return static_cast<std::uint8_t>(quantize_narrow(x, p.scale, p.zero_point, p.low, p.high));
}

OCTET_AVX2 void quantize(const CodeParams& params, const float* input, std::uint8_t* output,
                         std::int64_t count) {
  const Quantizer quantizer = make_quantizer(params);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) quantize8(quantizer, _mm256_loadu_ps(input + i), output + i);
  for (; i < count; ++i) output[i] = quantize1(params, input[i]);
}

OCTET_AVX2 void interleave3(const std::uint8_t* planes, std::int64_t plane_stride,
                            std::int64_t pixels, std::uint8_t* output) {
  const auto load = [&](std::int64_t at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes + at));
  };
  // Drops every fourth byte.
  const __m128i triples = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  std::int64_t p = 0;
  // A store writes 4 bytes of the next pixels, so that two pixels must follow.
  for (; p + 18 <= pixels; p += 16) {
    const __m128i a = load(p);
    const __m128i b = load(p + plane_stride);
    const __m128i c = load(p + 2 * plane_stride);
    const __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
    const __m128i cc[2] = {_mm_unpacklo_epi8(c, c), _mm_unpackhi_epi8(c, c)};
    auto* to = output + 3 * p;
    for (int half = 0; half < 2; ++half) {
      const __m128i first = _mm_unpacklo_epi16(ab[half], cc[half]);
      const __m128i second = _mm_unpackhi_epi16(ab[half], cc[half]);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi8(first, triples));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 12), _mm_shuffle_epi8(second, triples));
      to += 24;
    }
  }
  for (; p < pixels; ++p) {
    for (std::int64_t c = 0; c < 3; ++c) output[3 * p + c] = planes[c * plane_stride + p];
  }
}

OCTET_AVX2 void dequantize(const CodeParams& params, const std::uint8_t* input, float* output,
                           std::int64_t count) {
  const __m256 scale = _mm256_set1_ps(params.scale);
  const __m256i zero_point = _mm256_set1_epi32(params.zero_point);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(output + i, dequantize8(input + i, zero_point, scale));
  }
  for (; i < count; ++i) output[i] = dequantize_value(input[i], params.scale, params.zero_point);
}

OCTET_AVX2 inline __m256 floats8(const std::uint8_t* from) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

OCTET_AVX2 void add_row(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
                        std::uint8_t* output, std::int64_t count) {
  const CodeParams out = params.output;
  const OnnxAdd add = onnx_add(params.a.scale, params.a.zero_point, params.b.scale,
                               params.b.zero_point, out.scale, out.zero_point);
  const __m256 a_ratio = _mm256_set1_ps(add.a_ratio);
  const __m256 b_ratio = _mm256_set1_ps(add.b_ratio);
  const __m256 offset = _mm256_set1_ps(add.offset);
  const __m256 low = _mm256_set1_ps(out.low);
  const __m256 high = _mm256_set1_ps(out.high);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 b_part = _mm256_fmadd_ps(floats8(b + i), b_ratio, offset);
    const __m256 sum = _mm256_fmadd_ps(floats8(a + i), a_ratio, b_part);
    // max returns its second operand when one is NaN, as saturate does.
    const __m256 limited = _mm256_min_ps(_mm256_max_ps(sum, low), high);
    store8(_mm256_cvtps_epi32(limited), output + i);
  }
  for (; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(add_onnx(add, a[i], b[i], out.low, out.high));
  }
}

template <BinaryOp op>
OCTET_AVX2 inline __m256 apply(__m256 a, __m256 b) {
  if constexpr (op == BinaryOp::subtract) return _mm256_sub_ps(a, b);
  if constexpr (op == BinaryOp::divide) return _mm256_div_ps(a, b);
  return _mm256_mul_ps(a, b);
}

template <BinaryOp op>
float apply(float a, float b) {
  if constexpr (op == BinaryOp::subtract) return a - b;
  if constexpr (op == BinaryOp::divide) return a / b;
  return a * b;
}

template <BinaryOp op>
OCTET_AVX2 void binary_row(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
                           std::uint8_t* output, std::int64_t count) {
  // A copy, so that stores to `output` cannot be taken to change it.
  const BinaryParams p = params;
  const __m256 a_scale = _mm256_set1_ps(p.a.scale);
  const __m256 b_scale = _mm256_set1_ps(p.b.scale);
  const __m256i a_zero = _mm256_set1_epi32(p.a.zero_point);
  const __m256i b_zero = _mm256_set1_epi32(p.b.zero_point);
  const Quantizer quantizer = make_quantizer(p.output);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 x = dequantize8(a + i, a_zero, a_scale);
    const __m256 y = dequantize8(b + i, b_zero, b_scale);
    quantize8(quantizer, apply<op>(x, y), output + i);
  }
  for (; i < count; ++i) {
    const float x = dequantize_value(a[i], p.a.scale, p.a.zero_point);
    const float y = dequantize_value(b[i], p.b.scale, p.b.zero_point);
    output[i] = quantize1(p.output, apply<op>(x, y));
  }
}

void binary_any(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
                std::uint8_t* output, std::int64_t count) {
  switch (params.op) {
    case BinaryOp::add: return add_row(params, a, b, output, count);
    case BinaryOp::subtract: return binary_row<BinaryOp::subtract>(params, a, b, output, count);
    case BinaryOp::multiply: return binary_row<BinaryOp::multiply>(params, a, b, output, count);
    case BinaryOp::divide: return binary_row<BinaryOp::divide>(params, a, b, output, count);
    case BinaryOp::squared_difference:
    case BinaryOp::prelu: return;  // only by rules tflite and xnnpack
  }
}

OCTET_AVX2 Range range(const float* values, std::int64_t count) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  __m256 low[4], high[4];
  for (int i = 0; i < 4; ++i) {
    low[i] = _mm256_set1_ps(infinity);
    high[i] = _mm256_set1_ps(-infinity);
  }
  for (std::int64_t at = 0; at < count; at += 32) {
    OCTET_UNROLL
    for (int i = 0; i < 4; ++i) {
      // min and max return their second operand when one is NaN.
      const __m256 x = _mm256_loadu_ps(values + at + 8 * i);
      low[i] = _mm256_min_ps(x, low[i]);
      high[i] = _mm256_max_ps(x, high[i]);
    }
  }
  alignas(32) float lows[8], highs[8];
  _mm256_store_ps(lows,
                  _mm256_min_ps(_mm256_min_ps(low[0], low[1]), _mm256_min_ps(low[2], low[3])));
  _mm256_store_ps(highs,
                  _mm256_max_ps(_mm256_max_ps(high[0], high[1]), _mm256_max_ps(high[2], high[3])));
  Range result{lows[0], highs[0]};
  for (int i = 1; i < 8; ++i) {
    if (lows[i] < result.minimum) result.minimum = lows[i];
    if (highs[i] > result.maximum) result.maximum = highs[i];
  }
  return result;
}

}  // namespace

const ElementwiseKernels& elementwise_kernels_avx2() {
  static constexpr ElementwiseKernels kernels{quantize, dequantize,  binary_any,
                                              nullptr,  interleave3, range};
  return kernels;
}

}  // namespace octet::kernels

#endif

// The elementwise kernels that gain from 512-bit registers.

#if defined(__x86_64__)

#include "kernels/x86/avx512.h"

#include "arithmetic/requantize.h"
#include "kernels/x86/x86_elementwise.h"

#define OCTET_AVX512VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")))

namespace octet::kernels {
namespace {

OCTET_AVX512VNNI inline __m512 floats16(const std::uint8_t* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

OCTET_AVX512VNNI void add_row(const BinaryParams& params, const std::uint8_t* a,
                              const std::uint8_t* b, std::uint8_t* output, std::int64_t count) {
  const CodeParams out = params.output;
  const OnnxAdd add = onnx_add(params.a.scale, params.a.zero_point, params.b.scale,
                               params.b.zero_point, out.scale, out.zero_point);
  const __m512 a_ratio = _mm512_set1_ps(add.a_ratio);
  const __m512 b_ratio = _mm512_set1_ps(add.b_ratio);
  const __m512 offset = _mm512_set1_ps(add.offset);
  const __m512 low = _mm512_set1_ps(out.low);
  const __m128i high = _mm_set1_epi8(static_cast<char>(out.high));
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 b_part = _mm512_fmadd_ps(floats16(b + i), b_ratio, offset);
    const __m512 sum = _mm512_fmadd_ps(floats16(a + i), a_ratio, b_part);
    // max returns its second operand when one is NaN, as saturate does. What is too large for an
    // int32 becomes INT32_MIN, which as an unsigned number is the largest again.
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_max_ps(sum, low));
    const __m128i codes = _mm_min_epu8(_mm512_cvtusepi32_epi8(rounded), high);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + i), codes);
  }
  for (; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(add_onnx(add, a[i], b[i], out.low, out.high));
  }
}

void binary_row(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
                std::uint8_t* output, std::int64_t count) {
  if (params.op == BinaryOp::add) return add_row(params, a, b, output, count);
  elementwise_kernels_avx2().binary_row(params, a, b, output, count);
}

/// The table in four registers: vpermi2b looks up 7 bits of a code in two of them.
OCTET_AVX512VBMI void lookup(const LookupTable& table, const std::uint8_t* input,
                             std::uint8_t* output, std::int64_t count) {
  __m512i part[4];
  for (int i = 0; i < 4; ++i) part[i] = _mm512_loadu_si512(table.data() + 64 * i);
  std::int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i codes = _mm512_loadu_si512(input + i);
    const __m512i lower = _mm512_permutex2var_epi8(part[0], codes, part[1]);
    const __m512i upper = _mm512_permutex2var_epi8(part[2], codes, part[3]);
    _mm512_storeu_si512(output + i,
                        _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), lower, upper));
  }
  for (; i < count; ++i) output[i] = table[input[i]];
}

ElementwiseKernels make_kernels() {
  ElementwiseKernels kernels = elementwise_kernels_avx2();
  kernels.binary_row = binary_row;
  if (__builtin_cpu_supports("avx512vbmi") != 0) kernels.lookup = lookup;
  return kernels;
}

}  // namespace

const ElementwiseKernels& elementwise_kernels_avx512() {
  static const ElementwiseKernels kernels = make_kernels();
  return kernels;
}

const ElementwiseKernels* x86_elementwise_kernels(Isa isa) {
  if (isa >= Isa::avx512vnni && isa_available(Isa::avx512vnni)) {
    return &elementwise_kernels_avx512();
  }
  return isa >= Isa::avx2 && isa_available(Isa::avx2) ? &elementwise_kernels_avx2() : nullptr;
}

}  // namespace octet::kernels

#endif

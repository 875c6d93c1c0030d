// Depthwise kernels for AVX512-VNNI. vpdpbusd sums 4 products per lane, so 4 taps of a channel are
// brought next to each other by two rounds of in-lane unpacks: 8 shuffles for 4 taps of 64
// channels. The lanes come out in pack order (packing.h) and the packs of the tail undo it.

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/avx512.h"
#include "kernels/x86/depthwise_conv.h"
#include "kernels/x86/kernel_rows.h"

namespace octet::kernels {
namespace {

using avx512::dot4;
using avx512::interleave;
using Row = DepthwiseRow<std::int8_t>;

OCTET_AVX512VNNI inline void accumulate(__m512i (&sum)[4], const __m512i (&quads)[4],
                                        const std::int8_t* weights) {
  OCTET_UNROLL
  for (int v = 0; v < 4; ++v) dot4(sum[v], quads[v], _mm512_loadu_si512(weights + 64 * v));
}

struct Tail {
  __m512 high;
  __m512i zero_point;
  __m512i low;
  std::uint64_t mask;
};

OCTET_AVX512VNNI inline Tail make_tail(const Row& row) {
  return {_mm512_set1_ps(row.requantize.high), _mm512_set1_epi16(row.requantize.zero_point),
          _mm512_set1_epi8(static_cast<char>(row.requantize.low)), avx512::low_bits(row.channels)};
}

/// Register `vector` of plain order from four registers of floats in pack order.
OCTET_AVX512VNNI inline __m512 plain_lanes(const float* packed, int vector) {
  const float* part = packed + 4 * vector;
  __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(part));
  all = _mm512_insertf32x4(all, _mm_loadu_ps(part + 16), 1);
  all = _mm512_insertf32x4(all, _mm_loadu_ps(part + 32), 2);
  return _mm512_insertf32x4(all, _mm_loadu_ps(part + 48), 3);
}

/// Accumulators and floats.
OCTET_AVX512VNNI void store_numbers(const Row& row, const __m512i (&sum)[4], std::int64_t at) {
  __m512i plain[4] = {sum[0], sum[1], sum[2], sum[3]};
  avx512::to_plain_order(plain);
  const std::uint64_t lanes = avx512::low_bits(row.channels);
  const __m512 scale = _mm512_set1_ps(row.input_scale);
  for (int v = 0; v < 4; ++v) {
    auto* output = static_cast<std::int32_t*>(row.output) + at + 16 * v;
    const auto mask = static_cast<__mmask16>(lanes >> (16 * v));
    if (row.requantize.output == ConvOutput::accumulators) {
      _mm512_mask_storeu_epi32(output, mask, plain[v]);
      continue;
    }
    avx512::store_floats(output, mask, plain[v],
                         _mm512_mul_ps(scale, plain_lanes(row.multiplier, v)),
                         plain_lanes(row.output_bias, v));
  }
}

OCTET_AVX512VNNI inline void store(const Row& row, const Tail& tail, const __m512i (&sum)[4],
                                   std::int64_t at) {
  if (row.requantize.output != ConvOutput::codes) [[unlikely]] {
    return store_numbers(row, sum, at);
  }
  const __m512i codes =
      avx512::requantize64(sum, row.multiplier, tail.high, tail.zero_point, tail.low);
  auto* output = static_cast<std::uint8_t*>(row.output) + at;
  if (row.channels == 64) {
    _mm512_storeu_si512(output, codes);
  } else {
    _mm512_mask_storeu_epi8(output, tail.mask, codes);
  }
}

OCTET_AVX512VNNI inline void load_bias(const Row& row, __m512i (&sum)[4]) {
  OCTET_UNROLL
  for (int v = 0; v < 4; ++v) sum[v] = _mm512_loadu_si512(row.bias + 16 * v);
}

/// The three rows at one input column; tap slots 0, 1 and 2 are the rows at the leftmost column.
OCTET_AVX512VNNI inline void load_column(const Row& row, std::int64_t column, __m512i (&quads)[4]) {
  const std::int64_t at = column * row.pixel_stride;
  interleave(_mm512_loadu_si512(row.taps[0] + at), _mm512_loadu_si512(row.taps[1] + at),
             _mm512_loadu_si512(row.taps[2] + at), _mm512_setzero_si512(), quads);
}

/// Each interleaved column serves all output pixels that read it.
template <int stride>
OCTET_AVX512VNNI void run_3x3(const Row& shared) {
  const Row row = shared;  // stores to the output cannot change a copy
  const Tail tail = make_tail(row);
  std::int64_t at = 0;
  __m512i first[4], second[4], third[4];
  load_column(row, 0, stride == 1 ? second : third);
  if constexpr (stride == 1) load_column(row, 1, third);
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    OCTET_UNROLL
    for (int v = 0; v < 4; ++v) first[v] = stride == 1 ? second[v] : third[v];
    if constexpr (stride == 1) {
      OCTET_UNROLL
      for (int v = 0; v < 4; ++v) second[v] = third[v];
    } else {
      load_column(row, 2 * x + 1, second);
    }
    load_column(row, stride * x + 2, third);
    __m512i sum[4];
    load_bias(row, sum);
    accumulate(sum, first, row.weights);
    accumulate(sum, second, row.weights + 256);
    accumulate(sum, third, row.weights + 512);
    store(row, tail, sum, at);
    at += row.output_stride;
  }
}

OCTET_AVX512VNNI void run_any(const Row& shared) {
  const Row row = shared;  // stores to the output cannot change a copy
  const Tail tail = make_tail(row);
  std::int64_t at = 0;
  const std::int64_t step = row.pixel_stride * row.stride;
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    __m512i sum[4];
    load_bias(row, sum);
    const std::int8_t* weights = row.weights;
    const std::uint8_t* const* taps = row.taps;
    for (int group = 0; group < row.tap_groups; ++group) {
      __m512i quads[4];
      interleave(_mm512_loadu_si512(taps[0] + x * step), _mm512_loadu_si512(taps[1] + x * step),
                 _mm512_loadu_si512(taps[2] + x * step), _mm512_loadu_si512(taps[3] + x * step),
                 quads);
      accumulate(sum, quads, weights);
      weights += 256;
      taps += 4;
    }
    store(row, tail, sum, at);
    at += row.output_stride;
  }
}

struct Backend {
  using Weight = std::int8_t;
  static constexpr LaneOrder order{16, 4, 4, pack_order};
  static constexpr int vectors = 4;
  static int repeat(const ConvGeometry& /*geometry*/) { return 1; }
};

struct Backend3x3 : Backend {
  /// A group is a column.
  static std::vector<int> taps(const ConvGeometry& /*geometry*/) {
    return {0, 3, 6, -1, 1, 4, 7, -1, 2, 5, 8, -1};
  }
  static void run_row(const Row& row) { row.stride == 1 ? run_3x3<1>(row) : run_3x3<2>(row); }
};

struct BackendAny : Backend {
  static std::vector<int> taps(const ConvGeometry& geometry) { return taps_in_order(geometry, 4); }
  static void run_row(const Row& row) { run_any(row); }
};

constexpr int block_lanes = 64;

struct BackendFlat : BackendAny {
  static int repeat(const ConvGeometry& geometry) {
    return pixels_as_one(geometry, block_lanes, is_depthwise_3x3(geometry));
  }
};

constexpr std::string_view name_flat = "u8s8_depthwise_perchannel_onnx_flat64__avx512vnni";
constexpr std::string_view name_3x3 = "u8s8_depthwise3x3_perchannel_onnx_1x64__avx512vnni";
constexpr std::string_view name_any = "u8s8_depthwise_perchannel_onnx_1x64__avx512vnni";

constexpr std::array<ConvKernel, 3> rows = {{
    {name_flat, Isa::avx512vnni,
     [](const ConvParams& params) {
       return well_formed(params) && is_depthwise(params.geometry) &&
              BackendFlat::repeat(params.geometry) > 1;
     },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<BackendFlat>>(params, name_flat);
     }},
    {name_3x3, Isa::avx512vnni,
     [](const ConvParams& params) {
       return well_formed(params) && is_depthwise_3x3(params.geometry);
     },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<Backend3x3>>(params, name_3x3);
     }},
    {name_any, Isa::avx512vnni,
     [](const ConvParams& params) { return well_formed(params) && is_depthwise(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<BackendAny>>(params, name_any);
     }},
}};

}  // namespace

std::span<const ConvKernel> depthwise_kernels_avx512vnni() { return rows; }

}  // namespace octet::kernels

#endif

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
constexpr int block_lanes = 64;
constexpr int row_weights = 12 * block_lanes;  ///< of a 3x3 kernel for one output row

OCTET_AVX512VNNI inline void accumulate(__m512i (&sum)[4], const __m512i (&quads)[4],
                                        const std::int8_t* weights) {
  OCTET_UNROLL
  for (int v = 0; v < 4; ++v) dot4(sum[v], quads[v], _mm512_loadu_si512(weights + 64 * v));
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

OCTET_AVX512VNNI inline void store(const Row& row, const avx512::Tail& tail, std::uint64_t mask,
                                   const __m512i (&sum)[4], std::int64_t at) {
  if (row.requantize.output != ConvOutput::codes) [[unlikely]] {
    const __m512i in_memory[4] = {sum[0], sum[1], sum[2], sum[3]};  // leaves the sums in registers
    return store_numbers(row, in_memory, at);
  }
  const __m512i codes = row.requantize.saturating
                            ? avx512::requantize64<true>(sum, row.multiplier, tail)
                            : avx512::requantize64<false>(sum, row.multiplier, tail);
  _mm512_mask_storeu_epi8(static_cast<std::uint8_t*>(row.output) + at, mask, codes);
}

OCTET_AVX512VNNI inline void load_bias(const Row& row, __m512i (&sum)[4]) {
  OCTET_UNROLL
  for (int v = 0; v < 4; ++v) sum[v] = _mm512_loadu_si512(row.bias + 16 * v);
}

/// The taps' 4 rows at one input column, or 3 rows and zeros.
template <bool four_rows>
OCTET_AVX512VNNI inline void load_column(const Row& row, std::int64_t at, __m512i (&quads)[4]) {
  interleave(_mm512_loadu_si512(row.taps[0] + at), _mm512_loadu_si512(row.taps[1] + at),
             _mm512_loadu_si512(row.taps[2] + at),
             four_rows ? _mm512_loadu_si512(row.taps[3] + at) : _mm512_setzero_si512(), quads);
}

OCTET_AVX512VNNI inline void copy(__m512i (&to)[4], const __m512i (&from)[4]) {
  OCTET_UNROLL
  for (int v = 0; v < 4; ++v) to[v] = from[v];
}

/// 3x3. `fresh`: columns that the output pixel before did not read, 1 or 2 by the stride, 3 where
/// several pixels count as one. An interleaved column also serves both output rows.
template <int fresh>
OCTET_AVX512VNNI void run_3x3(const Row& shared) {
  const Row row = shared;  // stores to the output cannot change a copy
  const avx512::Tail tail = avx512::make_tail(row.requantize);
  const std::uint64_t mask = avx512::low_bits(row.channels);
  constexpr bool four_rows = fresh != 2;
  const std::int64_t column = row.column_stride;
  std::int64_t from = row.offset;
  std::int64_t at = 0;
  __m512i first[4], second[4], third[4];
  if constexpr (fresh == 1) {
    load_column<four_rows>(row, from, second);
    load_column<four_rows>(row, from + column, third);
  } else if constexpr (fresh == 2) {
    load_column<four_rows>(row, from, third);
  }
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    if constexpr (fresh == 1) {
      copy(first, second);
      copy(second, third);
    } else {
      if constexpr (fresh == 2) copy(first, third);
      if constexpr (fresh == 3) load_column<four_rows>(row, from, first);
      load_column<four_rows>(row, from + column, second);
    }
    load_column<four_rows>(row, from + 2 * column, third);
    for (int r = 0; r < row.rows; ++r) {
      const std::int8_t* weights = row.weights + r * row_weights;
      __m512i sum[4];
      load_bias(row, sum);
      accumulate(sum, first, weights);
      accumulate(sum, second, weights + 256);
      accumulate(sum, third, weights + 512);
      store(row, tail, mask, sum, at + r * row.output_row_stride);
    }
    from += row.stride * row.pixel_stride;
    at += row.output_stride;
  }
}

OCTET_AVX512VNNI void run_any(const Row& shared) {
  const Row row = shared;  // stores to the output cannot change a copy
  const avx512::Tail tail = avx512::make_tail(row.requantize);
  const std::uint64_t mask = avx512::low_bits(row.channels);
  std::int64_t at = 0;
  const std::int64_t step = row.pixel_stride * row.stride;
  std::int64_t from = row.offset;
  for (std::int64_t x = 0; x < row.pixels; ++x, from += step) {
    __m512i sum[4];
    load_bias(row, sum);
    const std::int8_t* weights = row.weights;
    const std::uint8_t* const* taps = row.taps;
    for (int group = 0; group < row.tap_groups; ++group) {
      __m512i quads[4];
      interleave(_mm512_loadu_si512(taps[0] + from), _mm512_loadu_si512(taps[1] + from),
                 _mm512_loadu_si512(taps[2] + from), _mm512_loadu_si512(taps[3] + from), quads);
      accumulate(sum, quads, weights);
      weights += 256;
      taps += 4;
    }
    store(row, tail, mask, sum, at);
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
  static std::vector<int> slots(const ConvGeometry& /*geometry*/) { return column_slots(); }
  static std::vector<int> taps(const ConvGeometry& /*geometry*/) { return column_taps(); }
  static int rows(const ConvGeometry& geometry) { return rows_together(geometry, 1); }
  static void run_row(const Row& row) {
    if (row.pixel_stride != row.column_stride) return run_3x3<3>(row);
    row.stride == 1 ? run_3x3<1>(row) : run_3x3<2>(row);
  }
};

struct BackendAny : Backend {
  static std::vector<int> slots(const ConvGeometry& geometry) { return taps_in_order(geometry, 4); }
  static std::vector<int> taps(const ConvGeometry& geometry) { return slots(geometry); }
  static int rows(const ConvGeometry& /*geometry*/) { return 1; }
  static void run_row(const Row& row) { run_any(row); }
};

template <class Whole>
struct Flat : Whole {
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, block_lanes); }
};

constexpr std::string_view name_flat = "u8s8_depthwise_perchannel_onnx_flat64__avx512vnni";
constexpr std::string_view name_3x3 = "u8s8_depthwise3x3_perchannel_onnx_1x64__avx512vnni";
constexpr std::string_view name_any = "u8s8_depthwise_perchannel_onnx_1x64__avx512vnni";

constexpr std::array<ConvKernel, 3> rows = {{
    {name_flat, Isa::avx512vnni,
     [](const ConvParams& params) {
       return well_formed(params) && is_depthwise(params.geometry) &&
              pixels_as_one(params.geometry, block_lanes) > 1;
     },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       if (!is_depthwise_3x3(params.geometry)) {
         return std::make_unique<DepthwiseConv<Flat<BackendAny>>>(params, name_flat);
       }
       return std::make_unique<DepthwiseConv<Flat<Backend3x3>>>(params, name_flat);
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

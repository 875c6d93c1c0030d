#if defined(__x86_64__)

#include <array>
#include <utility>

#include "kernels/x86/avx512.h"
#include "kernels/x86/matrix_avx512vnni.h"

namespace octet::kernels::avx512 {
namespace {

/// Codes; registers are in plain order.
template <bool saturating, int pixels, int vectors>
OCTET_AVX512VNNI inline void store_plain(const Tile& tile, const __m512i (&sum)[pixels][vectors]) {
  const Tail tail = make_tail(tile.requantize);
  const std::uint64_t mask = low_bits(tile.channels);
  auto* output = static_cast<std::uint8_t*>(tile.output);
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const __m128i codes = requantize16<saturating>(sum[p][v], tile.multiplier + 16 * v, tail);
      _mm_mask_storeu_epi8(output + 16 * v, static_cast<__mmask16>(mask >> (16 * v)), codes);
    }
    output += tile.output_stride;
  }
}

/// Codes; registers are in pack order.
template <bool saturating, int pixels, int vectors>
OCTET_AVX512VNNI inline void store_packed(const Tile& tile, const __m512i (&sum)[pixels][vectors]) {
  const Tail tail = make_tail(tile.requantize);
  const std::uint64_t mask = low_bits(tile.channels);
  auto* output = static_cast<std::uint8_t*>(tile.output);
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    if constexpr (vectors == 4) {
      _mm512_mask_storeu_epi8(output, mask,
                              requantize64<saturating>(sum[p], tile.multiplier, tail));
    } else if constexpr (vectors == 3) {
      _mm512_mask_storeu_epi8(output, mask,
                              requantize48<saturating>(sum[p], tile.multiplier, tail));
    } else {
      _mm256_mask_storeu_epi8(output, static_cast<__mmask32>(mask),
                              requantize32<saturating>(sum[p], tile.multiplier, tail));
    }
    output += tile.output_stride;
  }
}

template <bool saturating, int pixels, int vectors>
OCTET_AVX512VNNI inline void store_codes(const Tile& tile, const __m512i (&sum)[pixels][vectors]) {
  if constexpr (vectors > 1) {
    if (!tile.plain_lanes) return store_packed<saturating, pixels, vectors>(tile, sum);
  }
  store_plain<saturating, pixels, vectors>(tile, sum);
}

/// Accumulators and floats; registers are in plain order.
template <int pixels, int vectors>
OCTET_AVX512VNNI inline void store_numbers(const Tile& tile,
                                           const __m512i (&sum)[pixels][vectors]) {
  const std::uint64_t lanes = low_bits(tile.channels);
  const bool floats = tile.requantize.output == ConvOutput::floats;
  const __m512 scale = _mm512_set1_ps(tile.input_scale);
  OCTET_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const auto mask = static_cast<__mmask16>(lanes >> (16 * v));
    auto* output = static_cast<std::int32_t*>(tile.output) + 16 * v;
    const __m512 multiplier = _mm512_mul_ps(scale, _mm512_loadu_ps(tile.multiplier + 16 * v));
    const __m512 bias = _mm512_loadu_ps(tile.output_bias + 16 * v);
    OCTET_UNROLL
    for (int p = 0; p < pixels; ++p) {
      if (floats) {
        store_floats(output, mask, sum[p][v], multiplier, bias);
      } else {
        _mm512_mask_storeu_epi32(output, mask, sum[p][v]);
      }
      output += tile.output_stride;
    }
  }
}

template <int pixels, int vectors>
OCTET_AVX512VNNI void run_tile(const Tile& tile) {
  __m512i sum[pixels][vectors];
  OCTET_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
    OCTET_UNROLL
    for (int p = 0; p < pixels; ++p) sum[p][v] = bias;
  }
  if (tile.row_bias != nullptr) {
    OCTET_UNROLL
    for (int p = 0; p < pixels; ++p) {
      const __m512i row = _mm512_set1_epi32(tile.row_bias[p]);
      OCTET_UNROLL
      for (int v = 0; v < vectors; ++v) sum[p][v] = _mm512_add_epi32(sum[p][v], row);
    }
  }
  const std::int8_t* weights = tile.weights;
  const std::int64_t stride = tile.pixel_stride;
  for (int s = 0; s < tile.segment_count; ++s) {
    const std::uint8_t* codes = tile.segments[s] + tile.offset;
    for (int step = 0; step < tile.steps; ++step) {
      __m512i w[vectors];
      OCTET_UNROLL
      for (int v = 0; v < vectors; ++v) w[v] = _mm512_loadu_si512(weights + 64 * v);
      OCTET_UNROLL
      for (int p = 0; p < pixels; ++p) {
        const __m512i x = broadcast4(codes + p * stride);
        OCTET_UNROLL
        for (int v = 0; v < vectors; ++v) dot4(sum[p][v], x, w[v]);
      }
      weights += 64 * vectors;
      codes += 4;
    }
  }
  if (tile.requantize.output != ConvOutput::codes) {
    store_numbers<pixels, vectors>(tile, sum);
  } else if (tile.requantize.saturating) {
    store_codes<true, pixels, vectors>(tile, sum);
  } else {
    store_codes<false, pixels, vectors>(tile, sum);
  }
}

using TileFunction = void (*)(const Tile&);
constexpr int max_pixels = 12;

template <int vectors, int... index>
constexpr std::array<TileFunction, max_pixels> tiles(std::integer_sequence<int, index...>) {
  std::array<TileFunction, max_pixels> functions{};
  ((functions[static_cast<std::size_t>(index)] = run_tile<index + 1, vectors>), ...);
  return functions;
}

template <int vectors>
constexpr auto tiles_across =
    tiles<vectors>(std::make_integer_sequence<int, matrix_pixels(vectors)>{});

constexpr std::array<const std::array<TileFunction, max_pixels>*, 4> table = {
    &tiles_across<1>, &tiles_across<2>, &tiles_across<3>, &tiles_across<4>};

}  // namespace

void run_matrix_tile(int pixels, int vectors, const Tile& tile) {
  (*table[static_cast<std::size_t>(vectors - 1)])[static_cast<std::size_t>(pixels - 1)](tile);
}

}  // namespace octet::kernels::avx512

#endif

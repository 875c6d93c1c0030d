#pragma once
// Matrix tiles on 256-bit registers: up to 6 pixels by 16 output channels or 12 by 8, sums in
// registers, the tail that of AVX2. A `Dot` has: types Element of the codes and Weight; depth, the
// inputs that one step sums for each lane; split, whether its weights have an excess;
// broadcast(codes), those of one pixel in every lane; add(sum, codes, weights).

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "kernels/x86/avx2.h"
#include "kernels/x86/matrix_conv.h"

namespace octet::kernels::avx2 {

/// Pixels of a full tile of `vectors` registers across.
constexpr int matrix_pixels(int vectors) { return vectors == 2 ? 6 : 12; }

/// Codes of registers in pack order.
template <bool saturating, class Tile, int pixels>
OCTET_AVX2 inline void store_codes(const Tile& tile, const __m256i (&sum)[pixels][2]) {
  const Tail tail = make_tail(tile.requantize);
  auto* output = static_cast<std::uint8_t*>(tile.output);
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    store(output + p * tile.output_stride,
          requantize16<saturating>(sum[p][0], sum[p][1], tile.multiplier, tail), tile.channels);
  }
}

template <bool saturating, class Tile, int pixels>
OCTET_AVX2 inline void store_codes(const Tile& tile, const __m256i (&sum)[pixels][1]) {
  const Tail tail = make_tail(tile.requantize);
  auto* output = static_cast<std::uint8_t*>(tile.output);
  OCTET_UNROLL
  for (int p = 0; p < pixels; p += 2) {
    const int next = std::min(p + 1, pixels - 1);
    const __m128i codes = requantize8x2<saturating>(sum[p][0], sum[next][0], tile.multiplier, tail);
    store(output + p * tile.output_stride, codes, tile.channels);
    store(output + next * tile.output_stride, _mm_unpackhi_epi64(codes, codes), tile.channels);
  }
}

/// Codes from registers in pack order, numbers from registers in plain order.
template <class Tile, int pixels, int vectors>
OCTET_AVX2 inline void store_tile(const Tile& tile, const __m256i (&sum)[pixels][vectors]) {
  if (tile.requantize.output != ConvOutput::codes) {
    const Numbers numbers = make_numbers<vectors>(tile);
    OCTET_UNROLL
    for (int p = 0; p < pixels; ++p) {
      store_numbers(numbers, sum[p], tile.output, p * tile.output_stride);
    }
  } else if (tile.requantize.saturating) {
    store_codes<true>(tile, sum);
  } else {
    store_codes<false>(tile, sum);
  }
}

OCTET_AVX2 inline __m128i load16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

/// The control of a shuffle that puts the codes of a window into 16 bits each.
OCTET_AVX2 inline __m256i excess_places(const ExcessWindow& window) {
  const __m256i clear_high_byte = _mm256_set1_epi16(static_cast<short>(0x8000));
  return _mm256_or_si256(_mm256_cvtepu8_epi16(load16(window.offsets)), clear_high_byte);
}

/// Adds `steps` steps to the sums: codes of pixels `pixel_stride` apart by weights as packed.
template <class Dot, int pixels, int vectors>
OCTET_AVX2 __attribute__((always_inline)) inline void multiply_steps(
    __m256i (&sum)[pixels][vectors], const typename Dot::Element* codes, std::int64_t pixel_stride,
    const typename Dot::Weight* weights, int steps) {
  constexpr int vector_weights = 8 * Dot::depth;
  for (int step = 0; step < steps; ++step) {
    __m256i w[vectors];
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) w[v] = load(weights + vector_weights * v);
    OCTET_UNROLL
    for (int p = 0; p < pixels; ++p) {
      const __m256i x = Dot::broadcast(codes + p * pixel_stride);
      OCTET_UNROLL
      for (int v = 0; v < vectors; ++v) Dot::add(sum[p][v], x, w[v]);
    }
    weights += vector_weights * vectors;
    codes += Dot::depth;
  }
}

/// Adds what split weights leave out.
template <class Tile, int pixels, int vectors>
OCTET_AVX2 __attribute__((always_inline)) inline void add_excess(const Tile& tile,
                                                                 __m256i (&sum)[pixels][vectors]) {
  const ExcessWindow* window = tile.excess;
  OCTET_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const ExcessWindow* end = window + tile.excess_windows[static_cast<std::size_t>(v)];
    for (; window != end; ++window) {
      const __m256i places = excess_places(*window);
      const __m256i excess = _mm256_cvtepi8_epi16(load16(window->excess));
      const auto* codes = tile.segments[window->segment] + tile.offset + window->input;
      OCTET_UNROLL
      for (int p = 0; p < pixels; ++p) {
        const __m256i x = _mm256_broadcastsi128_si256(load16(codes + p * tile.pixel_stride));
        dot2(sum[p][v], _mm256_shuffle_epi8(x, places), excess);
      }
    }
  }
}

template <class Dot, int pixels, int vectors>
OCTET_AVX2 void run_tile(const MatrixTile<typename Dot::Element, typename Dot::Weight>& tile) {
  __m256i sum[pixels][vectors];
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) sum[p][v] = load(tile.bias + 8 * v);
  }
  if constexpr (Dot::split) add_excess(tile, sum);
  const typename Dot::Weight* weights = tile.weights;
  for (int s = 0; s < tile.segment_count; ++s) {
    multiply_steps<Dot>(sum, tile.segments[s] + tile.offset, tile.pixel_stride, weights,
                        tile.steps);
    weights += tile.steps * 8 * Dot::depth * vectors;
  }
  store_tile(tile, sum);
}

/// `pixels` (at most matrix_pixels(vectors)) by `vectors` registers.
template <class Dot>
void run_matrix_tile(int pixels, int vectors,
                     const MatrixTile<typename Dot::Element, typename Dot::Weight>& tile) {
  using Function = void (*)(const MatrixTile<typename Dot::Element, typename Dot::Weight>&);
  const auto tiles = []<int across, int... i>(std::integer_sequence<int, i...>) {
    return std::array<Function, sizeof...(i)>{run_tile<Dot, i + 1, across>...};
  };
  static constexpr auto narrow =
      tiles.template operator()<1>(std::make_integer_sequence<int, matrix_pixels(1)>{});
  static constexpr auto wide =
      tiles.template operator()<2>(std::make_integer_sequence<int, matrix_pixels(2)>{});
  const auto i = static_cast<std::size_t>(pixels - 1);
  vectors == 1 ? narrow[i](tile) : wide[i](tile);
}

/// A Backend of MatrixConv.
template <class Dot>
struct MatrixBackend {
  using Element = typename Dot::Element;
  using Weight = typename Dot::Weight;
  using Scope = EqualTiles<MatrixTile<Element, Weight>, matrix_pixels, run_matrix_tile<Dot>>;
  static LaneOrder order(ConvOutput output) {
    return {8, Dot::depth, 1, output == ConvOutput::codes ? pack_order : plain_order8,
            0, Dot::split};
  }
  static int full_vectors(int /*channels*/) { return 2; }
};

/// vpmaddubsw for weights that are split, so that it does not saturate.
struct SplitDot4 {
  using Element = std::uint8_t;
  using Weight = std::int8_t;
  static constexpr int depth = 4;
  static constexpr bool split = true;
  OCTET_AVX2 static __m256i broadcast(const Element* codes) { return broadcast4(codes); }
  OCTET_AVX2 static void add(__m256i& sum, __m256i codes, __m256i weights) {
    dot2(sum, _mm256_maddubs_epi16(codes, weights), _mm256_set1_epi16(1));
  }
};

/// vpmaddwd, for codes and weights of 16 bits.
struct Dot2 {
  using Element = std::int16_t;
  using Weight = std::int16_t;
  static constexpr int depth = 2;
  static constexpr bool split = false;
  OCTET_AVX2 static __m256i broadcast(const Element* codes) { return broadcast2(codes); }
  OCTET_AVX2 static void add(__m256i& sum, __m256i codes, __m256i weights) {
    dot2(sum, codes, weights);
  }
};

}  // namespace octet::kernels::avx2

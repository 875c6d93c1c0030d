// Matrix kernels for AVX-VNNI, for CPUs without AVX512: vpdpbusd on 256-bit registers, so that
// codes and weights stay bytes. The tile is 6 pixels by 16 output channels; the tail is that of
// AVX2.

#if defined(__x86_64__)

#include <array>
#include <cstring>

#include "kernels/x86/avx2.h"
#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_conv.h"

namespace octet::kernels {
namespace {

using Tile = MatrixTile<std::uint8_t, std::int8_t>;
constexpr int max_pixels = 6;

/// sum += the four products u8 * s8 of each 32-bit lane (no saturation), in the encoding of CPUs
/// without AVX512.
OCTET_AVX2 inline void dot4(__m256i& sum, __m256i codes, __m256i weights) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(weights));
}

OCTET_AVX2 inline __m256i broadcast4(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm256_set1_epi32(word);
}

OCTET_AVX2 inline __m256i load_bytes(const std::int8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

template <int pixels>
OCTET_AVX2 void run_tile(const Tile& tile) {
  __m256i sum[pixels][2];
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    sum[p][0] = avx2::load(tile.bias);
    sum[p][1] = avx2::load(tile.bias + 8);
  }
  const std::int8_t* weights = tile.weights;
  for (int s = 0; s < tile.segment_count; ++s) {
    const std::uint8_t* codes = tile.segments[s] + tile.offset;
    for (int step = 0; step < tile.steps; ++step) {
      const __m256i w0 = load_bytes(weights);
      const __m256i w1 = load_bytes(weights + 32);
      OCTET_UNROLL
      for (int p = 0; p < pixels; ++p) {
        const __m256i x = broadcast4(codes + p * tile.pixel_stride);
        dot4(sum[p][0], x, w0);
        dot4(sum[p][1], x, w1);
      }
      weights += 64;
      codes += 4;
    }
  }
  avx2::store_tile(tile, sum);
}

int full_pixels(int /*vectors*/) { return max_pixels; }

void run_tile_of(int pixels, int /*vectors*/, const Tile& tile) {
  static constexpr std::array<void (*)(const Tile&), max_pixels> tiles = {
      run_tile<1>, run_tile<2>, run_tile<3>, run_tile<4>, run_tile<5>, run_tile<6>};
  tiles[static_cast<std::size_t>(pixels - 1)](tile);
}

struct Backend {
  using Element = std::uint8_t;
  using Weight = std::int8_t;
  using Scope = EqualTiles<Tile, full_pixels, run_tile_of>;
  static LaneOrder order(ConvOutput output) {
    return {8, 4, 2, output == ConvOutput::codes ? pack_order : plain_order8};
  }
  static int full_vectors(int /*channels*/) { return 2; }
};

constexpr std::string_view name_1x1 = "u8s8_conv1x1_perchannel_onnx_6x16__avxvnni";
constexpr std::string_view name_any = "u8s8_conv_perchannel_onnx_6x16__avxvnni";

/// Depthwise layers are left to AVX2.
bool accepts_any(const ConvParams& params) {
  return well_formed(params) && !is_depthwise(params.geometry);
}

constexpr std::array<ConvKernel, 2> rows = {{
    {name_1x1, Isa::avxvnni,
     [](const ConvParams& params) { return accepts_any(params) && is_1x1(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<MatrixConv<Backend>>(params, name_1x1);
     }},
    {name_any, Isa::avxvnni, accepts_any,
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<MatrixConv<Backend>>(params, name_any);
     }},
}};

}  // namespace

std::span<const ConvKernel> matrix_kernels_avxvnni() { return rows; }

}  // namespace octet::kernels

#endif

// The AVX2 tile: up to 6 pixels by 16 output channels. The input is widened to 16 bits while its
// rows are gathered (RowWindow<std::int16_t>).

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/avx2.h"
#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_avx2.h"

namespace octet::kernels {
namespace {

using avx2::max_pixels;
using avx2::Tile;

template <int pixels>
OCTET_AVX2 void run_tile(const Tile& tile) {
  __m256i sum[pixels][2];
  OCTET_UNROLL
  for (int p = 0; p < pixels; ++p) {
    sum[p][0] = avx2::load(tile.bias);
    sum[p][1] = avx2::load(tile.bias + 8);
  }
  const std::int16_t* weights = tile.weights;
  for (int s = 0; s < tile.segment_count; ++s) {
    const std::int16_t* codes = tile.segments[s] + tile.offset;
    for (int step = 0; step < tile.steps; ++step) {
      const __m256i w0 = avx2::load(weights);
      const __m256i w1 = avx2::load(weights + 16);
      OCTET_UNROLL
      for (int p = 0; p < pixels; ++p) {
        const __m256i x = avx2::broadcast2(codes + p * tile.pixel_stride);
        avx2::dot2(sum[p][0], x, w0);
        avx2::dot2(sum[p][1], x, w1);
      }
      weights += 32;
      codes += 2;
    }
  }
  avx2::store_tile(tile, sum);
}

int full_pixels(int /*vectors*/) { return max_pixels; }
void run_one(int pixels, int /*vectors*/, const Tile& tile) { avx2::run_matrix_tile(pixels, tile); }

struct Backend {
  using Element = std::int16_t;
  using Weight = std::int16_t;
  static LaneOrder order(ConvOutput output) {
    return {8, 2, 2, output == ConvOutput::codes ? pack_order : plain_order8};
  }
  static int full_vectors(int /*channels*/) { return 2; }
  using Scope = EqualTiles<Tile, full_pixels, run_one>;
};

constexpr std::string_view name_1x1 = "u8s8_conv1x1_perchannel_onnx_6x16__avx2";
constexpr std::string_view name_any = "u8s8_conv_perchannel_onnx_6x16__avx2";

constexpr std::array<ConvKernel, 2> rows = {{
    {name_1x1, Isa::avx2,
     [](const ConvParams& params) { return well_formed(params) && is_1x1(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<MatrixConv<Backend>>(params, name_1x1);
     }},
    {name_any, Isa::avx2, well_formed,
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<MatrixConv<Backend>>(params, name_any);
     }},
}};

}  // namespace

namespace avx2 {

void run_matrix_tile(int pixels, const Tile& tile) {
  static constexpr std::array<void (*)(const Tile&), max_pixels> tiles = {
      run_tile<1>, run_tile<2>, run_tile<3>, run_tile<4>, run_tile<5>, run_tile<6>};
  tiles[static_cast<std::size_t>(pixels - 1)](tile);
}

}  // namespace avx2

std::span<const ConvKernel> matrix_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

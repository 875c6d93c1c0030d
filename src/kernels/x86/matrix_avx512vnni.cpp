#if defined(__x86_64__)

#include "kernels/x86/matrix_avx512vnni.h"

#include <array>

#include "kernels/x86/kernel_rows.h"

namespace octet::kernels {
namespace {

struct Backend {
  using Element = std::uint8_t;
  using Weight = std::int8_t;
  static LaneOrder order(ConvOutput output) {
    return {16, 4, 1, output == ConvOutput::codes ? pack_order : plain_order};
  }
  static int full_vectors(int channels) { return avx512::matrix_vectors(channels); }
  using Scope = EqualTiles<avx512::Tile, avx512::matrix_pixels, avx512::run_matrix_tile>;
};

template <int vectors, bool pointwise>
bool accepts(const ConvParams& params) {
  const auto& g = params.geometry;
  return well_formed(params) && is_1x1(g) == pointwise &&
         avx512::matrix_vectors(g.out_channels / g.groups) == vectors;
}

constexpr std::array<std::array<std::string_view, 4>, 2> names = {{
    {"u8s8_conv_perchannel_onnx_12x16__avx512vnni", "u8s8_conv_perchannel_onnx_12x32__avx512vnni",
     "u8s8_conv_perchannel_onnx_8x48__avx512vnni", "u8s8_conv_perchannel_onnx_6x64__avx512vnni"},
    {"u8s8_conv1x1_perchannel_onnx_12x16__avx512vnni",
     "u8s8_conv1x1_perchannel_onnx_12x32__avx512vnni",
     "u8s8_conv1x1_perchannel_onnx_8x48__avx512vnni",
     "u8s8_conv1x1_perchannel_onnx_6x64__avx512vnni"},
}};

template <int vectors, bool pointwise>
std::unique_ptr<Conv> make(const ConvParams& params) {
  return std::make_unique<MatrixConv<Backend>>(
      params, names[pointwise ? 1 : 0][static_cast<std::size_t>(vectors - 1)]);
}

template <int vectors, bool pointwise>
constexpr ConvKernel row{names[pointwise ? 1 : 0][static_cast<std::size_t>(vectors - 1)],
                         Isa::avx512vnni, accepts<vectors, pointwise>, make<vectors, pointwise>};

constexpr std::array<ConvKernel, 8> rows = {
    row<4, true>,  row<3, true>,  row<2, true>,  row<1, true>,
    row<4, false>, row<3, false>, row<2, false>, row<1, false>,
};

}  // namespace

std::span<const ConvKernel> matrix_kernels_avx512vnni() { return rows; }

}  // namespace octet::kernels

#endif

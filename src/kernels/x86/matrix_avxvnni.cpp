// Matrix kernels for AVX-VNNI, for CPUs without AVX512: vpdpbusd on 256-bit registers, so that
// codes and weights stay bytes.

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_avx2.h"

namespace octet::kernels {
namespace {

/// vpdpbusd (no saturation) in the encoding of CPUs without AVX512.
struct Dot4 {
  using Element = std::uint8_t;
  using Weight = std::int8_t;
  static constexpr int depth = 4;
  static constexpr bool split = false;
  OCTET_AVX2 static __m256i broadcast(const Element* codes) { return avx2::broadcast4(codes); }
  OCTET_AVX2 static void add(__m256i& sum, __m256i codes, __m256i weights) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(weights));
  }
};

using Backend = avx2::MatrixBackend<Dot4>;

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

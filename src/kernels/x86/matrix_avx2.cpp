// Matrix kernels for AVX2. The input is widened to 16 bits while its rows are gathered
// (RowWindow<std::int16_t>).

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_avx2.h"

namespace octet::kernels {
namespace {

using Backend = avx2::MatrixBackend<avx2::Dot2>;

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

std::span<const ConvKernel> matrix_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

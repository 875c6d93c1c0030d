// Matrix kernels for AVX2. Where few weights have to be split, vpmaddubsw multiplies bytes; else
// weights are widened to 16 bits, and the input while its rows are gathered
// (RowWindow<std::int16_t>).

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_avx2.h"

namespace octet::kernels {
namespace {

using SplitConv = MatrixConv<avx2::MatrixBackend<avx2::SplitDot4>>;
using WideConv = MatrixConv<avx2::MatrixBackend<avx2::Dot2>>;

constexpr std::string_view name_1x1 = "u8s8_conv1x1_perchannel_onnx_6x16__avx2";
constexpr std::string_view name_any = "u8s8_conv_perchannel_onnx_6x16__avx2";

/// Windows of excess for each register and step.
double excess_share(const PackedMatrix<std::int8_t>& packed) {
  double registers = 0;
  for (const auto& block : packed.blocks) registers += block.vectors;
  return static_cast<double>(packed.excess.size()) /
         (registers * packed.segments.count * packed.steps);
}

/// A window costs a little more than a step, and a step a fifth less than two of vpmaddwd.
constexpr double max_excess_share = 0.2;

std::unique_ptr<Conv> make(const ConvParams& params, std::string_view name) {
  auto split = std::make_unique<SplitConv>(params, name);
  if (excess_share(split->packed()) <= max_excess_share) return split;
  return std::make_unique<WideConv>(params, name);
}

constexpr std::array<ConvKernel, 2> rows = {{
    {name_1x1, Isa::avx2,
     [](const ConvParams& params) { return well_formed(params) && is_1x1(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> { return make(params, name_1x1); }},
    {name_any, Isa::avx2, well_formed,
     [](const ConvParams& params) -> std::unique_ptr<Conv> { return make(params, name_any); }},
}};

}  // namespace

std::span<const ConvKernel> matrix_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

#pragma once
// The rows of the kernel table, one function per source file that has some.

#include <span>

#include "kernels/conv.h"

namespace octet::kernels {

[[nodiscard]] std::span<const ConvKernel> matrix_kernels_amx();
[[nodiscard]] std::span<const ConvKernel> matrix_kernels_avx512vnni();
[[nodiscard]] std::span<const ConvKernel> depthwise_kernels_avx512vnni();
[[nodiscard]] std::span<const ConvKernel> matrix_kernels_avxvnni();
[[nodiscard]] std::span<const ConvKernel> matrix_kernels_avx2();
[[nodiscard]] std::span<const ConvKernel> depthwise_kernels_avx2();
[[nodiscard]] std::span<const ConvKernel> winograd_kernels_avx2();

}  // namespace octet::kernels

#include "kernels/x86/x86_kernels.h"

#if defined(__x86_64__)

#include <vector>

#include "kernels/x86/kernel_rows.h"

namespace octet::kernels {

std::span<const ConvKernel> x86_conv_kernels() {
  static const std::vector<ConvKernel> rows = [] {
    std::vector<ConvKernel> all;
    for (const auto part :
         {matrix_kernels_amx(), depthwise_kernels_avx512vnni(), matrix_kernels_avx512vnni(),
          matrix_kernels_avxvnni(), depthwise_kernels_avx2(), winograd_kernels_avx2(),
          matrix_kernels_avx2()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return rows;
}

}  // namespace octet::kernels

#endif

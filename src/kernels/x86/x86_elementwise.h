#pragma once
// Vector forms of the elementwise kernels (elementwise.h), bit-equal to them.

#if defined(__x86_64__)

#include <cstdint>

#include "kernels/conv.h"
#include "kernels/elementwise.h"

namespace octet::kernels {

struct ElementwiseKernels {
  void (*quantize)(const CodeParams& params, const float* input, std::uint8_t* output,
                   std::int64_t count) = nullptr;
  void (*dequantize)(const CodeParams& params, const std::uint8_t* input, float* output,
                     std::int64_t count) = nullptr;
  /// `count` codes side by side in both operands and in the output.
  void (*binary_row)(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
                     std::uint8_t* output, std::int64_t count) = nullptr;
  /// nullptr where a loop of loads is faster.
  void (*lookup)(const LookupTable& table, const std::uint8_t* input, std::uint8_t* output,
                 std::int64_t count) = nullptr;
  /// output[3 p + c] = planes[c * plane_stride + p].
  void (*interleave3)(const std::uint8_t* planes, std::int64_t plane_stride, std::int64_t pixels,
                      std::uint8_t* output) = nullptr;
  /// `count` is a multiple of 32; infinity and -infinity where nothing is a number.
  Range (*range)(const float* values, std::int64_t count) = nullptr;
};

[[nodiscard]] const ElementwiseKernels& elementwise_kernels_avx2();
/// Those of AVX2 with what wider registers improve.
[[nodiscard]] const ElementwiseKernels& elementwise_kernels_avx512();

/// nullptr where plain loops have to do. Code ranges must have low <= high.
[[nodiscard]] const ElementwiseKernels* x86_elementwise_kernels(Isa isa);

}  // namespace octet::kernels

#endif

#include "kernels/product.h"

#include "arithmetic/dynamic.h"
#include "arithmetic/requantize.h"
#include "kernels/x86/x86_product.h"

namespace octet::kernels {
namespace {

std::int32_t accumulate(const ProductParams& p, const ProductShape& s, const std::uint8_t* row,
                        const std::uint8_t* column) {
  std::uint32_t sum = 0;
  for (std::int64_t k = 0; k < s.depth; ++k) {
    const int a = int{row[k]} - p.a_zero_point;
    const int b = int{column[k * s.columns]} - p.b_zero_point;
    sum += static_cast<std::uint32_t>(a * b);
  }
  return static_cast<std::int32_t>(sum);
}

void reference_product(const ProductParams& p, const ProductShape& s, const std::uint8_t* a,
                       const std::uint8_t* b, void* output) {
  for (std::int64_t m = 0; m < s.rows; ++m) {
    for (std::int64_t n = 0; n < s.columns; ++n) {
      const std::int32_t sum = accumulate(p, s, a + m * s.depth, b + n);
      const std::int64_t at = m * s.columns + n;
      switch (p.output) {
        case ConvOutput::codes:
          static_cast<std::uint8_t*>(output)[at] = static_cast<std::uint8_t>(
              requantize_onnx(sum, p.multiplier, p.output_zero_point, p.low, p.high));
          break;
        case ConvOutput::accumulators: static_cast<std::int32_t*>(output)[at] = sum; break;
        case ConvOutput::floats:
          static_cast<float*>(output)[at] = float_output(sum, p.multiplier, no_bias);
          break;
      }
    }
  }
}

#if defined(__x86_64__)
const ProductKernel* fast(Isa isa) {
  if (isa >= Isa::avx512vnni && isa_available(Isa::avx512vnni)) return &product_avx512vnni();
  if (isa >= Isa::avx2 && isa_available(Isa::avx2)) return &product_avx2();
  return nullptr;
}
#endif

}  // namespace

void product(const ProductParams& params, const ProductShape& shape, const std::uint8_t* a,
             const std::uint8_t* b, void* output, std::byte* scratch, Isa isa) {
#if defined(__x86_64__)
  const auto* kernel = fast(isa);
  if (kernel != nullptr && params.low <= params.high) {
    return kernel->run(params, shape, a, b, output, scratch);
  }
#endif
  (void)scratch;
  (void)isa;
  reference_product(params, shape, a, b, output);
}

std::size_t product_scratch_bytes(const ProductShape& shape, Isa isa) {
#if defined(__x86_64__)
  if (const auto* kernel = fast(isa)) return kernel->scratch_bytes(shape);
#endif
  (void)shape;
  (void)isa;
  return 0;
}

const char* product_kernel_name(Isa isa) {
#if defined(__x86_64__)
  if (const auto* kernel = fast(isa)) return kernel->name;
#endif
  (void)isa;
  return "u8u8_product_tensor_onnx_1x1__reference";
}

}  // namespace octet::kernels

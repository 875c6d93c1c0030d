#pragma once
// Vector forms of product.h, bit-equal to its reference.

#if defined(__x86_64__)

#include "kernels/product.h"

namespace octet::kernels {

/// Code ranges must have low <= high.
struct ProductKernel {
  void (*run)(const ProductParams& params, const ProductShape& shape, const std::uint8_t* a,
              const std::uint8_t* b, void* output, std::byte* scratch) = nullptr;
  std::size_t (*scratch_bytes)(const ProductShape& shape) = nullptr;
  const char* name = nullptr;
};

[[nodiscard]] const ProductKernel& product_avx512vnni();
[[nodiscard]] const ProductKernel& product_avx2();

}  // namespace octet::kernels

#endif

#pragma once
// Vector forms of the loops over windows (pool_window.h), bit-equal to them.

#if defined(__x86_64__)

#include <cstdint>

#include "kernels/conv.h"
#include "kernels/reference/pool_window.h"

namespace octet::kernels {

/// Windows with at least one pixel.
struct PoolKernels {
  void (*largest_pixels)(const WindowRun& run, std::uint8_t lowest, std::int64_t channels,
                         std::uint8_t* output) = nullptr;
  void (*add_pixels)(const PoolWindow& window, std::int64_t channels,
                     std::uint32_t* sums) = nullptr;
};

/// nullptr where plain loops have to do.
[[nodiscard]] const PoolKernels* x86_pool_kernels(Isa isa);

}  // namespace octet::kernels

#endif

#pragma once
// The x86 rows of the kernel table, in priority order (best instruction set first). They are
// compiled with per-function target attributes, so that they exist in every x86-64 build; the table
// asks isa_available() before it uses one.

#if defined(__x86_64__)

#include <span>

#include "kernels/conv.h"

namespace octet::kernels {

[[nodiscard]] std::span<const ConvKernel> x86_conv_kernels();

}  // namespace octet::kernels

#endif

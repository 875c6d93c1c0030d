#pragma once
// The reference convolution: plain loops with the arithmetic visible. It defines what every other
// kernel must compute, bit for bit, and accepts every geometry.

#include "kernels/conv.h"

namespace octet::kernels {

[[nodiscard]] ConvKernel reference_conv_kernel();

}  // namespace octet::kernels

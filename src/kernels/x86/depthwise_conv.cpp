#include "kernels/x86/depthwise_conv.h"

#include <numeric>

namespace octet::kernels {

bool is_depthwise_3x3(const ConvGeometry& g) {
  return is_depthwise(g) && g.kernel_height == 3 && g.kernel_width == 3 && g.dilation_width == 1 &&
         (g.stride_width == 1 || g.stride_width == 2);
}

std::vector<int> taps_in_order(const ConvGeometry& g, int depth) {
  std::vector<int> taps(static_cast<std::size_t>(g.kernel_height * g.kernel_width));
  std::iota(taps.begin(), taps.end(), 0);
  while (taps.size() % static_cast<std::size_t>(depth) != 0) taps.push_back(-1);
  return taps;
}

}  // namespace octet::kernels

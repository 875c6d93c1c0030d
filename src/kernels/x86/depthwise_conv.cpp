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

int pixels_as_one(const ConvGeometry& geometry, int lanes, bool shares_columns) {
  constexpr int most_lanes = 1024;
  const int channels = geometry.out_channels;
  const int blocks = (channels + lanes - 1) / lanes;
  const int together = std::lcm(channels, lanes);
  if (geometry.stride_width != 1 || together > most_lanes) return 1;
  // Of instructions for a block: interleaving columns for each output costs 16 more of 42.
  const double gain = static_cast<double>(blocks * lanes) / channels;
  return gain > (shares_columns ? 58.0 / 42.0 : 1.0) ? together / channels : 1;
}

ConvParams repeat_channels(ConvParams params, int repeat) {
  const auto repeated = [&](auto& values) {
    const auto once = values;
    for (int i = 1; i < repeat; ++i) values.insert(values.end(), once.begin(), once.end());
  };
  repeated(params.weights);
  repeated(params.bias);
  repeated(params.multiplier);
  repeated(params.output_bias);
  auto& g = params.geometry;
  g.in_channels *= repeat;
  g.out_channels *= repeat;
  g.groups *= repeat;
  return params;
}

}  // namespace octet::kernels

#include "kernels/x86/depthwise_conv.h"

#include <numeric>

namespace octet::kernels {

bool is_depthwise_3x3(const ConvGeometry& g) {
  return is_depthwise(g) && g.kernel_height == 3 && g.kernel_width == 3 && g.dilation_width == 1 &&
         (g.stride_width == 1 || g.stride_width == 2);
}

int rows_together(const ConvGeometry& g, int max_stride) {
  const bool share = g.stride_height == g.stride_width && g.stride_height <= max_stride;
  return is_depthwise_3x3(g) && share && g.dilation_height == 1 ? 2 : 1;
}

std::vector<int> column_slots() {
  return {0, 3, 6, -1, 1, 4, 7, -1, 2, 5, 8, -1, -1, 0, 3, 6, -1, 1, 4, 7, -1, 2, 5, 8};
}

std::vector<int> column_taps() { return {0, 3, 6, 9, 12}; }

std::vector<int> taps_in_order(const ConvGeometry& g, int depth) {
  std::vector<int> taps(static_cast<std::size_t>(g.kernel_height * g.kernel_width));
  std::iota(taps.begin(), taps.end(), 0);
  while (taps.size() % static_cast<std::size_t>(depth) != 0) taps.push_back(-1);
  return taps;
}

int pixels_as_one(const ConvGeometry& geometry, int lanes) {
  constexpr int most_lanes = 1024;
  const int channels = geometry.out_channels;
  const int blocks = (channels + lanes - 1) / lanes;
  const int together = std::lcm(channels, lanes);
  if (geometry.stride_width != 1 || together > most_lanes) return 1;
  const double gain = static_cast<double>(blocks * lanes) / channels;
  // Whole pixels of 3x3 share interleaved columns: the price of not doing so, in instructions.
  const double price =
      !is_depthwise_3x3(geometry) ? 1.0 : (rows_together(geometry, 1) == 2 ? 41.0 / 33 : 53.0 / 37);
  return gain > price ? together / channels : 1;
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

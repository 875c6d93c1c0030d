#include "kernels/x86/winograd_packing.h"

#include <algorithm>

namespace octet::kernels::winograd {
namespace {

constexpr int taps = 9;

/// T, see the header.
constexpr int transform[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};

/// Element (row, column) of U for one filter and input channel; taps are `stride` weights apart.
std::int16_t transformed(const std::int8_t* weights, std::int64_t stride, int row, int column) {
  int sum = 0;
  for (int tap = 0; tap < taps; ++tap) {
    sum += transform[row][tap / 3] * transform[column][tap % 3] * weights[tap * stride];
  }
  return static_cast<std::int16_t>(sum);
}

/// One position of one block: [step][vector][lane][depth].
void pack_position(const ConvParams& params, const LaneOrder& order, const OutputBlock& block,
                   int position, int steps, std::int16_t* packed) {
  const int inputs = params.geometry.in_channels;
  const int row = sequence[static_cast<std::size_t>(position / 4)];
  const int column = sequence[static_cast<std::size_t>(position % 4)];
  const int width = block.vectors * order.lanes;
  for (int at = 0; at < steps * width * order.depth; ++at) {
    const int input = at / (width * order.depth) * order.depth + at % order.depth;
    const int lane = at / order.depth % width;
    const int channel = order.channel(block.vectors, lane / order.lanes, lane % order.lanes);
    if (channel >= block.channels || input >= inputs) continue;
    const std::int64_t filter = std::int64_t{block.first_channel} + channel;
    packed[at] =
        transformed(params.weights.data() + filter * taps * inputs + input, inputs, row, column);
  }
}

}  // namespace

bool is_3x3(const ConvParams& params) {
  const auto& g = params.geometry;
  return well_formed(params) && g.kernel_height == 3 && g.kernel_width == 3 &&
         g.stride_height == 1 && g.stride_width == 1 && g.dilation_height == 1 &&
         g.dilation_width == 1 && g.groups == 1;
}

bool is_exact(const ConvParams& params) {
  constexpr std::int64_t limit = (std::int64_t{1} << 29) - 1;
  const std::int64_t filter = std::int64_t{taps} * params.geometry.in_channels;
  const std::int8_t* weight = params.weights.data();
  for (int o = 0; o < params.geometry.out_channels; ++o) {
    std::int64_t above = 0;
    std::int64_t below = 0;
    for (std::int64_t i = 0; i < filter; ++i, ++weight) {
      above += std::max<int>(*weight, 0);
      below -= std::min<int>(*weight, 0);
    }
    if (255 * std::max(above, below) > limit) return false;
  }
  return true;
}

PackedMatrix<std::int16_t> pack(const ConvParams& params, const LaneOrder& order, int vectors) {
  PackedMatrix<std::int16_t> packed;
  packed.blocks = split_outputs(params.geometry, order, vectors);
  packed.segments.count = positions;
  packed.segments.length = params.geometry.in_channels;
  packed.steps = (packed.segments.length + order.depth - 1) / order.depth;
  const auto width = static_cast<std::size_t>(vectors * order.lanes);
  const std::size_t position_weights =
      width * static_cast<std::size_t>(packed.steps) * static_cast<std::size_t>(order.depth);
  packed.weights = AlignedArray<std::int16_t>(packed.blocks.size() * positions * position_weights);
  for (std::size_t b = 0; b < packed.blocks.size(); ++b) {
    auto& block = packed.blocks[b];
    block.weights = b * positions * position_weights;
    block.lanes = b * width;
    std::int16_t* to = &packed.weights[block.weights];
    for (int position = 0; position < positions; ++position) {
      pack_position(params, order, block, position, packed.steps, to);
      to += position_weights;
    }
  }
  packed.lanes = pack_lanes(params, order, packed.blocks, packed.blocks.size() * width);
  return packed;
}

}  // namespace octet::kernels::winograd

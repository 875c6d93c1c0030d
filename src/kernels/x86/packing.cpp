#include "kernels/x86/packing.h"

#include <algorithm>
#include <type_traits>

#include "arithmetic/dynamic.h"
#include "core/cache_line.h"

namespace octet::kernels {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }
int ceil_divide(int a, int b) { return (a + b - 1) / b; }

/// Sum of the weights of each output channel, modulo 2^32.
std::vector<std::uint32_t> weight_sums(const ConvParams& params) {
  const auto outputs = size_of(params.geometry.out_channels);
  const std::size_t filter = params.weights.size() / outputs;
  std::vector<std::uint32_t> sums(outputs, 0);
  for (std::size_t i = 0; i < outputs * filter; ++i) {
    sums[i / filter] += static_cast<std::uint32_t>(int{params.weights[i]});
  }
  return sums;
}

/// One segment of one block: [step][vector][lane][depth].
template <class Weight>
void pack_segment(const ConvParams& params, const LaneOrder& order, const OutputBlock& block,
                  const SegmentShape& shape, int segment, int steps, Weight* packed) {
  for (int step = 0; step < steps; ++step) {
    for (int v = 0; v < block.vectors; ++v) {
      for (int lane = 0; lane < order.lanes; ++lane) {
        const int channel = order.channel(block.vectors, v, lane);
        for (int d = 0; d < order.depth; ++d, ++packed) {
          const int k = step * order.depth + d;
          if (channel >= block.channels || k >= shape.length) continue;
          const std::int64_t filter = std::int64_t{block.first_channel} + channel;
          const std::int64_t at = (filter * shape.count + segment) * shape.length + k;
          *packed = params.weights[size_of(at)];
        }
      }
    }
  }
}

/// Takes the excess of all blocks off their weights.
void split_block_weights(PackedMatrix<std::int8_t>& packed) {
  const std::size_t vector_weights = size_of(packed.segments.count) * size_of(packed.steps) * 32;
  for (auto& block : packed.blocks) {
    block.excess = packed.excess.size();
    const std::span weights(&packed.weights[block.weights],
                            vector_weights * size_of(block.vectors));
    for (int v = 0; v < block.vectors; ++v) {
      const std::size_t before = packed.excess.size();
      split_weights(weights, {packed.segments.count, packed.steps, block.vectors}, v,
                    packed.excess);
      block.excess_windows[size_of(v)] = static_cast<int>(packed.excess.size() - before);
    }
  }
}

}  // namespace

std::vector<OutputBlock> split_outputs(const ConvGeometry& g, const LaneOrder& order,
                                       int max_vectors) {
  const int group_outputs = g.out_channels / g.groups;
  const int group_inputs = g.in_channels / g.groups;
  std::vector<OutputBlock> blocks;
  for (int group = 0; group < g.groups; ++group) {
    for (int o = 0; o < group_outputs;) {
      OutputBlock block;
      block.first_channel = group * group_outputs + o;
      block.channels = std::min(group_outputs - o, order.lanes * max_vectors);
      block.vectors = std::max((block.channels + order.lanes - 1) / order.lanes, order.narrowest);
      block.first_input = group * group_inputs;
      blocks.push_back(block);
      o += block.channels;
    }
  }
  return blocks;
}

PackedLanes::PackedLanes(ConvOutput output, std::size_t lanes)
    : bias(lanes),
      weight_sum(output == ConvOutput::codes ? 0 : lanes),
      multiplier(lanes),
      output_bias(output == ConvOutput::codes ? 0 : lanes),
      count(lanes),
      moved_bytes(output == ConvOutput::codes ? 0 : whole_lines(lanes * sizeof(std::int32_t))) {}

PackedLanes pack_lanes(const ConvParams& params, const LaneOrder& order,
                       const std::vector<OutputBlock>& blocks, std::size_t count) {
  PackedLanes packed(params.output, count);
  const auto bias = compensated_bias(params);
  const auto sums = weight_sums(params);
  for (const auto& block : blocks) {
    for (int v = 0; v < block.vectors; ++v) {
      for (int lane = 0; lane < order.lanes; ++lane) {
        const int channel = order.channel(block.vectors, v, lane);
        if (channel >= block.channels) continue;
        const auto o = size_of(block.first_channel + channel);
        const std::size_t to = block.lanes + size_of(v * order.lanes + lane);
        packed.bias[to] = bias[o];
        packed.multiplier[to] = params.multiplier[o];
        if (params.output == ConvOutput::codes) continue;
        packed.weight_sum[to] = static_cast<std::int32_t>(sums[o]);
        packed.output_bias[to] = params.output_bias.empty() ? no_bias : params.output_bias[o];
      }
    }
  }
  return packed;
}

const std::int32_t* biases_of(const PackedLanes& lanes, std::uint8_t packed_zero_point,
                              const ConvCall& call) {
  if (!call.input_params) return lanes.bias.data();
  auto* bias = reinterpret_cast<std::int32_t*>(call.scratch);
  const auto difference =
      static_cast<std::uint32_t>(int{packed_zero_point} - int{call.input_params->zero_point});
  for (std::size_t i = 0; i < lanes.count; ++i) {
    bias[i] =
        static_cast<std::int32_t>(static_cast<std::uint32_t>(lanes.bias[i]) +
                                  difference * static_cast<std::uint32_t>(lanes.weight_sum[i]));
  }
  return bias;
}

std::vector<std::int32_t> compensated_bias(const ConvParams& params) {
  const auto sums = weight_sums(params);
  std::vector<std::int32_t> bias(sums.size());
  for (std::size_t o = 0; o < bias.size(); ++o) {
    bias[o] = static_cast<std::int32_t>(static_cast<std::uint32_t>(params.bias[o]) -
                                        sums[o] * params.input_zero_point);
  }
  return bias;
}

SegmentShape segment_shape(const ConvGeometry& g) {
  SegmentShape shape;
  const int channels = g.in_channels / g.groups;
  const bool taps_touch = g.groups == 1 && (g.dilation_width == 1 || g.kernel_width == 1);
  shape.per_row = taps_touch ? 1 : g.kernel_width;
  shape.count = g.kernel_height * shape.per_row;
  shape.length = taps_touch ? g.kernel_width * channels : channels;
  shape.step = std::int64_t{g.dilation_width} * g.in_channels;
  return shape;
}

int plain_order(int /*vectors*/, int vector, int lane) { return vector * 16 + lane; }

int plain_order8(int /*vectors*/, int vector, int lane) { return vector * 8 + lane; }

int pack_order(int vectors, int vector, int lane) {
  return lane / 4 * 4 * vectors + vector * 4 + lane % 4;
}

template <class Weight>
PackedMatrix<Weight> pack_matrix(const ConvParams& params, const LaneOrder& order,
                                 int max_vectors) {
  PackedMatrix<Weight> packed;
  packed.blocks = split_outputs(params.geometry, order, max_vectors);
  packed.segments = segment_shape(params.geometry);
  packed.steps = ceil_divide(packed.segments.length, order.depth);
  if (order.max_tile_steps > 0) {
    const int tiles = ceil_divide(packed.steps, order.max_tile_steps);
    packed.tile_steps = ceil_divide(packed.steps, tiles);
    packed.steps = tiles * packed.tile_steps;
  }
  std::size_t weights = 0;
  std::size_t lanes = 0;
  const std::size_t block_steps = size_of(packed.segments.count) * size_of(packed.steps);
  for (auto& block : packed.blocks) {
    block.weights = weights;
    block.lanes = lanes;
    lanes += size_of(block.vectors * order.lanes);
    weights += block_steps * size_of(block.vectors * order.lanes * order.depth);
  }
  packed.weights = AlignedArray<Weight>(weights);
  packed.lanes = pack_lanes(params, order, packed.blocks, lanes);
  for (const auto& block : packed.blocks) {
    Weight* to = &packed.weights[block.weights];
    for (int segment = 0; segment < packed.segments.count; ++segment) {
      pack_segment(params, order, block, packed.segments, segment, packed.steps, to);
      to += size_of(packed.steps) * size_of(block.vectors * order.lanes * order.depth);
    }
  }
  if constexpr (std::is_same_v<Weight, std::int8_t>) {
    if (order.split) split_block_weights(packed);
  }
  return packed;
}

template <class Weight>
PackedDepthwise<Weight> pack_depthwise(const ConvParams& params, const LaneOrder& order,
                                       int vectors, std::span<const int> taps) {
  const int channels = params.geometry.out_channels;
  const int width = order.lanes * vectors;
  const int kernel = params.geometry.kernel_height * params.geometry.kernel_width;
  const std::size_t block_weights = taps.size() * size_of(width);
  const int blocks = (channels + width - 1) / width;
  PackedDepthwise<Weight> packed;
  packed.weights = AlignedArray<Weight>(block_weights * size_of(blocks));
  for (int b = 0; b < blocks; ++b) {
    OutputBlock block;
    block.first_channel = b * width;
    block.channels = std::min(width, channels - b * width);
    block.vectors = vectors;
    block.first_input = block.first_channel;
    block.weights = block_weights * size_of(b);
    block.lanes = size_of(b) * size_of(width);
    packed.blocks.push_back(block);
    for (std::size_t slot = 0; slot < taps.size(); ++slot) {
      if (taps[slot] < 0) continue;
      const std::size_t group = slot / size_of(order.depth);
      for (int i = 0; i < width; ++i) {
        const int channel = order.channel(vectors, i / order.lanes, i % order.lanes);
        if (channel >= block.channels) continue;
        const std::size_t lane = group * size_of(width) + size_of(i);
        packed.weights[block.weights + lane * size_of(order.depth) + slot % size_of(order.depth)] =
            params.weights[size_of((block.first_channel + channel) * std::int64_t{kernel} +
                                   taps[slot])];
      }
    }
  }
  packed.lanes = pack_lanes(params, order, packed.blocks, size_of(blocks) * size_of(width));
  return packed;
}

template PackedMatrix<std::int8_t> pack_matrix(const ConvParams&, const LaneOrder&, int);
template PackedMatrix<std::int16_t> pack_matrix(const ConvParams&, const LaneOrder&, int);
template PackedDepthwise<std::int8_t> pack_depthwise(const ConvParams&, const LaneOrder&, int,
                                                     std::span<const int>);
template PackedDepthwise<std::int16_t> pack_depthwise(const ConvParams&, const LaneOrder&, int,
                                                      std::span<const int>);

bool well_formed(const ConvParams& params) {
  const auto& g = params.geometry;
  const bool extents = g.in_channels > 0 && g.out_channels > 0 && g.kernel_height > 0 &&
                       g.kernel_width > 0 && g.stride_height > 0 && g.stride_width > 0 &&
                       g.dilation_height > 0 && g.dilation_width > 0 && g.groups > 0;
  if (!extents || g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0) return false;
  const auto filter = std::int64_t{g.kernel_height} * g.kernel_width * (g.in_channels / g.groups);
  const auto outputs = size_of(g.out_channels);
  return g.pad_top >= 0 && g.pad_left >= 0 && params.low <= params.high &&
         params.weights.size() == outputs * size_of(filter) && params.bias.size() == outputs &&
         params.multiplier.size() == outputs &&
         (params.output_bias.empty() || params.output_bias.size() == outputs);
}

bool is_depthwise(const ConvGeometry& g) {
  return g.groups == g.in_channels && g.groups == g.out_channels;
}

bool is_pointwise(const ConvGeometry& g) {
  return is_1x1(g) && g.stride_height == 1 && g.stride_width == 1 && g.pad_top == 0 &&
         g.pad_left == 0 && g.in_height == g.out_height && g.in_width == g.out_width;
}

}  // namespace octet::kernels

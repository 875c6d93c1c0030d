#pragma once
// Weights, biases and multipliers in the order in which the x86 kernels consume them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "kernels/conv.h"
#include "kernels/x86/excess.h"

namespace octet::kernels {

/// A zeroed array that starts on a cache line.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t size)
      : data_(static_cast<T*>(::operator new (size * sizeof(T), std::align_val_t{64}))) {
    std::uninitialized_fill_n(data_.get(), size, T{});
  }
  [[nodiscard]] T* data() { return data_.get(); }
  [[nodiscard]] const T* data() const { return data_.get(); }
  T& operator[](std::size_t i) { return data_.get()[i]; }
  const T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
};

/// bias[o] - input_zero_point * sum of the weights of o, modulo 2^32: lets a kernel multiply the
/// input codes themselves, also those of the padding.
[[nodiscard]] std::vector<std::int32_t> compensated_bias(const ConvParams& params);

/// One run of input bytes that a matrix kernel multiplies without a break: the whole kernel row
/// (all its taps and channels) where taps touch, else one tap.
struct SegmentShape {
  int count = 1;          ///< segments per output pixel
  int length = 1;         ///< input codes in each
  int per_row = 1;        ///< segments in one kernel row
  std::int64_t step = 0;  ///< input codes from one segment of a row to the next
};
[[nodiscard]] SegmentShape segment_shape(const ConvGeometry& geometry);

/// A run of output channels of one group that one tile covers.
struct OutputBlock {
  int first_channel = 0;                ///< among all output channels
  int channels = 0;                     ///< at most lanes * vectors
  int vectors = 1;                      ///< registers across
  int first_input = 0;                  ///< first input channel of the group
  std::size_t weights = 0;              ///< offset into the packed weights
  std::size_t lanes = 0;                ///< offset into the packed biases and multipliers
  std::size_t excess = 0;               ///< offset into PackedMatrix::excess
  std::array<int, 2> excess_windows{};  ///< of each register
};

/// How a vector kernel lays channels over the lanes of its `vectors` registers.
struct LaneOrder {
  int lanes = 16;     ///< int32 lanes of a register
  int depth = 4;      ///< inputs that one multiply instruction sums per lane
  int narrowest = 1;  ///< registers of the narrowest block
  /// Channel of lane `lane` of register `vector` in a block of `vectors` registers.
  int (*channel)(int vectors, int vector, int lane) = nullptr;
  /// Multiply steps of one tile instruction at most; 0 where an instruction is one step.
  int max_tile_steps = 0;
  bool split = false;  ///< weights in two parts (excess.h), for 8 lanes and a depth of 4
};

/// What a kernel has for each lane, zeros in lanes without a channel. A block's begin at its
/// OutputBlock::lanes.
struct PackedLanes {
  AlignedArray<std::int32_t> bias;        ///< compensated_bias
  AlignedArray<std::int32_t> weight_sum;  ///< not for codes
  AlignedArray<float> multiplier;
  AlignedArray<float> output_bias;  ///< not for codes; no_bias where there is none
  std::size_t count = 0;
  std::size_t moved_bytes = 0;  ///< scratch that biases_of needs

  PackedLanes() = default;
  PackedLanes(ConvOutput output, std::size_t lanes);
};

/// Blocks of at most max_vectors registers, never across groups; their offsets are left to the
/// caller.
[[nodiscard]] std::vector<OutputBlock> split_outputs(const ConvGeometry& geometry,
                                                     const LaneOrder& order, int max_vectors);

/// Fills the lanes of all blocks, `count` in all.
[[nodiscard]] PackedLanes pack_lanes(const ConvParams& params, const LaneOrder& order,
                                     const std::vector<OutputBlock>& blocks, std::size_t count);

/// The biases for the input of a call; where its zero point is not the packed one, in the first
/// moved_bytes of the call's scratch memory.
[[nodiscard]] const std::int32_t* biases_of(const PackedLanes& lanes,
                                            std::uint8_t packed_zero_point, const ConvCall& call);

/// Registers side by side hold 128-bit parts of 4 channels each, so that in-lane packs of
/// 32 -> 16 -> 8 bits put the channels in order: part l of register v holds 4 * registers * l +
/// 4 * v and the next 3. One register is in plain order so. (2, 3 or 4 registers of 512 bits; 2 of
/// 256 bits.)
[[nodiscard]] int pack_order(int vectors, int vector, int lane);
/// Register v holds channels 16 v to 16 v + 15.
[[nodiscard]] int plain_order(int vectors, int vector, int lane);
/// Register v holds channels 8 v to 8 v + 7.
[[nodiscard]] int plain_order8(int vectors, int vector, int lane);

/// Everything a matrix kernel holds: weights as
/// [block][segment][step][vector][lane][depth], zeros where nothing is.
template <class Weight>
struct PackedMatrix {
  std::vector<OutputBlock> blocks;
  SegmentShape segments;
  int steps = 0;  ///< multiply steps per segment: ceil(length / depth), whole tiles of tile_steps
  int tile_steps = 1;
  AlignedArray<Weight> weights;
  std::vector<ExcessWindow> excess;  ///< [block][register], where the order splits weights
  PackedLanes lanes;
};

/// `max_vectors`: registers of a full block.
template <class Weight>
[[nodiscard]] PackedMatrix<Weight> pack_matrix(const ConvParams& params, const LaneOrder& order,
                                               int max_vectors);

extern template PackedMatrix<std::int8_t> pack_matrix(const ConvParams&, const LaneOrder&, int);
extern template PackedMatrix<std::int16_t> pack_matrix(const ConvParams&, const LaneOrder&, int);

/// Everything a depthwise kernel holds: for each block of lanes * vectors channels, weights as
/// [tap group][vector][lane][depth]; taps[group * depth + i] is the tap (ky * kernel_width + kx)
/// in slot i of the group, -1 an empty slot.
template <class Weight>
struct PackedDepthwise {
  std::vector<OutputBlock> blocks;
  AlignedArray<Weight> weights;
  PackedLanes lanes;
};

template <class Weight>
[[nodiscard]] PackedDepthwise<Weight> pack_depthwise(const ConvParams& params,
                                                     const LaneOrder& order, int vectors,
                                                     std::span<const int> taps);

extern template PackedDepthwise<std::int8_t> pack_depthwise(const ConvParams&, const LaneOrder&,
                                                            int, std::span<const int>);
extern template PackedDepthwise<std::int16_t> pack_depthwise(const ConvParams&, const LaneOrder&,
                                                             int, std::span<const int>);

/// What every x86 kernel needs: sizes that agree, pads >= 0, low <= high.
[[nodiscard]] bool well_formed(const ConvParams& params);
/// groups == in_channels == out_channels.
[[nodiscard]] bool is_depthwise(const ConvGeometry& geometry);
[[nodiscard]] inline bool is_1x1(const ConvGeometry& geometry) {
  return geometry.kernel_height == 1 && geometry.kernel_width == 1;
}
/// 1x1 with stride 1 and no padding, so that output pixel i reads input pixel i.
[[nodiscard]] bool is_pointwise(const ConvGeometry& geometry);

}  // namespace octet::kernels

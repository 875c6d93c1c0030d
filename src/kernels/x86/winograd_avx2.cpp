// Winograd's F(2x2, 3x3) for AVX2 (winograd_packing.h has the formula). Tiles of a chunk are
// transformed into the scratch memory; then, for each block of output channels, groups of up to 6
// tiles by 16 channels go through the 16 positions with their sums in registers.

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "kernels/x86/avx2.h"
#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_avx2.h"
#include "kernels/x86/row_window.h"
#include "kernels/x86/winograd_packing.h"

namespace octet::kernels {
namespace {

using namespace avx2;

constexpr int group_tiles = 6;
constexpr int vectors = 2;
constexpr int code_lanes = 16;  ///< of a register of 16 bits
constexpr int step_weights = vectors * code_lanes;

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The codes of a chunk lie as [group][position][tile][channel], so that those of a group are close.

/// How a chunk of `tiles` tiles is cut into groups of nearly the same size.
struct Chunk {
  std::int64_t first = 0;  ///< tile of the part
  std::int64_t tiles = 0;
  std::int64_t group = 0;     ///< tiles of a group, the last one excepted
  std::int64_t channels = 0;  ///< whole registers

  [[nodiscard]] std::int64_t position_stride() const { return group * channels; }
};

/// Column `at` of B^T d.
OCTET_AVX2 inline void transform_column(const std::array<const std::uint8_t*, 4>& rows,
                                        std::int64_t at, __m256i (&column)[4]) {
  __m256i d[4];
  OCTET_UNROLL
  for (std::size_t i = 0; i < 4; ++i) {
    d[i] = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at)));
  }
  column[0] = _mm256_sub_epi16(d[0], d[2]);
  column[1] = _mm256_add_epi16(d[1], d[2]);
  column[2] = _mm256_sub_epi16(d[2], d[1]);
  column[3] = _mm256_sub_epi16(d[3], d[1]);
}

OCTET_AVX2 inline void put(std::int16_t* to, __m256i codes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
}

/// V of one tile and 16 channels from the columns of B^T d.
OCTET_AVX2 inline void put_positions(const __m256i (&columns)[4][4], std::int64_t stride,
                                     std::int16_t* to) {
  OCTET_UNROLL
  for (const int i : winograd::sequence) {
    put(to, _mm256_add_epi16(columns[1][i], columns[2][i]));
    put(to + stride, _mm256_sub_epi16(columns[2][i], columns[1][i]));
    put(to + 2 * stride, _mm256_sub_epi16(columns[0][i], columns[2][i]));
    put(to + 3 * stride, _mm256_sub_epi16(columns[3][i], columns[1][i]));
    to += 4 * stride;
  }
}

/// Tiles side by side.
struct Strip {
  std::array<const std::uint8_t*, 4> rows;  ///< at the first tile
  std::int64_t tiles = 0;
  std::int64_t last_pixel = 0;  ///< of the rows; what lies behind it is of no output
  std::int64_t in_channels = 0;
};

/// V of a strip for 16 channels; its first tile is number `index` of the chunk.
OCTET_AVX2 void transform_strip(const Strip& strip, const Chunk& chunk, std::int64_t index,
                                std::int64_t channel, std::int16_t* codes) {
  const std::int64_t stride = chunk.position_stride();
  std::int64_t slot = index % chunk.group;
  std::int16_t* to =
      codes + index / chunk.group * winograd::positions * stride + slot * chunk.channels + channel;
  __m256i columns[4][4];
  transform_column(strip.rows, channel, columns[0]);
  transform_column(strip.rows, strip.in_channels + channel, columns[1]);
  for (std::int64_t tile = 0; tile < strip.tiles; ++tile) {
    const std::int64_t third = 2 * tile + 2;
    const std::int64_t fourth = std::min(third + 1, strip.last_pixel);
    transform_column(strip.rows, third * strip.in_channels + channel, columns[2]);
    transform_column(strip.rows, fourth * strip.in_channels + channel, columns[3]);
    put_positions(columns, stride, to);
    OCTET_UNROLL
    for (int i = 0; i < 4; ++i) {
      columns[0][i] = columns[2][i];
      columns[1][i] = columns[3][i];
    }
    to += chunk.channels;
    if (++slot < chunk.group) continue;
    slot = 0;
    to += (winograd::positions - 1) * stride;
  }
}

/// Where the outputs of a tile go.
struct Place {
  std::int64_t element = 0;  ///< of the first
  int rows = 2, columns = 2;
};

/// A group of tiles by the channels of one OutputBlock.
struct Group {
  const std::int16_t* codes = nullptr;
  std::int64_t tile_stride = 0;
  std::int64_t position_stride = 0;
  const std::int16_t* weights = nullptr;
  int steps = 1;  ///< multiply steps per position
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  const float* output_bias = nullptr;  ///< floats
  float input_scale = 1;               ///< floats
  void* output = nullptr;              ///< elements of requantize.output
  std::int64_t column_stride = 0;      ///< elements from one output pixel to the next
  std::int64_t row_stride = 0;
  std::array<Place, group_tiles> places;
  int channels = 0;  ///< stored
  RequantizeParams requantize;
};

/// Sums of a group, in memory between two positions.
template <int tiles>
using Sums = __m256i[tiles][vectors];

/// Position `position` on top of `from`, or of nothing. A function by itself without any other work
/// on the sums, so that they stay in registers.
template <int tiles>
OCTET_AVX2 __attribute__((noinline)) void run_position(const Group& group, int position,
                                                       const Sums<tiles>* from, Sums<tiles>& to) {
  Sums<tiles> sums;
  OCTET_UNROLL
  for (int t = 0; t < tiles; ++t) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) {
      sums[t][v] = from != nullptr ? (*from)[t][v] : _mm256_setzero_si256();
    }
  }
  multiply_steps<Dot2>(sums, group.codes + position * group.position_stride, group.tile_stride,
                       group.weights + std::int64_t{position} * group.steps * step_weights,
                       group.steps);
  OCTET_UNROLL
  for (int t = 0; t < tiles; ++t) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) to[t][v] = sums[t][v];
  }
}

/// (first, second) to (first + second, first - second).
template <int tiles>
OCTET_AVX2 inline void butterfly(Sums<tiles>& first, Sums<tiles>& second) {
  for (int t = 0; t < tiles; ++t) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const __m256i sum = _mm256_add_epi32(first[t][v], second[t][v]);
      second[t][v] = _mm256_sub_epi32(first[t][v], second[t][v]);
      first[t][v] = sum;
    }
  }
}

/// Row r of the positions times A. The sum and the difference of the first two products are what
/// the sums of the third and the fourth begin with.
template <int tiles>
OCTET_AVX2 inline void run_row(const Group& group, int r, Sums<tiles> (&columns)[2]) {
  run_position<tiles>(group, 4 * r, nullptr, columns[0]);
  run_position<tiles>(group, 4 * r + 1, nullptr, columns[1]);
  butterfly<tiles>(columns[0], columns[1]);
  run_position<tiles>(group, 4 * r + 2, &columns[0], columns[0]);
  run_position<tiles>(group, 4 * r + 3, &columns[1], columns[1]);
}

/// Accumulators from two parts of 4 times the sum of products.
OCTET_AVX2 inline __m256i accumulator(__m256i part, __m256i other, __m256i bias) {
  return _mm256_add_epi32(_mm256_srai_epi32(_mm256_add_epi32(part, other), 2), bias);
}

/// Parts of output (row, column) of each tile.
struct Parts {
  const __m256i (*first)[vectors];
  const __m256i (*second)[vectors];
  int tiles, row, column;
};

template <bool saturating>
OCTET_AVX2 void store_codes(const Group& group, const Parts& parts) {
  const Tail tail = make_tail(group.requantize);
  const std::int64_t shift = parts.row * group.row_stride + parts.column * group.column_stride;
  auto* output = static_cast<std::uint8_t*>(group.output) + shift;
  const __m256i bias[vectors] = {load(group.bias), load(group.bias + 8)};
  for (int t = 0; t < parts.tiles; ++t) {
    const Place& place = group.places[static_cast<std::size_t>(t)];
    if (parts.row >= place.rows || parts.column >= place.columns) continue;
    const __m128i codes = requantize16<saturating>(
        accumulator(parts.first[t][0], parts.second[t][0], bias[0]),
        accumulator(parts.first[t][1], parts.second[t][1], bias[1]), group.multiplier, tail);
    store(output + place.element, codes, group.channels);
  }
}

OCTET_AVX2 void store_all_numbers(const Group& group, const Parts& parts) {
  const Numbers numbers = make_numbers<vectors>(group);
  const std::int64_t shift = parts.row * group.row_stride + parts.column * group.column_stride;
  const __m256i bias[vectors] = {load(group.bias), load(group.bias + 8)};
  for (int t = 0; t < parts.tiles; ++t) {
    const Place& place = group.places[static_cast<std::size_t>(t)];
    if (parts.row >= place.rows || parts.column >= place.columns) continue;
    const __m256i sums[vectors] = {accumulator(parts.first[t][0], parts.second[t][0], bias[0]),
                                   accumulator(parts.first[t][1], parts.second[t][1], bias[1])};
    store_numbers(numbers, sums, group.output, shift + place.element);
  }
}

void store_outputs(const Group& group, const Parts& parts) {
  if (group.requantize.output != ConvOutput::codes) {
    store_all_numbers(group, parts);
  } else if (group.requantize.saturating) {
    store_codes<true>(group, parts);
  } else {
    store_codes<false>(group, parts);
  }
}

/// A^T of the rows likewise: the sum of the first two completes the third, their difference the
/// fourth.
template <int tiles>
OCTET_AVX2 void run_group(const Group& group) {
  Sums<tiles> rows[4][2];
  for (int r = 0; r < 4; ++r) run_row<tiles>(group, r, rows[r]);
  for (int column = 0; column < 2; ++column) {
    butterfly<tiles>(rows[0][column], rows[1][column]);
    store_outputs(group, {rows[0][column], rows[2][column], tiles, 0, column});
    store_outputs(group, {rows[1][column], rows[3][column], tiles, 1, column});
  }
}

void run_tiles(std::int64_t tiles, const Group& group) {
  using Function = void (*)(const Group&);
  static constexpr auto functions = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array<Function, sizeof...(i)>{run_group<i + 1>...};
  }
  (std::make_integer_sequence<int, group_tiles>{});
  functions[static_cast<std::size_t>(tiles - 1)](group);
}

/// Output rows of one image that a call computes.
struct Part {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t tiles_across = 0;

  [[nodiscard]] std::int64_t tiles() const { return ceil_divide(rows, 2) * tiles_across; }
};

class WinogradConv final : public Conv {
 public:
  WinogradConv(const ConvParams& params, std::string_view name)
      : name_(name),
        input_zero_point_(params.input_zero_point),
        input_scale_(params.input_scale),
        requantize_(params),
        packed_(winograd::pack(
            params, {8, 2, vectors, params.output == ConvOutput::codes ? pack_order : plain_order8},
            vectors)) {}

  void run(const ConvGeometry& geometry, const ConvCall& call) const override {
    const InputParams input =
        call.input_params.value_or(InputParams{input_zero_point_, input_scale_});
    Group group;
    group.steps = packed_.steps;
    group.bias = biases_of(packed_.lanes, input_zero_point_, call);
    group.input_scale = input.scale;
    group.column_stride = geometry.out_channels;
    group.row_stride = std::int64_t{geometry.out_width} * geometry.out_channels;
    group.requantize = requantize_;
    std::byte* scratch = call.scratch + packed_.lanes.moved_bytes;
    auto* codes = reinterpret_cast<std::int16_t*>(scratch);
    RowWindow<std::uint8_t> window(geometry, call.input, input.zero_point,
                                   scratch + code_bytes(geometry), 2);
    for (std::int64_t row = call.first_row; row < call.last_row;) {
      const std::int64_t image_end = (row / geometry.out_height + 1) * geometry.out_height;
      const Part part{row, std::min(call.last_row, image_end) - row,
                      ceil_divide(geometry.out_width, 2)};
      run_part(geometry, call, part, window, codes, group);
      row += part.rows;
    }
  }

  [[nodiscard]] std::size_t scratch_bytes(const ConvGeometry& geometry) const override {
    return packed_.lanes.moved_bytes + code_bytes(geometry) +
           RowWindow<std::uint8_t>::scratch_bytes(geometry, 2);
  }

  [[nodiscard]] int channel_step() const override { return packed_.blocks.front().channels; }

  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  /// Transformed codes that stay in the second-level cache while all weights pass by.
  static constexpr std::int64_t chunk_bytes = 128 * 1024;

  [[nodiscard]] static std::int64_t padded_channels(const ConvGeometry& geometry) {
    return ceil_divide(geometry.in_channels, code_lanes) * code_lanes;
  }
  [[nodiscard]] static std::int64_t tile_bytes(const ConvGeometry& geometry) {
    return winograd::positions * padded_channels(geometry) *
           static_cast<std::int64_t>(sizeof(std::int16_t));
  }
  /// Tiles of a chunk at most: whole groups.
  [[nodiscard]] static std::int64_t chunk_tiles(const ConvGeometry& geometry) {
    const std::int64_t groups = chunk_bytes / (group_tiles * tile_bytes(geometry));
    const std::int64_t image =
        ceil_divide(geometry.out_height, 2) * ceil_divide(geometry.out_width, 2);
    return std::clamp<std::int64_t>(groups, 1, ceil_divide(image, group_tiles)) * group_tiles;
  }
  [[nodiscard]] static std::size_t code_bytes(const ConvGeometry& geometry) {
    return whole_lines(static_cast<std::size_t>(chunk_tiles(geometry) * tile_bytes(geometry)));
  }
  /// In chunks of nearly the same size.
  void run_part(const ConvGeometry& geometry, const ConvCall& call, const Part& part,
                RowWindow<std::uint8_t>& window, std::int16_t* codes, const Group& group) const {
    const std::int64_t tiles = part.tiles();
    const std::int64_t groups = ceil_divide(tiles, group_tiles);
    const std::int64_t chunks = ceil_divide(tiles, chunk_tiles(geometry));
    const std::int64_t size = ceil_divide(groups, chunks) * group_tiles;
    for (std::int64_t first = 0; first < tiles; first += size) {
      Chunk chunk;
      chunk.first = first;
      chunk.tiles = std::min(size, tiles - first);
      chunk.group = ceil_divide(chunk.tiles, ceil_divide(chunk.tiles, group_tiles));
      chunk.channels = padded_channels(geometry);
      transform_chunk(geometry, part, chunk, window, codes);
      run_chunk(geometry, call, part, chunk, codes, group);
    }
  }

  static void transform_chunk(const ConvGeometry& geometry, const Part& part, const Chunk& chunk,
                              RowWindow<std::uint8_t>& window, std::int16_t* codes) {
    for (std::int64_t index = 0; index < chunk.tiles;) {
      const std::int64_t y = (chunk.first + index) / part.tiles_across;
      const std::int64_t x = (chunk.first + index) % part.tiles_across;
      Strip strip;
      window.move_to(part.first_row + 2 * y);
      strip.rows = {window.row(0), window.row(1), window.row(2), window.row(2)};
      // The fourth row is of the lower outputs alone.
      if (2 * y + 1 < part.rows) {
        window.move_to(part.first_row + 2 * y + 1);
        strip.rows[3] = window.row(2);
      }
      for (auto& row : strip.rows) row += 2 * x * geometry.in_channels;
      strip.tiles = std::min(part.tiles_across - x, chunk.tiles - index);
      strip.last_pixel = geometry.out_width + 1 - 2 * x;
      strip.in_channels = geometry.in_channels;
      for (std::int64_t channel = 0; channel < chunk.channels; channel += code_lanes) {
        transform_strip(strip, chunk, index, channel, codes);
      }
      index += strip.tiles;
    }
  }

  void run_chunk(const ConvGeometry& geometry, const ConvCall& call, const Part& part,
                 const Chunk& chunk, const std::int16_t* codes, Group group) const {
    const auto bytes = static_cast<std::int64_t>(element_bytes(requantize_.output));
    const std::int32_t* bias = group.bias;
    group.tile_stride = chunk.channels;
    group.position_stride = chunk.position_stride();
    for (const auto& block : packed_.blocks) {
      if (block.first_channel < call.channels.first || block.first_channel >= call.channels.last)
        continue;
      group.weights = packed_.weights.data() + block.weights;
      group.bias = bias + block.lanes;
      group.multiplier = packed_.lanes.multiplier.data() + block.lanes;
      group.output_bias = packed_.lanes.output_bias.data() + block.lanes;
      group.channels = block.channels;
      group.output =
          static_cast<std::byte*>(call.output) +
          ((part.first_row - call.output_row) * group.row_stride + block.first_channel) * bytes;
      group.codes = codes;
      for (std::int64_t index = 0; index < chunk.tiles; index += chunk.group) {
        const std::int64_t tiles = std::min(chunk.group, chunk.tiles - index);
        set_places(geometry, part, chunk.first + index, tiles, group);
        run_tiles(tiles, group);
        group.codes += winograd::positions * group.position_stride;
      }
    }
  }

  static void set_places(const ConvGeometry& geometry, const Part& part, std::int64_t tile,
                         std::int64_t tiles, Group& group) {
    std::int64_t y = tile / part.tiles_across;
    std::int64_t x = tile % part.tiles_across;
    for (std::int64_t t = 0; t < tiles; ++t) {
      Place& place = group.places[static_cast<std::size_t>(t)];
      place.element = 2 * (y * group.row_stride + x * group.column_stride);
      place.rows = 2 * y + 1 < part.rows ? 2 : 1;
      place.columns = 2 * x + 1 < geometry.out_width ? 2 : 1;
      if (++x < part.tiles_across) continue;
      x = 0;
      ++y;
    }
  }

  std::string_view name_;
  std::uint8_t input_zero_point_;
  float input_scale_;
  RequantizeParams requantize_;
  PackedMatrix<std::int16_t> packed_;
};

constexpr std::string_view name_3x3 = "u8s8_conv3x3_perchannel_onnx_winograd2x2__avx2";

/// Whether the tiles of a layer take less work than its pixels in the matrix kernel, counted in
/// multiplications of one register. A weight costs as much as some of its uses to fetch.
bool pays(const ConvGeometry& g) {
  constexpr std::int64_t fetch = 4;
  constexpr std::int64_t transform_inputs = 60;  // 16 channels of a tile
  constexpr std::int64_t store_outputs = 120;    // likewise
  const std::int64_t steps = ceil_divide(g.in_channels, 2);
  const std::int64_t tiles = g.batch * ceil_divide(g.out_height, 2) * ceil_divide(g.out_width, 2);
  const std::int64_t pixels = g.batch * g.out_height * g.out_width;
  const std::int64_t blocks = ceil_divide(g.out_channels, 16);
  const std::int64_t direct = 9 * steps * ceil_divide(g.out_channels, 8) * (pixels + fetch);
  const std::int64_t multiplied = winograd::positions * steps * vectors * blocks * (tiles + fetch);
  const std::int64_t transformed =
      tiles * (transform_inputs * ceil_divide(g.in_channels, code_lanes) + store_outputs * blocks);
  return multiplied + transformed < direct;
}

bool accepts(const ConvParams& params) {
  return winograd::is_3x3(params) && pays(params.geometry) && winograd::is_exact(params);
}

constexpr std::array<ConvKernel, 1> rows = {{
    {name_3x3, Isa::avx2, accepts,
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<WinogradConv>(params, name_3x3);
     }},
}};

}  // namespace

std::span<const ConvKernel> winograd_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

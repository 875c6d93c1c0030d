// Matrix kernels for AMX-INT8: up to four tile registers of 16 pixels by 16 channels hold the sums.
// Codes are loaded where they lie, a pixel for each row; packed weights of 16 channels are a tile
// as they are. The sums go through memory to the AVX512 tail.

#if defined(__x86_64__)

#include <algorithm>
#include <array>

#include "kernels/x86/amx.h"
#include "kernels/x86/avx512.h"
#include "kernels/x86/kernel_rows.h"
#include "kernels/x86/matrix_conv.h"

namespace octet::kernels {
namespace {

using Tile = MatrixTile<std::uint8_t, std::int8_t>;

constexpr int tile_pixels = 16;
constexpr int tile_lanes = 16;
constexpr int max_tile_steps = 16;
constexpr int sum_tiles = 4;
constexpr int codes_tile = 4;    // and 5
constexpr int weights_tile = 6;  // and 7

/// Pixels of each tile when `pixels` are cut into as few tiles as possible; the last one begins
/// early enough to be whole.
int pixels_of_tiles(std::int64_t pixels) {
  const std::int64_t tiles = (pixels + tile_pixels - 1) / tile_pixels;
  return static_cast<int>((pixels + tiles - 1) / tiles);
}

amx::TileConfig tile_config(int pixels, int tile_steps) {
  amx::TileConfig config;
  const auto set = [&](int tile, int rows, int bytes) {
    config.rows[static_cast<std::size_t>(tile)] = static_cast<std::uint8_t>(rows);
    config.row_bytes[static_cast<std::size_t>(tile)] = static_cast<std::uint16_t>(bytes);
  };
  for (int t = 0; t < sum_tiles; ++t) set(t, pixels, 4 * tile_lanes);
  for (int t = codes_tile; t < weights_tile; ++t) set(t, pixels, 4 * tile_steps);
  for (int t = weights_tile; t < weights_tile + 2; ++t) set(t, tile_steps, 4 * tile_lanes);
  return config;
}

/// Sums of one group of tiles as they come out of the registers: [tile][pixel][lane].
struct alignas(64) Sums {
  std::int32_t values[sum_tiles][tile_pixels][tile_lanes];
};

template <bool saturating, int vectors>
OCTET_AVX512VNNI void store_codes(const Tile& tile, const Sums& sums, int group_tile, int pixels,
                                  void* output) {
  auto* codes = static_cast<std::uint8_t*>(output);
  const avx512::Tail tail = avx512::make_tail(tile.requantize);
  const auto mask = static_cast<__mmask32>(avx512::low_bits(tile.channels));
  for (int p = 0; p < pixels; ++p, codes += tile.output_stride) {
    const __m512i first = _mm512_load_si512(sums.values[group_tile][p]);
    if constexpr (vectors == 2) {
      const __m512i pair[2] = {first, _mm512_load_si512(sums.values[group_tile + 1][p])};
      _mm256_mask_storeu_epi8(codes, mask,
                              avx512::requantize32<saturating>(pair, tile.multiplier, tail));
    } else {
      _mm_mask_storeu_epi8(codes, static_cast<__mmask16>(mask),
                           avx512::requantize16<saturating>(first, tile.multiplier, tail));
    }
  }
}

/// Accumulators and floats; lanes are in plain order.
template <int vectors>
OCTET_AVX512VNNI void store_numbers(const Tile& tile, const Sums& sums, int group_tile, int pixels,
                                    void* output) {
  const std::uint64_t lanes = avx512::low_bits(tile.channels);
  const bool floats = tile.requantize.output == ConvOutput::floats;
  for (int v = 0; v < vectors; ++v) {
    const auto mask = static_cast<__mmask16>(lanes >> (tile_lanes * v));
    const __m512 multiplier = _mm512_mul_ps(_mm512_set1_ps(tile.input_scale),
                                            _mm512_loadu_ps(tile.multiplier + tile_lanes * v));
    const __m512 bias = _mm512_loadu_ps(tile.output_bias + tile_lanes * v);
    auto* to = static_cast<std::int32_t*>(output) + tile_lanes * v;
    for (int p = 0; p < pixels; ++p, to += tile.output_stride) {
      const __m512i sum = _mm512_load_si512(sums.values[group_tile + v][p]);
      if (floats) {
        avx512::store_floats(to, mask, sum, multiplier, bias);
      } else {
        _mm512_mask_storeu_epi32(to, mask, sum);
      }
    }
  }
}

using StoreFunction = void (*)(const Tile&, const Sums&, int, int, void*);

template <int vectors>
StoreFunction store_function(const RequantizeParams& params) {
  if (params.output != ConvOutput::codes) return store_numbers<vectors>;
  return params.saturating ? store_codes<true, vectors> : store_codes<false, vectors>;
}

/// Some tiles, of one row of pixels or several.
struct PixelGroup {
  std::array<std::int64_t, sum_tiles> row{};    ///< of each tile
  std::array<std::int64_t, sum_tiles> first{};  ///< its first pixel in the row
  std::int64_t row_pixels = 0;
  int pixels = 0;      ///< of each tile
  int tile_steps = 1;  ///< multiply steps of a tile
};

/// Sums of `tall` x `vectors` tiles. Loops over registers are unrolled by hand: their numbers are
/// part of the instructions.
template <int tall, int vectors>
void multiply(const Tile& tile, const PixelGroup& group, Sums& sums) {
  const auto each_sum = [&](auto&& use) {
    [&]<int... t>(std::integer_sequence<int, t...>) {
      (use(std::integral_constant<int, t>{}), ...);
    }
    (std::make_integer_sequence<int, tall * vectors>{});
  };
  each_sum([&]<int t>(std::integral_constant<int, t>) {
    amx::load<t>(tile.bias + tile_lanes * (t % vectors), 0);  // the same row for every pixel
  });
  const std::int64_t weight_row = 64 * vectors;
  const std::int8_t* weights = tile.weights;
  for (int s = 0; s < tile.segment_count; ++s) {
    std::array<const std::uint8_t*, tall> codes;
    for (std::size_t p = 0; p < tall; ++p) {
      codes[p] = tile.segments[group.row[p] * tile.segment_count + s] + tile.offset +
                 group.first[p] * tile.pixel_stride;
    }
    for (int step = 0; step < tile.steps; step += group.tile_steps) {
      each_sum([&]<int t>(std::integral_constant<int, t>) {
        constexpr int p = t / vectors;
        constexpr int v = t % vectors;
        constexpr int a = codes_tile + p % 2;
        if constexpr (v == 0) {
          amx::load<a>(codes[p] + 4 * step, tile.pixel_stride);
        }
        if constexpr (p == 0) amx::load<weights_tile + v>(weights + 64 * v, weight_row);
        amx::dot<t, a, weights_tile + v>();
      });
      weights += group.tile_steps * weight_row;
    }
  }
  each_sum([&]<int t>(std::integral_constant<int, t>) { amx::store<t>(sums.values[t], 64); });
}

template <int tall, int vectors>
void run_group(const Tile& tile, const PixelGroup& group) {
  Sums sums;
  multiply<tall, vectors>(tile, group, sums);
  const auto store = store_function<vectors>(tile.requantize);
  const std::int64_t pixel_bytes =
      tile.output_stride * static_cast<std::int64_t>(element_bytes(tile.requantize.output));
  for (int t = 0; t < tall; ++t) {
    const auto i = static_cast<std::size_t>(t);
    const std::int64_t pixel = group.row[i] * group.row_pixels + group.first[i];
    store(tile, sums, t * vectors, group.pixels,
          static_cast<std::byte*>(tile.output) + pixel * pixel_bytes);
  }
}

using GroupFunction = void (*)(const Tile&, const PixelGroup&);
/// By vectors - 1 and tiles in the group - 1.
constexpr std::array<std::array<GroupFunction, sum_tiles>, 2> groups = {{
    {run_group<1, 1>, run_group<2, 1>, run_group<3, 1>, run_group<4, 1>},
    {run_group<1, 2>, run_group<2, 2>, nullptr, nullptr},
}};

struct Backend {
  using Element = std::uint8_t;
  using Weight = std::int8_t;

  /// Tile registers configured for the pixels of a row and a depth.
  class Scope {
   public:
    Scope(std::int64_t pixels, int tile_steps) {
      group_.pixels = pixels_of_tiles(pixels);
      group_.tile_steps = tile_steps;
      amx::configure(tile_config(group_.pixels, tile_steps));
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { amx::release(); }

    void run(std::int64_t rows, std::int64_t pixels, int vectors, const Tile& tile) {
      const std::int64_t row_tiles = (pixels + group_.pixels - 1) / group_.pixels;
      const std::int64_t tiles = rows * row_tiles;
      const std::int64_t tall = sum_tiles / vectors;
      group_.row_pixels = pixels;
      std::int64_t row = 0;
      std::int64_t in_row = 0;
      for (std::int64_t t = 0; t < tiles; t += tall) {
        const std::int64_t count = std::min(tall, tiles - t);
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
          group_.row[i] = row;
          group_.first[i] = std::min(in_row * group_.pixels, pixels - group_.pixels);
          if (++in_row < row_tiles) continue;
          in_row = 0;
          ++row;
        }
        groups[static_cast<std::size_t>(vectors - 1)][static_cast<std::size_t>(count - 1)](tile,
                                                                                           group_);
      }
    }

   private:
    PixelGroup group_;
  };

  static LaneOrder order(ConvOutput output) {
    return {tile_lanes, 4, 1, output == ConvOutput::codes ? pack_order : plain_order,
            max_tile_steps};
  }
  static int full_vectors(int channels) { return channels > tile_lanes ? 2 : 1; }
};

/// Tiles pay once they have some rows and some depth.
bool fills_tiles(const ConvGeometry& g) {
  const std::int64_t pixels =
      is_pointwise(g) ? g.batch * g.out_height * g.out_width : std::int64_t{g.out_width};
  const SegmentShape shape = segment_shape(g);
  return pixels >= 4 && shape.length >= 16 && shape.length * shape.count >= 32;
}

template <int vectors, bool pointwise>
bool accepts(const ConvParams& params) {
  const auto& g = params.geometry;
  return well_formed(params) && is_1x1(g) == pointwise && fills_tiles(g) &&
         Backend::full_vectors(g.out_channels / g.groups) == vectors;
}

template <int vectors, bool pointwise>
constexpr std::string_view name = vectors == 2
                                      ? (pointwise ? "u8s8_conv1x1_perchannel_onnx_32x32__amx"
                                                   : "u8s8_conv_perchannel_onnx_32x32__amx")
                                      : (pointwise ? "u8s8_conv1x1_perchannel_onnx_64x16__amx"
                                                   : "u8s8_conv_perchannel_onnx_64x16__amx");

template <int vectors, bool pointwise>
constexpr ConvKernel row{name<vectors, pointwise>, Isa::amx, accepts<vectors, pointwise>,
                         [](const ConvParams& params) -> std::unique_ptr<Conv> {
                           return std::make_unique<MatrixConv<Backend>>(params,
                                                                        name<vectors, pointwise>);
                         }};

constexpr std::array<ConvKernel, 4> rows = {row<2, true>, row<1, true>, row<2, false>,
                                            row<1, false>};

}  // namespace

std::span<const ConvKernel> matrix_kernels_amx() { return rows; }

}  // namespace octet::kernels

#endif

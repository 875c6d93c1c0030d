// Product of two activations for AVX512-VNNI. b is packed block by block of 64 columns into the
// layout of the matrix tile, moved to signed codes on the way. With b' = b - 128 and z' = zb - 128,
//
//   sum (a - za) (b' - z') = sum a b' - z' sum a - za sum b' + depth za z'
//
// The second term belongs to a row, the last two to a column; both start the tile's sums.

#if defined(__x86_64__)

#include <algorithm>

#include "kernels/x86/avx512.h"
#include "kernels/x86/matrix_avx512vnni.h"
#include "kernels/x86/x86_product.h"

namespace octet::kernels {
namespace {

constexpr int block_columns = 64;

std::int64_t steps_of(const ProductShape& shape) { return (shape.depth + 3) / 4; }

/// Packs the columns [first, first + columns) and gives each lane's sum of b'.
OCTET_AVX512VNNI void pack_block(const ProductShape& shape, const std::uint8_t* b,
                                 std::int64_t first, int columns, bool pack_order,
                                 std::int8_t* packed, std::int32_t* column_sums) {
  const int vectors = (columns + 15) / 16;
  const auto mask = avx512::low_bits(columns);
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                     _mm512_setzero_si512()};
  for (std::int64_t k = 0; k < shape.depth; k += 4) {
    __m512i rows[4];
    for (int i = 0; i < 4; ++i) {
      // Rows beyond the depth are zeros of b'.
      rows[i] = _mm512_setzero_si512();
      if (k + i >= shape.depth) continue;
      const std::uint8_t* from = b + (k + i) * shape.columns + first;
      rows[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, from), sign);
    }
    __m512i quads[4];
    avx512::interleave(rows[0], rows[1], rows[2], rows[3], quads);
    if (!pack_order) avx512::to_plain_order(quads);
    OCTET_UNROLL
    for (int v = 0; v < 4; ++v) {
      avx512::dot4(sums[v], ones, quads[v]);
      if (v < vectors) _mm512_storeu_si512(packed + 64 * v, quads[v]);
    }
    packed += 64 * vectors;
  }
  for (int v = 0; v < 4; ++v) _mm512_storeu_si512(column_sums + 16 * v, sums[v]);
}

OCTET_AVX512VNNI std::int32_t sum_row(const std::uint8_t* row, std::int64_t depth) {
  __m512i sum = _mm512_setzero_si512();
  for (std::int64_t k = 0; k < depth; k += 64) {
    const auto mask = avx512::low_bits(static_cast<int>(std::min<std::int64_t>(depth - k, 64)));
    const __m512i codes = _mm512_maskz_loadu_epi8(mask, row + k);
    avx512::dot4(sum, codes, _mm512_set1_epi8(1));
  }
  return _mm512_reduce_add_epi32(sum);
}

/// What lies in the scratch memory.
struct Scratch {
  std::int8_t* packed;
  std::int32_t* bias;
  float* multiplier;
  float* output_bias;
  std::int32_t* row_bias;
};

constexpr std::size_t lane_bytes = block_columns * 4;

std::size_t packed_bytes(const ProductShape& shape) {
  return static_cast<std::size_t>(steps_of(shape)) * 4 * block_columns;
}

Scratch split_scratch(const ProductShape& shape, std::byte* scratch) {
  std::byte* lanes = scratch + packed_bytes(shape);
  return {reinterpret_cast<std::int8_t*>(scratch), reinterpret_cast<std::int32_t*>(lanes),
          reinterpret_cast<float*>(lanes + lane_bytes),
          reinterpret_cast<float*>(lanes + 2 * lane_bytes),
          reinterpret_cast<std::int32_t*>(lanes + 3 * lane_bytes)};
}

std::size_t scratch_bytes(const ProductShape& shape) {
  return packed_bytes(shape) + 3 * lane_bytes + static_cast<std::size_t>(shape.rows) * 4 + 64;
}

/// Modulo 2^32.
std::int32_t wrap(std::int64_t value) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint64_t>(value)));
}

void run_block(const ProductShape& shape, avx512::Tile& tile, const std::int32_t* row_bias,
               int vectors, std::byte* output, std::int64_t element) {
  const std::int64_t full = avx512::matrix_pixels(vectors);
  const std::int64_t tiles = (shape.rows + full - 1) / full;
  for (std::int64_t t = 0, row = 0; t < tiles; ++t) {
    const std::int64_t next = (t + 1) * shape.rows / tiles;
    tile.offset = row * shape.depth;
    tile.row_bias = row_bias == nullptr ? nullptr : row_bias + row;
    tile.output = output + row * shape.columns * element;
    avx512::run_matrix_tile(static_cast<int>(next - row), vectors, tile);
    row = next;
  }
}

void run(const ProductParams& params, const ProductShape& shape, const std::uint8_t* a,
         const std::uint8_t* b, void* output, std::byte* scratch) {
  const Scratch s = split_scratch(shape, scratch);
  const int b_zero = int{params.b_zero_point} - 128;
  for (std::int64_t m = 0; b_zero != 0 && m < shape.rows; ++m) {
    s.row_bias[m] = wrap(std::int64_t{-b_zero} * sum_row(a + m * shape.depth, shape.depth));
  }
  std::fill_n(s.multiplier, block_columns, params.multiplier);
  std::fill_n(s.output_bias, block_columns, -0.0F);
  const bool codes = params.output == ConvOutput::codes;
  const auto element = static_cast<std::int64_t>(element_bytes(params.output));
  avx512::Tile tile;
  tile.segments = &a;
  tile.steps = static_cast<int>(steps_of(shape));
  tile.pixel_stride = shape.depth;
  tile.weights = s.packed;
  tile.bias = s.bias;
  tile.multiplier = s.multiplier;
  tile.output_bias = s.output_bias;
  tile.output_stride = shape.columns;
  tile.requantize = RequantizeParams(params.output, params.output_zero_point, params.low,
                                     params.high, std::span(&params.multiplier, 1));
  for (std::int64_t first = 0; first < shape.columns; first += block_columns) {
    tile.channels = static_cast<int>(std::min<std::int64_t>(shape.columns - first, block_columns));
    const int vectors = (tile.channels + 15) / 16;
    tile.plain_lanes = vectors < 4;
    pack_block(shape, b, first, tile.channels, codes && vectors == 4, s.packed, s.bias);
    for (int lane = 0; lane < block_columns; ++lane) {
      s.bias[lane] = wrap(std::int64_t{params.a_zero_point} *
                          (shape.depth * b_zero - std::int64_t{s.bias[lane]}));
    }
    run_block(shape, tile, b_zero == 0 ? nullptr : s.row_bias, vectors,
              static_cast<std::byte*>(output) + first * element, element);
  }
}

}  // namespace

const ProductKernel& product_avx512vnni() {
  static constexpr ProductKernel kernel{run, scratch_bytes,
                                        "u8u8_product_tensor_onnx_6x64__avx512vnni"};
  return kernel;
}

}  // namespace octet::kernels

#endif

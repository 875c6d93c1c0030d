// Product of two activations for AVX2: both operands are widened to 16 bits less their zero points,
// so that vpmaddwd is exact and nothing has to be corrected.

#if defined(__x86_64__)

#include <algorithm>
#include <cstring>

#include "kernels/x86/avx2.h"
#include "kernels/x86/matrix_avx2.h"
#include "kernels/x86/x86_product.h"

namespace octet::kernels {
namespace {

constexpr int block_columns = 16;

std::int64_t padded_depth(const ProductShape& shape) { return (shape.depth + 1) / 2 * 2; }

/// Columns [first, first + columns) as [step][register][lane][2].
OCTET_AVX2 void pack_block(const ProductShape& shape, const std::uint8_t* b, std::int64_t first,
                           int columns, std::uint8_t zero_point, bool pack_order,
                           std::int16_t* packed) {
  const __m256i zero = _mm256_set1_epi16(zero_point);
  for (std::int64_t k = 0; k < shape.depth; k += 2) {
    __m256i rows[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int i = 0; i < 2 && k + i < shape.depth; ++i) {
      alignas(16) std::uint8_t bytes[16] = {};
      std::memcpy(bytes, b + (k + i) * shape.columns + first, static_cast<std::size_t>(columns));
      const __m128i codes = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
      rows[i] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(codes), zero);
    }
    const __m256i low = _mm256_unpacklo_epi16(rows[0], rows[1]);
    const __m256i high = _mm256_unpackhi_epi16(rows[0], rows[1]);
    auto* to = reinterpret_cast<__m256i*>(packed);
    _mm256_storeu_si256(to, pack_order ? low : _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(to + 1, pack_order ? high : _mm256_permute2x128_si256(low, high, 0x31));
    packed += 32;
  }
}

/// Rows with an even number of elements.
void widen(const ProductShape& shape, const std::uint8_t* a, std::uint8_t zero_point,
           std::int16_t* to) {
  for (std::int64_t m = 0; m < shape.rows; ++m) {
    for (std::int64_t k = 0; k < shape.depth; ++k) {
      *to++ = static_cast<std::int16_t>(int{a[m * shape.depth + k]} - zero_point);
    }
    if (shape.depth % 2 != 0) *to++ = 0;
  }
}

std::size_t packed_bytes(const ProductShape& shape) {
  return static_cast<std::size_t>(padded_depth(shape)) * block_columns * 2;
}

std::size_t scratch_bytes(const ProductShape& shape) {
  const auto rows = static_cast<std::size_t>(shape.rows * padded_depth(shape)) * 2;
  return packed_bytes(shape) + rows + 64;
}

void run(const ProductParams& params, const ProductShape& shape, const std::uint8_t* a,
         const std::uint8_t* b, void* output, std::byte* scratch) {
  auto* packed = reinterpret_cast<std::int16_t*>(scratch);
  auto* rows = reinterpret_cast<std::int16_t*>(scratch + packed_bytes(shape));
  widen(shape, a, params.a_zero_point, rows);
  const std::int32_t bias[block_columns] = {};
  float multiplier[block_columns];
  float output_bias[block_columns];
  std::fill_n(multiplier, block_columns, params.multiplier);
  std::fill_n(output_bias, block_columns, -0.0F);
  const std::int16_t* segment = rows;
  MatrixTile<std::int16_t, std::int16_t> tile;
  tile.segments = &segment;
  tile.steps = static_cast<int>(padded_depth(shape) / 2);
  tile.pixel_stride = padded_depth(shape);
  tile.weights = packed;
  tile.bias = bias;
  tile.multiplier = multiplier;
  tile.output_bias = output_bias;
  tile.output_stride = shape.columns;
  tile.requantize = RequantizeParams(params.output, params.output_zero_point, params.low,
                                     params.high, std::span(&params.multiplier, 1));
  const bool codes = params.output == ConvOutput::codes;
  const auto element = static_cast<std::int64_t>(element_bytes(params.output));
  for (std::int64_t first = 0; first < shape.columns; first += block_columns) {
    tile.channels = static_cast<int>(std::min<std::int64_t>(shape.columns - first, block_columns));
    pack_block(shape, b, first, tile.channels, params.b_zero_point, codes, packed);
    constexpr int full = avx2::matrix_pixels(2);
    for (std::int64_t row = 0; row < shape.rows; row += full) {
      const auto pixels = std::min<std::int64_t>(shape.rows - row, full);
      tile.offset = row * tile.pixel_stride;
      tile.output = static_cast<std::byte*>(output) + (row * shape.columns + first) * element;
      avx2::run_matrix_tile<avx2::Dot2>(static_cast<int>(pixels), 2, tile);
    }
  }
}

}  // namespace

const ProductKernel& product_avx2() {
  static constexpr ProductKernel kernel{run, scratch_bytes, "u8u8_product_tensor_onnx_6x16__avx2"};
  return kernel;
}

}  // namespace octet::kernels

#endif

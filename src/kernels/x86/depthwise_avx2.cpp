// Depthwise kernels for AVX2: 16 channels, taps taken in pairs, widened to 16 bits and interleaved
// for vpmaddwd.

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/avx2.h"
#include "kernels/x86/depthwise_conv.h"
#include "kernels/x86/kernel_rows.h"

namespace octet::kernels {
namespace {

using Row = DepthwiseRow<std::int16_t>;
constexpr int block_lanes = 16;
constexpr int row_weights = 12 * block_lanes;  ///< of a 3x3 kernel for one output row

OCTET_AVX2 inline __m256i widen16(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

/// From pack order to plain order: the 128-bit parts lie crosswise.
OCTET_AVX2 inline avx2::Numbers plain_numbers(const Row& row) {
  avx2::Numbers numbers = avx2::make_numbers(row);
  for (auto* values : {numbers.multiplier, numbers.bias}) {
    const __m256 first = values[0];
    values[0] = _mm256_permute2f128_ps(first, values[1], 0x20);
    values[1] = _mm256_permute2f128_ps(first, values[1], 0x31);
  }
  return numbers;
}

/// Where the sums of a row go.
class Output {
 public:
  OCTET_AVX2 explicit Output(const Row& row)
      : row_(row),
        tail_(avx2::make_tail(row.requantize)),
        codes_(row.requantize.output == ConvOutput::codes),
        numbers_(codes_ ? avx2::Numbers{} : plain_numbers(row)) {}

  /// Two registers in pack order, to elements `at` and on.
  OCTET_AVX2 void store(__m256i first, __m256i second, std::int64_t at) const {
    if (codes_) {
      const __m128i codes = row_.requantize.saturating
                                ? avx2::requantize16<true>(first, second, row_.multiplier, tail_)
                                : avx2::requantize16<false>(first, second, row_.multiplier, tail_);
      avx2::store(static_cast<std::uint8_t*>(row_.output) + at, codes, row_.channels);
    } else {
      avx2::store_numbers(numbers_, _mm256_permute2x128_si256(first, second, 0x20),
                          _mm256_permute2x128_si256(first, second, 0x31), row_.output, at);
    }
  }

 private:
  Row row_;  // stores to the output cannot change a copy
  avx2::Tail tail_;
  bool codes_;
  avx2::Numbers numbers_;
};

OCTET_AVX2 void run_any(const Row& row) {
  const Output output(row);
  const std::int64_t step = row.pixel_stride * row.stride;
  std::int64_t from = row.offset;
  for (std::int64_t x = 0; x < row.pixels; ++x, from += step) {
    __m256i first = avx2::load(row.bias);
    __m256i second = avx2::load(row.bias + 8);
    const std::int16_t* weights = row.weights;
    const std::uint8_t* const* taps = row.taps;
    for (int group = 0; group < row.tap_groups; ++group) {
      const __m256i a = widen16(taps[0] + from);
      const __m256i b = widen16(taps[1] + from);
      avx2::dot2(first, _mm256_unpacklo_epi16(a, b), avx2::load(weights));
      avx2::dot2(second, _mm256_unpackhi_epi16(a, b), avx2::load(weights + 16));
      weights += 32;
      taps += 2;
    }
    output.store(first, second, x * row.output_stride);
  }
}

/// One input column of the taps' 4 rows in pairs, or of 3 rows and zeros.
struct Column {
  __m256i first_low, first_high, second_low, second_high;
};

template <bool four_rows>
OCTET_AVX2 inline Column load_column(const Row& row, std::int64_t at) {
  const __m256i a = widen16(row.taps[0] + at);
  const __m256i b = widen16(row.taps[1] + at);
  const __m256i c = widen16(row.taps[2] + at);
  const __m256i d = four_rows ? widen16(row.taps[3] + at) : _mm256_setzero_si256();
  return {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b), _mm256_unpacklo_epi16(c, d),
          _mm256_unpackhi_epi16(c, d)};
}

OCTET_AVX2 inline void accumulate(__m256i& first, __m256i& second, const Column& column,
                                  const std::int16_t* weights) {
  avx2::dot2(first, column.first_low, avx2::load(weights));
  avx2::dot2(second, column.first_high, avx2::load(weights + 16));
  avx2::dot2(first, column.second_low, avx2::load(weights + 32));
  avx2::dot2(second, column.second_high, avx2::load(weights + 48));
}

/// 3x3. `fresh`: columns that the output pixel before did not read, 1 or 2 by the stride, 3 where
/// several pixels count as one. An interleaved column also serves both output rows.
template <int fresh>
OCTET_AVX2 void run_3x3(const Row& shared) {
  const Row row = shared;
  const Output output(row);
  constexpr bool four_rows = fresh != 2;
  const std::int64_t column = row.column_stride;
  std::int64_t from = row.offset;
  Column left{};
  Column middle{};
  Column right{};
  if constexpr (fresh == 1) middle = load_column<four_rows>(row, from);
  if constexpr (fresh < 3) right = load_column<four_rows>(row, from + (fresh == 1 ? column : 0));
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    if constexpr (fresh == 1) {
      left = middle;
      middle = right;
    } else {
      left = fresh == 2 ? right : load_column<four_rows>(row, from);
      middle = load_column<four_rows>(row, from + column);
    }
    right = load_column<four_rows>(row, from + 2 * column);
    for (int r = 0; r < row.rows; ++r) {
      const std::int16_t* weights = row.weights + r * row_weights;
      __m256i first = avx2::load(row.bias);
      __m256i second = avx2::load(row.bias + 8);
      accumulate(first, second, left, weights);
      accumulate(first, second, middle, weights + 64);
      accumulate(first, second, right, weights + 128);
      output.store(first, second, x * row.output_stride + r * row.output_row_stride);
    }
    from += row.stride * row.pixel_stride;
  }
}

struct Backend {
  using Weight = std::int16_t;
  static constexpr LaneOrder order{8, 2, 2, pack_order};
  static constexpr int vectors = 2;
};

struct Backend3x3 : Backend {
  static std::vector<int> slots(const ConvGeometry& g) { return column_slots(rows_together(g)); }
  static std::vector<int> taps(const ConvGeometry& /*geometry*/) { return column_taps(); }
  static int rows(const ConvGeometry& geometry) { return rows_together(geometry); }
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, block_lanes); }
  static void run_row(const Row& row) {
    if (row.pixel_stride != row.column_stride) return run_3x3<3>(row);
    row.stride == 1 ? run_3x3<1>(row) : run_3x3<2>(row);
  }
};

struct BackendAny : Backend {
  static std::vector<int> slots(const ConvGeometry& geometry) { return taps_in_order(geometry, 2); }
  static std::vector<int> taps(const ConvGeometry& geometry) { return slots(geometry); }
  static int rows(const ConvGeometry& /*geometry*/) { return 1; }
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, block_lanes); }
  static void run_row(const Row& row) { run_any(row); }
};

constexpr std::string_view name_3x3 = "u8s8_depthwise3x3_perchannel_onnx_1x16__avx2";
constexpr std::string_view name_any = "u8s8_depthwise_perchannel_onnx_1x16__avx2";

constexpr std::array<ConvKernel, 2> rows = {{
    {name_3x3, Isa::avx2,
     [](const ConvParams& params) {
       return well_formed(params) && is_depthwise_3x3(params.geometry);
     },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<Backend3x3>>(params, name_3x3);
     }},
    {name_any, Isa::avx2,
     [](const ConvParams& params) { return well_formed(params) && is_depthwise(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<BackendAny>>(params, name_any);
     }},
}};

}  // namespace

std::span<const ConvKernel> depthwise_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

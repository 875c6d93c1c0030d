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

  /// Two registers in pack order, to output pixel `x`.
  OCTET_AVX2 void store(__m256i first, __m256i second, std::int64_t x) const {
    const std::int64_t at = x * row_.output_stride;
    if (codes_) {
      avx2::store(static_cast<std::uint8_t*>(row_.output) + at,
                  avx2::requantize16(first, second, row_.multiplier, tail_), row_.channels);
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
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    __m256i first = avx2::load(row.bias);
    __m256i second = avx2::load(row.bias + 8);
    const std::int16_t* weights = row.weights;
    const std::uint8_t* const* taps = row.taps;
    for (int group = 0; group < row.tap_groups; ++group) {
      const __m256i a = widen16(taps[0] + x * step);
      const __m256i b = widen16(taps[1] + x * step);
      avx2::dot2(first, _mm256_unpacklo_epi16(a, b), avx2::load(weights));
      avx2::dot2(second, _mm256_unpackhi_epi16(a, b), avx2::load(weights + 16));
      weights += 32;
      taps += 2;
    }
    output.store(first, second, x);
  }
}

/// One input column of 3 rows: rows 0 and 1 in pairs, row 2 with zeros.
struct Column {
  __m256i pair_low, pair_high, last_low, last_high;
};

/// Tap slots 0, 1 and 2 are the rows at the leftmost column.
OCTET_AVX2 inline Column load_column(const Row& row, std::int64_t column) {
  const std::int64_t at = column * row.pixel_stride;
  const __m256i a = widen16(row.taps[0] + at);
  const __m256i b = widen16(row.taps[1] + at);
  const __m256i c = widen16(row.taps[2] + at);
  const __m256i zero = _mm256_setzero_si256();
  return {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b), _mm256_unpacklo_epi16(c, zero),
          _mm256_unpackhi_epi16(c, zero)};
}

OCTET_AVX2 inline void accumulate(__m256i& first, __m256i& second, const Column& column,
                                  const std::int16_t* weights) {
  avx2::dot2(first, column.pair_low, avx2::load(weights));
  avx2::dot2(second, column.pair_high, avx2::load(weights + 16));
  avx2::dot2(first, column.last_low, avx2::load(weights + 32));
  avx2::dot2(second, column.last_high, avx2::load(weights + 48));
}

/// Each interleaved column serves all output pixels that read it.
template <int stride>
OCTET_AVX2 void run_3x3(const Row& shared) {
  const Row row = shared;
  const Output output(row);
  Column left;
  Column middle{};
  Column right = load_column(row, 0);
  if constexpr (stride == 1) {
    middle = right;
    right = load_column(row, 1);
  }
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    left = stride == 1 ? middle : right;
    middle = stride == 1 ? right : load_column(row, 2 * x + 1);
    right = load_column(row, stride * x + 2);
    __m256i first = avx2::load(row.bias);
    __m256i second = avx2::load(row.bias + 8);
    accumulate(first, second, left, row.weights);
    accumulate(first, second, middle, row.weights + 64);
    accumulate(first, second, right, row.weights + 128);
    output.store(first, second, x);
  }
}

constexpr int block_lanes = 16;

struct Backend {
  using Weight = std::int16_t;
  static constexpr LaneOrder order{8, 2, 2, pack_order};
  static constexpr int vectors = 2;
};

struct Backend3x3 : Backend {
  /// Two groups are a column.
  static std::vector<int> taps(const ConvGeometry& /*geometry*/) {
    return {0, 3, 6, -1, 1, 4, 7, -1, 2, 5, 8, -1};
  }
  static int repeat(const ConvGeometry& /*geometry*/) { return 1; }
  static void run_row(const Row& row) { row.stride == 1 ? run_3x3<1>(row) : run_3x3<2>(row); }
};

struct BackendAny : Backend {
  static std::vector<int> taps(const ConvGeometry& geometry) { return taps_in_order(geometry, 2); }
  static int repeat(const ConvGeometry& geometry) {
    return pixels_as_one(geometry, block_lanes, is_depthwise_3x3(geometry));
  }
  static void run_row(const Row& row) { run_any(row); }
};

constexpr std::string_view name_3x3 = "u8s8_depthwise3x3_perchannel_onnx_1x16__avx2";
constexpr std::string_view name_any = "u8s8_depthwise_perchannel_onnx_1x16__avx2";

constexpr std::array<ConvKernel, 2> rows = {{
    {name_3x3, Isa::avx2,
     [](const ConvParams& params) {
       return well_formed(params) && is_depthwise_3x3(params.geometry) &&
              BackendAny::repeat(params.geometry) == 1;
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

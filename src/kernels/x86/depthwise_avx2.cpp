// Depthwise kernels for AVX2: taps taken in pairs, widened to 16 bits and interleaved for vpmaddwd;
// 3x3 for 8 channels of two output rows at a time, others for 16 channels of one.

#if defined(__x86_64__)

#include <array>

#include "kernels/x86/avx2.h"
#include "kernels/x86/depthwise_conv.h"
#include "kernels/x86/kernel_rows.h"

namespace octet::kernels {
namespace {

using Row = DepthwiseRow<std::int16_t>;
constexpr int row_weights = 12 * 8;  ///< of a 3x3 kernel for one output row

OCTET_AVX2 inline __m256i widen16(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

/// From pack order to plain order: the 128-bit parts lie crosswise.
OCTET_AVX2 inline avx2::Numbers plain_numbers(const Row& row) {
  avx2::Numbers numbers = avx2::make_numbers<2>(row);
  for (auto* values : {numbers.multiplier, numbers.bias}) {
    const __m256 first = values[0];
    values[0] = _mm256_permute2f128_ps(first, values[1], 0x20);
    values[1] = _mm256_permute2f128_ps(first, values[1], 0x31);
  }
  return numbers;
}

/// Codes or numbers of 16 channels of an output row.
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
      const __m256i plain[2] = {_mm256_permute2x128_si256(first, second, 0x20),
                                _mm256_permute2x128_si256(first, second, 0x31)};
      avx2::store_numbers(numbers_, plain, row_.output, at);
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

/// Nearly all blocks of nearly all layers: they need no tests for each pixel.
bool is_whole(const Row& row) {
  return row.requantize.output == ConvOutput::codes && row.requantize.saturating &&
         row.channels == 8 && row.rows == 2;
}

/// Codes or numbers of 8 channels of one or two output rows.
class Output8 {
 public:
  OCTET_AVX2 explicit Output8(const Row& row)
      : row_(row),
        tail_(avx2::make_tail(row.requantize)),
        codes_(row.requantize.output == ConvOutput::codes),
        numbers_(codes_ ? avx2::Numbers{} : avx2::make_numbers<1>(row)) {}

  /// A register in plain order for each row, to elements `at` and on of the row. `whole`: 8
  /// saturating codes of two rows, as is_whole says.
  template <bool whole>
  OCTET_AVX2 void store(__m256i first, __m256i second, std::int64_t at) const {
    if (!whole && !codes_) return store_numbers(first, second, at);
    const __m128i codes = whole || row_.requantize.saturating
                              ? avx2::requantize8x2<true>(first, second, row_.multiplier, tail_)
                              : avx2::requantize8x2<false>(first, second, row_.multiplier, tail_);
    auto* output = static_cast<std::uint8_t*>(row_.output) + at;
    auto* below = output + row_.output_row_stride;
    const bool two_rows = whole || row_.rows == 2;
    if (whole || row_.channels == 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(output), codes);
      if (two_rows) _mm_storeh_pi(reinterpret_cast<__m64*>(below), _mm_castsi128_ps(codes));
      return;
    }
    avx2::store(output, codes, row_.channels);
    if (two_rows) avx2::store(below, _mm_unpackhi_epi64(codes, codes), row_.channels);
  }

 private:
  OCTET_AVX2 void store_numbers(__m256i first, __m256i second, std::int64_t at) const {
    const __m256i sums[2][1] = {{first}, {second}};
    for (int r = 0; r < row_.rows; ++r) {
      avx2::store_numbers(numbers_, sums[r], row_.output, at + r * row_.output_row_stride);
    }
  }

  Row row_;  // stores to the output cannot change a copy
  avx2::Tail tail_;
  bool codes_;
  avx2::Numbers numbers_;
};

OCTET_AVX2 inline __m256i widen8(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

/// 8 channels of two input rows, widened and side by side. Zen widens from memory three times as
/// fast as from a register.
OCTET_AVX2 inline __m256i load_pair(const std::uint8_t* above, const std::uint8_t* below) {
  return _mm256_or_si256(widen8(above), _mm256_slli_epi32(widen8(below), 16));
}

/// One input column of the taps' rows in pairs: 0 and 1, 2 and 3; with a stride of 2 also row 4 and
/// zeros.
template <bool strided>
struct Column {
  __m256i pairs[strided ? 3 : 2];
};

/// The rows that `taps` of a Row point to: stores of codes cannot change a copy.
template <bool strided>
struct InputRows {
  OCTET_AVX2 explicit InputRows(const std::uint8_t* const* taps) {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = taps[i];
  }
  std::array<const std::uint8_t*, strided ? 5 : 4> rows;
};

template <bool strided>
OCTET_AVX2 inline Column<strided> load_column(const InputRows<strided>& input, std::int64_t at) {
  Column<strided> column;
  column.pairs[0] = load_pair(input.rows[0] + at, input.rows[1] + at);
  column.pairs[1] = load_pair(input.rows[2] + at, input.rows[3] + at);
  if constexpr (strided) {
    column.pairs[2] = widen8(input.rows[4] + at);
  }
  return column;
}

/// Adds one column of the kernel to the sums of both output rows. With a stride of 2 the second has
/// the weights of the first, one pair further down.
template <bool strided>
OCTET_AVX2 inline void accumulate(__m256i& first, __m256i& second, const Column<strided>& column,
                                  const std::int16_t* weights) {
  avx2::dot2(first, column.pairs[0], avx2::load(weights));
  avx2::dot2(first, column.pairs[1], avx2::load(weights + 16));
  if constexpr (strided) {
    avx2::dot2(second, column.pairs[1], avx2::load(weights));
    avx2::dot2(second, column.pairs[2], avx2::load(weights + 16));
  } else {
    avx2::dot2(second, column.pairs[0], avx2::load(weights + row_weights));
    avx2::dot2(second, column.pairs[1], avx2::load(weights + row_weights + 16));
  }
}

/// 3x3. `fresh`: columns that the output pixel before did not read, 1 or 2 by the stride, 3 where
/// several pixels count as one. An interleaved column also serves both output rows.
template <int fresh, bool whole>
OCTET_AVX2 void run_3x3(const Row& shared) {
  const Row row = shared;
  const Output8 output(row);
  constexpr bool strided = fresh == 2;
  const InputRows<strided> input(row.taps);
  const __m256i bias = avx2::load(row.bias);
  const std::int64_t step = row.column_stride;
  std::int64_t from = row.offset;
  Column<strided> left{};
  Column<strided> middle{};
  Column<strided> right{};
  if constexpr (fresh == 1) middle = load_column<strided>(input, from);
  if constexpr (fresh < 3) right = load_column<strided>(input, from + (fresh == 1 ? step : 0));
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    if constexpr (fresh == 1) {
      left = middle;
      middle = right;
    } else {
      left = fresh == 2 ? right : load_column<strided>(input, from);
      middle = load_column<strided>(input, from + step);
    }
    right = load_column<strided>(input, from + 2 * step);
    __m256i first = bias;
    __m256i second = bias;
    accumulate<strided>(first, second, left, row.weights);
    accumulate<strided>(first, second, middle, row.weights + 32);
    accumulate<strided>(first, second, right, row.weights + 64);
    output.template store<whole>(first, second, x * row.output_stride);
    from += row.stride * row.pixel_stride;
  }
}

struct Backend3x3 {
  using Weight = std::int16_t;
  static constexpr LaneOrder order{8, 2, 1, plain_order8};
  static constexpr int vectors = 1;
  static std::vector<int> slots(const ConvGeometry& /*geometry*/) { return column_slots(); }
  static std::vector<int> taps(const ConvGeometry& /*geometry*/) { return column_taps(); }
  static int rows(const ConvGeometry& geometry) { return rows_together(geometry, 2); }
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, 8); }
  static void run_row(const Row& row) { is_whole(row) ? run<true>(row) : run<false>(row); }

 private:
  template <bool whole>
  static void run(const Row& row) {
    if (row.pixel_stride != row.column_stride) return run_3x3<3, whole>(row);
    row.stride == 1 ? run_3x3<1, whole>(row) : run_3x3<2, whole>(row);
  }
};

struct BackendAny {
  using Weight = std::int16_t;
  static constexpr LaneOrder order{8, 2, 2, pack_order};
  static constexpr int vectors = 2;
  static std::vector<int> slots(const ConvGeometry& geometry) { return taps_in_order(geometry, 2); }
  static std::vector<int> taps(const ConvGeometry& geometry) { return slots(geometry); }
  static int rows(const ConvGeometry& /*geometry*/) { return 1; }
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, 16); }
  static void run_row(const Row& row) { run_any(row); }
};

constexpr std::string_view name_3x3 = "u8s8_depthwise3x3_perchannel_onnx_2x8__avx2";
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

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

/// `groups` is the number of tap pairs where it is known when compiling, else 0.
template <int groups>
OCTET_AVX2 void run_row(const Row& row) {
  const avx2::Tail tail = avx2::make_tail(row.requantize);
  const bool codes = row.requantize.output == ConvOutput::codes;
  const avx2::Numbers numbers = codes ? avx2::Numbers{} : plain_numbers(row);
  const int tap_groups = groups > 0 ? groups : row.tap_groups;
  const std::int64_t step = row.pixel_stride * row.stride;
  std::int64_t at = 0;
  for (std::int64_t x = 0; x < row.pixels; ++x) {
    __m256i first = avx2::load(row.bias);
    __m256i second = avx2::load(row.bias + 8);
    const std::int16_t* weights = row.weights;
    const std::uint8_t* const* taps = row.taps;
    for (int group = 0; group < tap_groups; ++group) {
      const __m256i a = widen16(taps[0] + x * step);
      const __m256i b = widen16(taps[1] + x * step);
      avx2::dot2(first, _mm256_unpacklo_epi16(a, b), avx2::load(weights));
      avx2::dot2(second, _mm256_unpackhi_epi16(a, b), avx2::load(weights + 16));
      weights += 32;
      taps += 2;
    }
    if (codes) {
      avx2::store(static_cast<std::uint8_t*>(row.output) + at,
                  avx2::requantize16(first, second, row.multiplier, tail), row.channels);
    } else {
      avx2::store_numbers(numbers, _mm256_permute2x128_si256(first, second, 0x20),
                          _mm256_permute2x128_si256(first, second, 0x31), row.output, at);
    }
    at += row.output_stride;
  }
}

struct Backend {
  using Weight = std::int16_t;
  static constexpr LaneOrder order{8, 2, 2, pack_order};
  static constexpr int vectors = 2;
  static std::vector<int> taps(const ConvGeometry& geometry) { return taps_in_order(geometry, 2); }
  static int repeat(const ConvGeometry& geometry) { return pixels_as_one(geometry, 16, false); }
  static void run_row(const Row& row) {
    row.tap_groups == 5 ? kernels::run_row<5>(row) : kernels::run_row<0>(row);
  }
};

constexpr std::string_view name_any = "u8s8_depthwise_perchannel_onnx_1x16__avx2";

constexpr std::array<ConvKernel, 1> rows = {{
    {name_any, Isa::avx2,
     [](const ConvParams& params) { return well_formed(params) && is_depthwise(params.geometry); },
     [](const ConvParams& params) -> std::unique_ptr<Conv> {
       return std::make_unique<DepthwiseConv<Backend>>(params, name_any);
     }},
}};

}  // namespace

std::span<const ConvKernel> depthwise_kernels_avx2() { return rows; }

}  // namespace octet::kernels

#endif

// Windows of pools, 32 channels at a time, or 16, 8, 4 and 1. The last vector of a pixel begins
// early enough to be whole: some of its channels are computed twice, to the same codes.

#if defined(__x86_64__)

#include <algorithm>

#include "kernels/x86/avx2.h"
#include "kernels/x86/x86_pool.h"

namespace octet::kernels {
namespace {

/// Calls fn(pixel) for each pixel. Not for vectors: a lambda has no target attribute.
template <class Fn>
void for_each_pixel(const PoolWindow& w, std::int64_t channel, Fn fn) {
  const std::uint8_t* row = w.first + channel;
  for (std::int64_t y = 0; y < w.rows; ++y, row += w.row_stride) {
    const std::uint8_t* pixel = row;
    for (std::int64_t x = 0; x < w.columns; ++x, pixel += w.column_stride) fn(pixel);
  }
}

OCTET_AVX2 inline __m128i load16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
OCTET_AVX2 inline __m128i load8(const std::uint8_t* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}
OCTET_AVX2 inline __m128i load4(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm_cvtsi32_si128(word);
}

/// 32 channels a vector.
template <int vectors>
OCTET_AVX2 void maximum_wide(const PoolWindow& w, std::uint8_t lowest, std::int64_t channel,
                             std::uint8_t* output) {
  __m256i largest[vectors];
  for (auto& vector : largest) vector = _mm256_set1_epi8(static_cast<char>(lowest));
  const std::uint8_t* row = w.first + channel;
  for (std::int64_t y = 0; y < w.rows; ++y, row += w.row_stride) {
    const std::uint8_t* pixel = row;
    for (std::int64_t x = 0; x < w.columns; ++x, pixel += w.column_stride) {
      OCTET_UNROLL
      for (int v = 0; v < vectors; ++v) {
        largest[v] = _mm256_max_epu8(largest[v], avx2::load(pixel + 32 * v));
      }
    }
  }
  OCTET_UNROLL
  for (int v = 0; v < vectors; ++v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + channel + 32 * v), largest[v]);
  }
}

/// `lanes` (16, 8 or 4) channels.
template <int lanes>
OCTET_AVX2 void maximum_narrow(const PoolWindow& w, std::uint8_t lowest, std::int64_t channel,
                               std::uint8_t* output) {
  __m128i largest = _mm_set1_epi8(static_cast<char>(lowest));
  const std::uint8_t* row = w.first + channel;
  for (std::int64_t y = 0; y < w.rows; ++y, row += w.row_stride) {
    const std::uint8_t* pixel = row;
    for (std::int64_t x = 0; x < w.columns; ++x, pixel += w.column_stride) {
      const __m128i codes = lanes == 16 ? load16(pixel) : lanes == 8 ? load8(pixel) : load4(pixel);
      largest = _mm_max_epu8(largest, codes);
    }
  }
  alignas(16) std::uint8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), largest);
  std::memcpy(output + channel, all, lanes);
}

/// Of codes side by side.
OCTET_AVX2 std::uint8_t largest_of_run(const std::uint8_t* codes, std::int64_t count) {
  __m256i largest = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) largest = _mm256_max_epu8(largest, avx2::load(codes + i));
  alignas(32) std::uint8_t all[32];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), largest);
  std::uint8_t result = *std::max_element(all, all + 32);
  for (; i < count; ++i) result = std::max(result, codes[i]);
  return result;
}

void maximum(const PoolWindow& w, std::uint8_t lowest, std::int64_t channels,
             std::uint8_t* output) {
  if (channels >= 32) {
    std::int64_t c = 0;
    for (; c + 128 <= channels; c += 128) maximum_wide<4>(w, lowest, c, output);
    for (; c + 64 <= channels; c += 64) maximum_wide<2>(w, lowest, c, output);
    for (; c < channels; c += 32) {
      maximum_wide<1>(w, lowest, std::min(c, channels - 32), output);
    }
  } else if (channels >= 16) {
    maximum_narrow<16>(w, lowest, 0, output);
    maximum_narrow<16>(w, lowest, channels - 16, output);
  } else if (channels >= 8) {
    maximum_narrow<8>(w, lowest, 0, output);
    maximum_narrow<8>(w, lowest, channels - 8, output);
  } else if (channels >= 4) {
    maximum_narrow<4>(w, lowest, 0, output);
    maximum_narrow<4>(w, lowest, channels - 4, output);
  } else if (channels == 1 && w.column_stride == 1) {
    output[0] = lowest;
    for (std::int64_t y = 0; y < w.rows; ++y) {
      output[0] = std::max(output[0], largest_of_run(w.first + y * w.row_stride, w.columns));
    }
  } else {
    for (std::int64_t c = 0; c < channels; ++c) {
      std::uint8_t largest = lowest;
      for_each_pixel(w, c, [&](const std::uint8_t* pixel) { largest = std::max(largest, *pixel); });
      output[c] = largest;
    }
  }
}

OCTET_AVX2 inline void add_words(__m128i words, std::int32_t* sums) {
  auto* at = reinterpret_cast<__m256i*>(sums);
  _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepu16_epi32(words)));
}
OCTET_AVX2 inline void add_words(__m256i words, std::int32_t* sums) {
  add_words(_mm256_castsi256_si128(words), sums);
  add_words(_mm256_extracti128_si256(words, 1), sums + 8);
}

/// 16 or 32 channels.
template <int vectors>
OCTET_AVX2 void sum_vectors(const PoolWindow& w, std::int64_t channel, std::int32_t* sums) {
  constexpr int room = 257;  // 257 * 255 = 65535
  const auto zero = _mm256_setzero_si256();
  __m256i words[2] = {zero, zero};
  int left = room;
  const std::uint8_t* row = w.first + channel;
  for (std::int64_t y = 0; y < w.rows; ++y, row += w.row_stride) {
    const std::uint8_t* pixel = row;
    for (std::int64_t x = 0; x < w.columns; ++x, pixel += w.column_stride) {
      for (int v = 0; v < vectors; ++v) {
        words[v] = _mm256_add_epi16(words[v], _mm256_cvtepu8_epi16(load16(pixel + 16 * v)));
      }
      if (--left > 0) continue;
      for (int v = 0; v < vectors; ++v) {
        add_words(words[v], sums + channel + 16 * v);
        words[v] = zero;
      }
      left = room;
    }
  }
  for (int v = 0; v < vectors; ++v) add_words(words[v], sums + channel + 16 * v);
}

OCTET_AVX2 std::int64_t sum_of_run(const std::uint8_t* codes, std::int64_t count) {
  __m256i sums = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(avx2::load(codes + i), _mm256_setzero_si256()));
  }
  alignas(32) std::int64_t all[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), sums);
  std::int64_t sum = all[0] + all[1] + all[2] + all[3];
  for (; i < count; ++i) sum += codes[i];
  return sum;
}

void sum(const PoolWindow& w, std::int64_t channels, std::int32_t* sums) {
  if (channels == 1 && w.column_stride == 1) {
    std::int64_t total = 0;
    for (std::int64_t y = 0; y < w.rows; ++y) {
      total += sum_of_run(w.first + y * w.row_stride, w.columns);
    }
    sums[0] += static_cast<std::int32_t>(total);
    return;
  }
  std::int64_t c = 0;
  for (; c + 32 <= channels; c += 32) sum_vectors<2>(w, c, sums);
  for (; c + 16 <= channels; c += 16) sum_vectors<1>(w, c, sums);
  for (; c < channels; ++c) {
    for_each_pixel(w, c, [&](const std::uint8_t* pixel) { sums[c] += *pixel; });
  }
}

}  // namespace

const PoolKernels* x86_pool_kernels(Isa isa) {
  static constexpr PoolKernels avx2{maximum, sum};
  return isa >= Isa::avx2 && isa_available(Isa::avx2) ? &avx2 : nullptr;
}

}  // namespace octet::kernels

#endif

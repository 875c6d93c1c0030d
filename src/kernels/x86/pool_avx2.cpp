// Windows of pools, 32 channels at a time, or 16, 8, 4 and 1. The last vector of a pixel begins
// early enough to be whole: some of its channels are computed twice, to the same codes.

#if defined(__x86_64__)

#include <algorithm>

#include "kernels/x86/avx2.h"
#include "kernels/x86/x86_pool.h"

namespace octet::kernels {
namespace {

OCTET_AVX2 inline __m128i load16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

/// Codes of 32 * vectors channels.
template <int vectors>
struct Wide {
  static constexpr std::int64_t channels = 32 * vectors;
  __m256i codes[vectors];

  OCTET_AVX2 static Wide all(std::uint8_t code) {
    Wide result;
    for (auto& vector : result.codes) vector = _mm256_set1_epi8(static_cast<char>(code));
    return result;
  }
  OCTET_AVX2 void raise(const std::uint8_t* from) {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) {
      codes[v] = _mm256_max_epu8(codes[v], avx2::load(from + 32 * v));
    }
  }
  OCTET_AVX2 void store(std::uint8_t* to) const {
    OCTET_UNROLL
    for (int v = 0; v < vectors; ++v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32 * v), codes[v]);
    }
  }
};

/// Codes of 16, 8 or 4 channels.
template <int lanes>
struct Narrow {
  static constexpr std::int64_t channels = lanes;
  __m128i codes;

  OCTET_AVX2 static Narrow all(std::uint8_t code) {
    return {_mm_set1_epi8(static_cast<char>(code))};
  }
  OCTET_AVX2 void raise(const std::uint8_t* from) {
    if constexpr (lanes == 16) {
      codes = _mm_max_epu8(codes, load16(from));
    } else if constexpr (lanes == 8) {
      codes = _mm_max_epu8(codes, _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    } else {
      std::int32_t word;
      std::memcpy(&word, from, sizeof word);
      codes = _mm_max_epu8(codes, _mm_cvtsi32_si128(word));
    }
  }
  OCTET_AVX2 void store(std::uint8_t* to) const {
    if constexpr (lanes == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    } else if constexpr (lanes == 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), codes);
    } else {
      const std::int32_t word = _mm_cvtsi128_si32(codes);
      std::memcpy(to, &word, sizeof word);
    }
  }
};

/// What one call computes, but for the channels.
struct MaximumRun {
  const WindowRun& windows;
  std::uint8_t lowest;
  std::int64_t output_stride;
};

/// The channels of `Codes` from `channel` on. `rows` x `columns` is the window where it is known
/// when this is compiled, else 0 x 0.
template <class Codes, int rows, int columns>
OCTET_AVX2 void maximum_of(const MaximumRun& run, std::int64_t channel, std::uint8_t* output) {
  const PoolWindow& w = run.windows.first;
  const std::int64_t height = rows > 0 ? rows : w.rows;
  const std::int64_t width = columns > 0 ? columns : w.columns;
  const std::uint8_t* first = w.first + channel;
  output += channel;
  for (std::int64_t i = 0; i < run.windows.count; ++i) {
    Codes largest = Codes::all(run.lowest);
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        largest.raise(first + y * w.row_stride + x * w.column_stride);
      }
    }
    largest.store(output);
    first += run.windows.stride;
    output += run.output_stride;
  }
}

template <class Codes>
void maximum_channels(const MaximumRun& run, std::int64_t channel, std::uint8_t* output) {
  const PoolWindow& w = run.windows.first;
  if (w.rows == 2 && w.columns == 2) return maximum_of<Codes, 2, 2>(run, channel, output);
  if (w.rows == 3 && w.columns == 3) return maximum_of<Codes, 3, 3>(run, channel, output);
  maximum_of<Codes, 0, 0>(run, channel, output);
}

/// Channels that one vector holds only in part: two that overlap.
template <class Codes>
void maximum_twice(const MaximumRun& run, std::int64_t channels, std::uint8_t* output) {
  maximum_channels<Codes>(run, 0, output);
  if (channels > Codes::channels) {
    maximum_channels<Codes>(run, channels - Codes::channels, output);
  }
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

void maximum(const WindowRun& windows, std::uint8_t lowest, std::int64_t channels,
             std::uint8_t* output) {
  const MaximumRun run{windows, lowest, channels};
  const PoolWindow& w = windows.first;
  if (channels >= 32) {
    std::int64_t c = 0;
    for (; c + 128 <= channels; c += 128) maximum_channels<Wide<4>>(run, c, output);
    for (; c + 64 <= channels; c += 64) maximum_channels<Wide<2>>(run, c, output);
    for (; c < channels; c += 32) {
      maximum_channels<Wide<1>>(run, std::min(c, channels - 32), output);
    }
  } else if (channels >= 16) {
    maximum_twice<Narrow<16>>(run, channels, output);
  } else if (channels >= 8) {
    maximum_twice<Narrow<8>>(run, channels, output);
  } else if (channels >= 4) {
    maximum_twice<Narrow<4>>(run, channels, output);
  } else if (channels == 1 && windows.count == 1 && w.column_stride == 1) {
    output[0] = lowest;
    for (std::int64_t y = 0; y < w.rows; ++y) {
      output[0] = std::max(output[0], largest_of_run(w.first + y * w.row_stride, w.columns));
    }
  } else {
    largest_pixels(windows, lowest, channels, output);
  }
}

OCTET_AVX2 inline void add_words(__m128i words, std::uint32_t* sums) {
  auto* at = reinterpret_cast<__m256i*>(sums);
  _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepu16_epi32(words)));
}
OCTET_AVX2 inline void add_words(__m256i words, std::uint32_t* sums) {
  add_words(_mm256_castsi256_si128(words), sums);
  add_words(_mm256_extracti128_si256(words, 1), sums + 8);
}

/// 16 or 32 channels.
template <int vectors>
OCTET_AVX2 void sum_vectors(const PoolWindow& w, std::int64_t channel, std::uint32_t* sums) {
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

void sum(const PoolWindow& w, std::int64_t channels, std::uint32_t* sums) {
  if (channels == 1 && w.column_stride == 1) {
    for (std::int64_t y = 0; y < w.rows; ++y) {
      sums[0] += static_cast<std::uint32_t>(sum_of_run(w.first + y * w.row_stride, w.columns));
    }
    return;
  }
  std::int64_t c = 0;
  for (; c + 32 <= channels; c += 32) sum_vectors<2>(w, c, sums);
  for (; c + 16 <= channels; c += 16) sum_vectors<1>(w, c, sums);
  PoolWindow rest = w;
  rest.first += c;
  add_pixels(rest, channels - c, sums + c);
}

}  // namespace

const PoolKernels* x86_pool_kernels(Isa isa) {
  static constexpr PoolKernels avx2{maximum, sum};
  return isa >= Isa::avx2 && isa_available(Isa::avx2) ? &avx2 : nullptr;
}

}  // namespace octet::kernels

#endif

#include "kernels/copy.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>

#include "kernels/x86/x86_elementwise.h"
#endif

namespace octet::kernels {
namespace {

constexpr std::int64_t tile = 16;

/// Rows and columns of a matrix of bytes to copy to its transpose.
struct Transposed {
  std::int64_t in_stride;   ///< from one row of the input to the next; its columns are dense
  std::int64_t out_stride;  ///< from one column of the input to the next in the output
};

/// rows x columns, each at most `tile`.
void transpose_some(const Transposed& t, const std::uint8_t* input, std::uint8_t* output,
                    std::int64_t rows, std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) {
      output[c * t.out_stride + r] = input[r * t.in_stride + c];
    }
  }
}

#if defined(__x86_64__)
/// 16 x 16 in registers (SSE2, which every x86-64 has): four rounds that interleave row i with row
/// i + 8.
void transpose_tile(const Transposed& t, const std::uint8_t* input, std::uint8_t* output) {
  __m128i rows[tile];
  __m128i next[tile];
  for (std::int64_t r = 0; r < tile; ++r) {
    rows[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(input + r * t.in_stride));
  }
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    }
    std::memcpy(rows, next, sizeof rows);
  }
  for (std::int64_t c = 0; c < tile; ++c) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + c * t.out_stride), rows[c]);
  }
}
#else
void transpose_tile(const Transposed& t, const std::uint8_t* input, std::uint8_t* output) {
  transpose_some(t, input, output, tile, tile);
}
#endif

void transpose(const Transposed& t, const std::uint8_t* input, std::uint8_t* output,
               std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; r += tile) {
    for (std::int64_t c = 0; c < columns; c += tile) {
      const std::uint8_t* from = input + r * t.in_stride + c;
      std::uint8_t* to = output + c * t.out_stride + r;
      if (r + tile <= rows && c + tile <= columns) {
        transpose_tile(t, from, to);
      } else {
        transpose_some(t, from, to, std::min(rows - r, tile), std::min(columns - c, tile));
      }
    }
  }
}

/// Runs of `bytes`, one copy each; a constant size spares the call of memcpy.
template <std::size_t bytes>
void copy_runs(const std::uint8_t* input, std::int64_t in_stride, std::uint8_t* output,
               std::int64_t out_stride, std::int64_t runs) {
  for (std::int64_t i = 0; i < runs; ++i) {
    std::memcpy(output, input, bytes);
    input += in_stride;
    output += out_stride;
  }
}

/// The same of any size from `vector` to twice that: its beginning and its end, which may overlap.
template <std::size_t vector>
void copy_runs_up_to_twice(std::size_t bytes, const std::uint8_t* input, std::int64_t in_stride,
                           std::uint8_t* output, std::int64_t out_stride, std::int64_t runs) {
  const std::size_t rest = bytes - vector;
  for (std::int64_t i = 0; i < runs; ++i) {
    std::uint8_t first[vector];
    std::uint8_t last[vector];
    std::memcpy(first, input, vector);
    std::memcpy(last, input + rest, vector);
    std::memcpy(output, first, vector);
    std::memcpy(output + rest, last, vector);
    input += in_stride;
    output += out_stride;
  }
}

/// Dense runs of `bytes` at even distances.
void copy_dense_runs(std::int64_t bytes, const std::uint8_t* input, std::int64_t in_stride,
                     std::uint8_t* output, std::int64_t out_stride, std::int64_t runs) {
  const auto size = static_cast<std::size_t>(bytes);
  if (size == 0) return;
  if (size == 1) return copy_runs<1>(input, in_stride, output, out_stride, runs);
  if (size == 2) return copy_runs<2>(input, in_stride, output, out_stride, runs);
  if (size == 3) return copy_runs<3>(input, in_stride, output, out_stride, runs);
  if (size <= 8) {
    return copy_runs_up_to_twice<4>(size, input, in_stride, output, out_stride, runs);
  }
  if (size <= 16) {
    return copy_runs_up_to_twice<8>(size, input, in_stride, output, out_stride, runs);
  }
  if (size <= 32) {
    return copy_runs_up_to_twice<16>(size, input, in_stride, output, out_stride, runs);
  }
  if (size <= 64) {
    return copy_runs_up_to_twice<32>(size, input, in_stride, output, out_stride, runs);
  }
  for (std::int64_t i = 0; i < runs; ++i) {
    std::memcpy(output + i * out_stride, input + i * in_stride, size);
  }
}

void copy_from(const StridedCopy& copy, std::size_t axis, const std::uint8_t* input,
               std::uint8_t* output) {
  const std::int64_t extent = copy.extent[axis];
  const std::int64_t in_stride = copy.in_stride[axis];
  const std::int64_t out_stride = copy.out_stride[axis];
  const std::size_t left = copy.extent.size() - axis;
  if (left == 2 && in_stride == 1 && copy.out_stride[axis + 1] == 1) {
    const Transposed t{copy.in_stride[axis + 1], out_stride};
    transpose(t, input, output, copy.extent[axis + 1], extent);
    return;
  }
  if (left == 2 && copy.in_stride[axis + 1] == 1 && copy.out_stride[axis + 1] == 1) {
    copy_dense_runs(copy.extent[axis + 1], input, in_stride, output, out_stride, extent);
    return;
  }
  if (left > 1) {
    for (std::int64_t i = 0; i < extent; ++i) {
      copy_from(copy, axis + 1, input + i * in_stride, output + i * out_stride);
    }
    return;
  }
  if (in_stride == 1 && out_stride == 1) {
    if (extent > 0) std::memcpy(output, input, static_cast<std::size_t>(extent));
    return;
  }
  for (std::int64_t i = 0; i < extent; ++i) output[i * out_stride] = input[i * in_stride];
}

}  // namespace

StridedCopy simplified(const StridedCopy& copy) {
  StridedCopy result;
  for (std::size_t d = 0; d < copy.extent.size(); ++d) {
    const std::int64_t extent = copy.extent[d];
    if (extent == 1) continue;
    if (!result.extent.empty() && result.in_stride.back() == copy.in_stride[d] * extent &&
        result.out_stride.back() == copy.out_stride[d] * extent) {
      result.extent.back() *= extent;
      result.in_stride.back() = copy.in_stride[d];
      result.out_stride.back() = copy.out_stride[d];
      continue;
    }
    result.extent.push_back(extent);
    result.in_stride.push_back(copy.in_stride[d]);
    result.out_stride.push_back(copy.out_stride[d]);
  }
  return result;
}

void copy_strided(const StridedCopy& copy, const std::uint8_t* input, std::uint8_t* output) {
  if (copy.extent.empty()) {
    *output = *input;
    return;
  }
  copy_from(copy, 0, input, output);
}

void interleave_planes(const std::uint8_t* planes, std::int64_t plane_stride, std::int64_t channels,
                       std::int64_t pixels, std::uint8_t* output) {
  if (channels == 1) {
    if (pixels > 0) std::memcpy(output, planes, static_cast<std::size_t>(pixels));
    return;
  }
#if defined(__x86_64__)
  const auto* vector = x86_elementwise_kernels(default_isa());
  if (channels == 3 && vector != nullptr) {
    return vector->interleave3(planes, plane_stride, pixels, output);
  }
#endif
  transpose({plane_stride, channels}, planes, output, channels, pixels);
}

}  // namespace octet::kernels

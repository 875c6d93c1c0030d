// Softmax and LogSoftmax along any axis.

#include <array>
#include <cmath>
#include <limits>

#include "engine/float/blocks.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

/// One line of neighbours: exp(x - max) / sum, or x - max - log(sum).
void softmax_line(const float* x, float* out, std::int64_t count, bool logarithmic) {
  const float largest = loops::largest(x, count);
  loops::exponential_of_difference(x, largest, out, count);
  const double sum = loops::sum(out, count);
  if (logarithmic) {
    loops::normalize(x, largest, 1.0F, static_cast<float>(-std::log(sum)), out, count);
    return;
  }
  loops::divide_by(out, static_cast<float>(sum), count);
}

/// `width` lines beside each other, whose elements lie `inner` apart.
void softmax_lines(const float* x, float* out, std::int64_t count, std::int64_t inner,
                   std::int64_t width, bool logarithmic) {
  const auto columns = static_cast<std::size_t>(width);
  std::vector<float> largest(columns, -std::numeric_limits<float>::infinity());
  std::vector<float> shifted(columns);
  std::vector<double> sums(columns, 0.0);
  for (std::int64_t i = 0; i < count; ++i) {
    loops::maximum_into(largest.data(), x + i * inner, width);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    float* row = out + i * inner;
    loops::subtract(x + i * inner, 1, largest.data(), 1, shifted.data(), width);
    loops::exponential(shifted.data(), row, width, 0, 0);
    loops::add_into_double(sums.data(), row, width);
  }
  std::vector<float> totals(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    totals[c] = static_cast<float>(logarithmic ? std::log(sums[c]) : sums[c]);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    float* row = out + i * inner;
    if (logarithmic) {
      loops::subtract(x + i * inner, 1, largest.data(), 1, shifted.data(), width);
      loops::subtract(shifted.data(), 1, totals.data(), 1, row, width);
    } else {
      loops::divide_by_each(row, totals.data(), width);
    }
  }
}

constexpr std::int64_t short_line = 16;
constexpr std::int64_t lines_of_tile = 64;

/// `lines` (at most lines_of_tile) lines of at most short_line elements, which one by one would be
/// all beginnings and ends: turned round, so that each vector holds elements of many lines.
void softmax_short_lines(const float* x, float* out, std::int64_t count, std::int64_t lines,
                         bool logarithmic) {
  std::array<float, short_line * lines_of_tile> turned{};
  std::array<float, short_line * lines_of_tile> results{};
  const auto at = [&](std::int64_t i, std::int64_t line) {
    return static_cast<std::size_t>(i * lines_of_tile + line);
  };
  for (std::int64_t line = 0; line < lines; ++line) {
    for (std::int64_t i = 0; i < count; ++i) turned[at(i, line)] = x[line * count + i];
  }
  softmax_lines(turned.data(), results.data(), count, lines_of_tile, lines, logarithmic);
  for (std::int64_t line = 0; line < lines; ++line) {
    for (std::int64_t i = 0; i < count; ++i) out[line * count + i] = results[at(i, line)];
  }
}

Outputs run_softmax(const Tensor& x, std::int64_t axis_attribute, bool logarithmic) {
  OCTET_TRY(require_f32(x, "its input"));
  // A scalar is one element along its only axis.
  const Shape shape = x.rank() == 0 ? Shape{1} : x.shape();
  OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, shape.size()));
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  const std::int64_t count = shape[static_cast<std::size_t>(axis)];
  const std::int64_t inner = row_major_strides(shape)[static_cast<std::size_t>(axis)];
  const std::int64_t outer = x.size() / (count * inner);
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  if (inner == 1 && count <= short_line && outer > 1) {
    const std::int64_t tiles = (outer - 1) / lines_of_tile + 1;
    for_blocks(tiles, rows_of_block(count * lines_of_tile),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t * lines_of_tile;
                   softmax_short_lines(from + first * count, to + first * count, count,
                                       std::min(lines_of_tile, outer - first), logarithmic);
                 }
               });
    return one_output(std::move(out));
  }
  if (inner == 1) {
    for_blocks(outer, rows_of_block(count), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        softmax_line(from + o * count, to + o * count, count, logarithmic);
      }
    });
    return one_output(std::move(out));
  }
  // Wide planes in strips that stay in the cache.
  constexpr std::int64_t strip = 256;
  const std::int64_t strips = (inner - 1) / strip + 1;
  const std::int64_t width = std::min(inner, strip);
  for_blocks(outer * strips, rows_of_block(count * width),
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t i = begin; i < end; ++i) {
                 const std::int64_t first = i % strips * strip;
                 const std::int64_t offset = i / strips * count * inner + first;
                 softmax_lines(from + offset, to + offset, count, inner,
                               std::min(strip, inner - first), logarithmic);
               }
             });
  return one_output(std::move(out));
}

template <bool logarithmic>
MadeOp make_softmax(const OpSource& source) {
  const std::int64_t axis = source.node.int_attribute("axis", -1);
  return make_function(source, InputOrder::plain, [axis](Inputs inputs) {
    return run_softmax(inputs[0]->tensor, axis, logarithmic);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"LogSoftmax", 1, 1, make_softmax<true>},
    {"Softmax", 1, 1, make_softmax<false>},
});

}  // namespace

std::span<const OpEntry> softmax_entries() { return entries; }

}  // namespace octet::float_engine

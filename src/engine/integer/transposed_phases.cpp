#include "engine/integer/transposed_phases.h"

#include <algorithm>
#include <span>

#include "core/cache_line.h"
#include "kernels/copy.h"

namespace octet::integer {
namespace {

/// One dimension of a phase.
struct Part {
  int taps = 0;      ///< of the kernel
  int last_tap = 0;  ///< the one that reads the first input
  int first = 0;     ///< output position
  int count = 0;     ///< output positions
  int pad = 0;
};

/// Output y is tap k of input i where y + pad = i * stride + k. With k = p + j * stride, those of
/// phase p = (y + pad) mod stride read i = (y + pad - p) / stride - j.
Part part_of(int phase, int stride, int kernel, int pad, int out) {
  Part part;
  part.taps = phase < kernel ? (kernel - phase + stride - 1) / stride : 0;
  part.last_tap = phase + stride * (part.taps - 1);
  part.first = ((phase - pad) % stride + stride) % stride;
  part.count = part.first < out ? (out - part.first + stride - 1) / stride : 0;
  part.pad = part.taps - 1 - (part.first + pad - phase) / stride;
  return part;
}

/// Rows of a phase that are computed before they are put in their places.
std::int64_t block_rows(const kernels::ConvGeometry& g, std::int64_t element_bytes) {
  constexpr std::int64_t block_bytes = 32 * 1024;
  const std::int64_t row = std::int64_t{g.out_width} * g.out_channels * element_bytes;
  return std::max<std::int64_t>(block_bytes / std::max<std::int64_t>(row, 1), 1);
}

std::size_t block_bytes(const kernels::ConvGeometry& g, std::int64_t element_bytes) {
  const std::int64_t rows =
      std::min<std::int64_t>(block_rows(g, element_bytes), g.batch * g.out_height);
  return whole_lines(static_cast<std::size_t>(rows * g.out_width * g.out_channels * element_bytes));
}

/// Of the phase's taps, from those of the whole kernel turned round.
std::vector<std::int8_t> weights_of(std::span<const std::int8_t> whole, const Phase& phase,
                                    int kernel_height, int kernel_width, int stride_height,
                                    int stride_width) {
  const auto& g = phase.conv;
  const std::int64_t inputs = g.in_channels / g.groups;
  std::vector<std::int8_t> weights;
  for (std::int64_t o = 0; o < g.out_channels; ++o) {
    for (int y = 0; y < g.kernel_height; ++y) {
      const std::int64_t row = kernel_height - 1 - (phase.kernel_row - y * stride_height);
      for (int x = 0; x < g.kernel_width; ++x) {
        const std::int64_t column = kernel_width - 1 - (phase.kernel_column - x * stride_width);
        const auto* from =
            whole.data() + ((o * kernel_height + row) * kernel_width + column) * inputs;
        weights.insert(weights.end(), from, from + inputs);
      }
    }
  }
  return weights;
}

}  // namespace

std::int64_t Phases::rows() const {
  std::int64_t rows = 0;
  for (const auto& phase : all) rows += phase.conv.batch * phase.conv.out_height;
  return rows;
}

std::int64_t Phases::macs() const {
  std::int64_t macs = 0;
  for (const auto& phase : all) macs += kernels::macs(phase.conv);
  return macs;
}

Phases transposed_phases(const SpatialGeometry& spatial, const kernels::ConvGeometry& image) {
  const auto at = [](const std::vector<std::int64_t>& v, std::size_t i) {
    return static_cast<int>(v[i]);
  };
  Phases phases;
  phases.stride_height = at(spatial.strides, 0);
  phases.stride_width = at(spatial.strides, 1);
  phases.out_height = image.out_height;
  phases.out_width = image.out_width;
  if (phases.stride_height == 1 && phases.stride_width == 1) return {};
  if (spatial.dilations[0] != 1 || spatial.dilations[1] != 1) return {};
  for (int py = 0; py < phases.stride_height; ++py) {
    const Part y = part_of(py, phases.stride_height, at(spatial.kernel, 0),
                           at(spatial.pads_begin, 0), image.out_height);
    for (int px = 0; px < phases.stride_width; ++px) {
      const Part x = part_of(px, phases.stride_width, at(spatial.kernel, 1),
                             at(spatial.pads_begin, 1), image.out_width);
      if (y.taps < 1 || x.taps < 1 || y.pad < 0 || x.pad < 0) return {};
      Phase phase{image, y.first, x.first, y.last_tap, x.last_tap};
      auto& g = phase.conv;
      g.out_height = x.count > 0 ? y.count : 0;
      g.out_width = x.count;
      g.kernel_height = y.taps;
      g.kernel_width = x.taps;
      g.pad_top = y.pad;
      g.pad_left = x.pad;
      phases.all.push_back(phase);
    }
  }
  return phases;
}

PhaseKernels::PhaseKernels(kernels::ConvParams params, const Phases& phases, int kernel_height,
                           int kernel_width, kernels::Isa isa)
    : element_bytes_(static_cast<std::int64_t>(kernels::element_bytes(params.output))) {
  const auto weights = std::move(params.weights);
  for (const auto& phase : phases.all) {
    params.geometry = phase.conv;
    params.weights = weights_of(weights, phase, kernel_height, kernel_width, phases.stride_height,
                                phases.stride_width);
    kernels_.push_back(kernels::make_conv(params, isa));
  }
}

std::size_t PhaseKernels::scratch_bytes(const Phases& phases) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < phases.all.size(); ++i) {
    const auto& g = phases.all[i].conv;
    bytes = std::max(bytes,
                     whole_lines(kernels_[i]->scratch_bytes(g)) + block_bytes(g, element_bytes_));
  }
  return bytes;
}

void PhaseKernels::run_rows(const Phases& phases, const kernels::ConvCall& call, std::int64_t first,
                            std::int64_t last) const {
  for (std::size_t i = 0; i < phases.all.size(); ++i) {
    const auto& g = phases.all[i].conv;
    const std::int64_t rows = g.batch * g.out_height;
    const std::int64_t from = std::max<std::int64_t>(first, 0);
    const std::int64_t to = std::min(last, rows);
    if (from < to) run_phase(i, phases, call, from, to);
    first -= rows;
    last -= rows;
  }
}

void PhaseKernels::run_phase(std::size_t index, const Phases& phases, const kernels::ConvCall& call,
                             std::int64_t first, std::int64_t last) const {
  const Phase& phase = phases.all[index];
  const auto& g = phase.conv;
  const std::int64_t pixel = g.out_channels * element_bytes_;
  const kernels::StridedCopy spread{
      {g.out_width, pixel}, {pixel, 1}, {phases.stride_width * pixel, 1}};
  auto* block = reinterpret_cast<std::uint8_t*>(call.scratch);
  kernels::ConvCall own = call;
  own.scratch = call.scratch + block_bytes(g, element_bytes_);
  own.output = block;
  const std::int64_t most = block_rows(g, element_bytes_);
  for (std::int64_t row = first; row < last; row += most) {
    own.first_row = own.output_row = row;
    own.last_row = std::min(row + most, last);
    kernels_[index]->run(g, own);
    for (std::int64_t r = row; r < own.last_row; ++r) {
      const std::int64_t y = r % g.out_height * phases.stride_height + phase.first_row;
      const std::int64_t image_row = r / g.out_height * phases.out_height + y;
      kernels::copy_strided(spread, block + (r - row) * g.out_width * pixel,
                            static_cast<std::uint8_t*>(call.output) +
                                (image_row * phases.out_width + phase.first_column) * pixel);
    }
  }
}

}  // namespace octet::integer

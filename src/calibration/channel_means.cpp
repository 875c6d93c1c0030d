#include "calibration/channel_means.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/round.h"
#include "engine/float/vector_clones.h"

namespace octet {
namespace {

/// totals[c] += values[p][c] over pixels. The order of additions is fixed: f32 over runs of 64
/// pixels, then double. `Channels` sums stay in registers over a run.
template <std::int64_t Channels>
OCTET_INLINE void add_run(const float* values, std::int64_t pixels, std::int64_t stride,
                          double* totals) {
  float run[Channels] = {};
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::int64_t c = 0; c < Channels; ++c) run[c] += values[p * stride + c];
  }
  for (std::int64_t c = 0; c < Channels; ++c) totals[c] += static_cast<double>(run[c]);
}

OCTET_VECTOR_CLONES void add_channels_last(const float* values, std::int64_t pixels,
                                           std::int64_t channels, double* totals) {
  constexpr std::int64_t run_length = 64;
  for (std::int64_t begin = 0; begin < pixels; begin += run_length) {
    const float* first = values + begin * channels;
    const auto length = std::min(pixels - begin, run_length);
    std::int64_t c = 0;
    for (; c + 64 <= channels; c += 64) add_run<64>(first + c, length, channels, totals + c);
    for (; c + 16 <= channels; c += 16) add_run<16>(first + c, length, channels, totals + c);
    for (; c < channels; ++c) add_run<1>(first + c, length, channels, totals + c);
  }
}

void add_plain(const float* values, std::int64_t pixels, std::int64_t channels, double* totals) {
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      totals[c] += static_cast<double>(values[c * pixels + p]);
    }
  }
}

}  // namespace

void ChannelMeans::observe(const TapView& view) {
  if (view.shape.size() < 2 || view.shape.size() > 4) return;
  const auto samples = view.shape[0];
  const auto channels = view.shape[1];
  const auto pixels = samples * channels == 0 ? 0 : element_count(view.shape) / samples / channels;
  if (pixels == 0) return;
  const auto count = static_cast<std::size_t>(channels);
  if (sums_.empty()) sums_.assign(count, 0);
  if (sums_.size() != count) {
    valid_ = false;
    return;
  }
  std::vector<double> totals(count);
  for (std::int64_t n = 0; n < samples; ++n) {
    const float* values = view.values.data() + n * channels * pixels;
    std::fill(totals.begin(), totals.end(), 0.0);
    if (view.channels_last) {
      add_channels_last(values, pixels, channels, totals.data());
    } else {
      add_plain(values, pixels, channels, totals.data());
    }
    for (std::size_t c = 0; c < count; ++c) {
      const double mean = totals[c] / static_cast<double>(pixels);
      valid_ = valid_ && std::abs(mean) <= limit;
      sums_[c] +=
          static_cast<std::int64_t>(round_half_even(saturate(mean, -limit, limit) / resolution));
    }
    ++samples_;
  }
}

void ChannelMeans::merge(const ChannelMeans& other) {
  valid_ = valid_ && other.valid_;
  if (other.samples_ == 0) return;
  if (samples_ == 0) sums_.assign(other.sums_.size(), 0);
  samples_ += other.samples_;
  if (sums_.size() != other.sums_.size()) {
    valid_ = false;
    return;
  }
  for (std::size_t c = 0; c < sums_.size(); ++c) sums_[c] += other.sums_[c];
}

}  // namespace octet

#include "calibration/channel_profile.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "engine/float/float_program.h"
#include "engine/float/vector_clones.h"
#include "octet/runtime.h"

namespace octet {
namespace {

/// Sums over a run of pixels, short enough for f32.
struct Run {
  std::vector<float> sum, squares, inside;
};

OCTET_VECTOR_CLONES void add_pixels(const float* __restrict values, std::int64_t pixels,
                                    std::int64_t channels, float low, float high,
                                    float* __restrict sum, float* __restrict squares,
                                    float* __restrict inside, float* __restrict minimum,
                                    float* __restrict maximum) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* pixel = values + p * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const float x = pixel[c];
      sum[c] += x;
      squares[c] += x * x;
      inside[c] += x > low && x < high ? 1.0F : 0.0F;
      minimum[c] = x < minimum[c] ? x : minimum[c];
      maximum[c] = x > maximum[c] ? x : maximum[c];
    }
  }
}

void add_channels_last(const float* values, std::int64_t pixels, std::int64_t channels, float low,
                       float high, ChannelSums& sums) {
  constexpr std::int64_t run_length = 64;
  const auto count = static_cast<std::size_t>(channels);
  Run run;
  for (std::int64_t begin = 0; begin < pixels; begin += run_length) {
    run.sum.assign(count, 0);
    run.squares.assign(count, 0);
    run.inside.assign(count, 0);
    add_pixels(values + begin * channels, std::min(run_length, pixels - begin), channels, low, high,
               run.sum.data(), run.squares.data(), run.inside.data(), sums.minimum.data(),
               sums.maximum.data());
    for (std::size_t c = 0; c < count; ++c) {
      sums.sum[c] += static_cast<double>(run.sum[c]);
      sums.squares[c] += static_cast<double>(run.squares[c]);
      sums.inside[c] += static_cast<double>(run.inside[c]);
    }
  }
}

void add_plain(const float* values, std::int64_t pixels, std::int64_t channels, float low,
               float high, ChannelSums& sums) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto at = static_cast<std::size_t>(c);
    for (std::int64_t p = 0; p < pixels; ++p) {
      const float x = values[c * pixels + p];
      const double wide = static_cast<double>(x);
      sums.sum[at] += wide;
      sums.squares[at] += wide * wide;
      sums.inside[at] += x > low && x < high ? 1.0 : 0.0;
      sums.minimum[at] = std::min(sums.minimum[at], x);
      sums.maximum[at] = std::max(sums.maximum[at], x);
    }
  }
}

using SampleSums = std::vector<ChannelSums>;  ///< by request

struct Worker {
  std::unique_ptr<Session> session;
  TapRequest taps;
  SampleSums* current = nullptr;
};

}  // namespace

ChannelSums channel_sums(const TapView& view, float low, float high) {
  ChannelSums sums;
  if (view.shape.size() < 2 || view.shape.size() > 4 || view.shape[0] != 1) return sums;
  const auto channels = view.shape[1];
  const auto pixels = channels == 0 ? 0 : element_count(view.shape) / channels;
  if (pixels == 0) return sums;
  const auto count = static_cast<std::size_t>(channels);
  sums.elements = pixels;
  sums.sum.assign(count, 0);
  sums.squares.assign(count, 0);
  sums.inside.assign(count, 0);
  sums.minimum.assign(count, std::numeric_limits<float>::infinity());
  sums.maximum.assign(count, -std::numeric_limits<float>::infinity());
  const auto add = view.channels_last ? add_channels_last : add_plain;
  add(view.values.data(), pixels, channels, low, high, sums);
  return sums;
}

ChannelProfile to_profile(const std::vector<ChannelSums>& samples) {
  ChannelProfile profile;
  if (samples.empty()) return profile;
  const auto count = samples[0].sum.size();
  profile.samples = static_cast<std::int64_t>(samples.size());
  profile.mean.assign(count, 0);
  profile.variance.assign(count, 0);
  profile.inside.assign(count, 0);
  profile.minimum.assign(count, std::numeric_limits<double>::infinity());
  profile.maximum.assign(count, -std::numeric_limits<double>::infinity());
  double elements = 0;
  for (const auto& sample : samples) {
    if (sample.sum.size() != count) return {};
    elements += static_cast<double>(sample.elements);
    for (std::size_t c = 0; c < count; ++c) {
      profile.mean[c] += sample.sum[c];
      profile.variance[c] += sample.squares[c];
      profile.inside[c] += sample.inside[c];
      profile.minimum[c] = std::min(profile.minimum[c], static_cast<double>(sample.minimum[c]));
      profile.maximum[c] = std::max(profile.maximum[c], static_cast<double>(sample.maximum[c]));
    }
  }
  for (std::size_t c = 0; c < count; ++c) {
    profile.mean[c] /= elements;
    profile.variance[c] =
        std::max(0.0, profile.variance[c] / elements - profile.mean[c] * profile.mean[c]);
    profile.inside[c] /= elements;
  }
  return profile;
}

Result<ChannelProfiles> profile_channels(const Graph& graph,
                                         const std::vector<ProfileRequest>& requests,
                                         const SampleSource& samples, std::int64_t limit) {
  std::vector<ValueId> values;
  std::map<ValueId, std::size_t> slots;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    values.push_back(requests[i].value);
    slots[requests[i].value] = i;
  }
  OCTET_ASSIGN(const auto program, compile_float(graph, values));
  std::vector<SampleSums> seen(static_cast<std::size_t>(limit));
  std::vector<Worker> workers(static_cast<std::size_t>(std::max(thread_count(), 1)));
  const auto visit = [&](int index_of_worker, const Batch& batch) -> Status {
    Worker& worker = workers[static_cast<std::size_t>(index_of_worker)];
    if (!worker.session) {
      OCTET_ASSIGN(worker.session, program->session());
      worker.taps.values = values;
      worker.taps.tap = [&requests, &slots, &worker](const TapView& view) {
        const auto slot = slots.find(view.value);
        if (slot == slots.end()) return;
        const auto& request = requests[slot->second];
        (*worker.current)[slot->second] = channel_sums(view, request.low, request.high);
      };
    }
    worker.current = &seen[static_cast<std::size_t>(batch.first)];
    worker.current->resize(requests.size());
    OCTET_TRY(worker.session->run(batch.inputs, &worker.taps));
    return {};
  };
  OCTET_TRY(samples(graph, limit, visit));
  ChannelProfiles profiles;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::vector<ChannelSums> of_value;
    for (auto& sample : seen) {
      if (!sample.empty() && sample[i].elements > 0) of_value.push_back(std::move(sample[i]));
    }
    profiles[requests[i].value] = to_profile(of_value);
  }
  return profiles;
}

}  // namespace octet

#pragma once
// What the channels of a value look like: moments, extremes, how often an activation lets through.

#include <functional>
#include <map>
#include <vector>

#include "data/dataset.h"
#include "engine/program.h"

namespace octet {

/// Of each channel of a value (axis 1) over all samples and positions. Vectors have one entry for
/// each channel.
struct ChannelProfile {
  std::vector<double> mean;
  std::vector<double> variance;
  std::vector<double> minimum;
  std::vector<double> maximum;
  std::int64_t samples = 0;    ///< seen; 0 where the profile is derived
  std::vector<double> inside;  ///< share of the elements strictly between the request's bounds

  [[nodiscard]] std::size_t channels() const { return mean.size(); }
};

/// A value to profile; `low` and `high` only matter to ChannelProfile::inside.
struct ProfileRequest {
  ValueId value = ValueId::none;
  float low = 0;
  float high = 0;
};

using ChannelProfiles = std::map<ValueId, ChannelProfile>;

/// Sums of one tapped value of one sample, by channel.
struct ChannelSums {
  std::int64_t elements = 0;  ///< of each channel
  std::vector<double> sum, squares, inside;
  std::vector<float> minimum, maximum;
};

/// Ranks 2 to 4 with a batch of 1; others give no elements.
[[nodiscard]] ChannelSums channel_sums(const TapView& view, float low, float high);

/// Profile of sums that are added up in the order given. Empty when their channels differ.
[[nodiscard]] ChannelProfile to_profile(const std::vector<ChannelSums>& samples);

/// Hands at most `limit` of the calibration samples, spread evenly over the selection, to `visit`:
/// one to a batch, on all workers; returns how many there were.
using SampleSource = std::function<Result<std::int64_t>(const Graph& graph, std::int64_t limit,
                                                        const BatchVisitor& visit)>;

/// One sweep of the float engine over at most `limit` samples. The same numbers for any thread
/// count: sums are kept by sample (so that `limit` bounds the memory) and added in their order.
[[nodiscard]] Result<ChannelProfiles> profile_channels(const Graph& graph,
                                                       const std::vector<ProfileRequest>& requests,
                                                       const SampleSource& samples,
                                                       std::int64_t limit);

}  // namespace octet

#pragma once
// Mean of a value per channel, summed exactly over samples.

#include <cstdint>
#include <vector>

#include "engine/program.h"

namespace octet {

/// Sums over samples of each channel's mean, in multiples of 2^-24. A sample's mean is rounded to
/// that grid first; the sums are integers, so they do not depend on the order of the samples or on
/// how these were split. Channels are axis 1 (the features of a rank-2 value).
class ChannelMeans {
 public:
  static constexpr double resolution = 0x1.0p-24;
  /// Means beyond this are not summed usefully; valid() is then false.
  static constexpr double limit = 0x1.0p14;

  /// Adds the samples of one tapped f32 value; other ranks than 2 to 4 are left out.
  void observe(const TapView& view);
  void merge(const ChannelMeans& other);

  [[nodiscard]] bool valid() const { return valid_ && samples_ > 0; }
  [[nodiscard]] std::size_t channels() const { return sums_.size(); }
  [[nodiscard]] double mean(std::size_t channel) const {
    return static_cast<double>(sums_[channel]) * resolution / static_cast<double>(samples_);
  }

  friend bool operator==(const ChannelMeans&, const ChannelMeans&) = default;

 private:
  friend class StatisticsCodec;
  std::vector<std::int64_t> sums_;
  std::int64_t samples_ = 0;
  bool valid_ = true;
};

}  // namespace octet

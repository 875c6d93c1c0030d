#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "calibration/histogram_kernels.h"
#include "calibration/observer.h"

namespace octet {
namespace {

constexpr auto bins = static_cast<std::size_t>(Histogram::bin_count);
/// Values scanned and then counted while the cache holds them.
constexpr std::size_t cached_block = 16384;
constexpr std::size_t index_block = 512;
/// Below this many values, clearing and adding up the interleaved counters costs more than it
/// saves.
constexpr std::size_t interleave_from = 8192;

std::int64_t bin_of(double value, int exponent) {
  return static_cast<std::int64_t>(std::floor(std::ldexp(value, -exponent)));
}

std::int64_t halve(std::int64_t bin, int times) {
  return times > 62 ? (bin < 0 ? -1 : 0) : bin >> times;
}

/// Calls fn(bins, count) for all values but some of those in zero's bin, which it counts: the
/// number is returned.
template <class Fn>
std::size_t for_each_index_block(std::span<const float> values, const HistogramWindow& window,
                                 Fn fn) {
  alignas(64) std::array<std::uint16_t, index_block + 32> indices;
  std::size_t left_out = 0;
  for (std::size_t start = 0; start < values.size(); start += index_block) {
    const std::size_t count = std::min(index_block, values.size() - start);
    const std::size_t kept =
        bins_but_zero(values.data() + start, count, window.width_exponent,
                      static_cast<std::int32_t>(window.first_bin), indices.data());
    fn(indices.data(), kept);
    left_out += count - kept;
  }
  return left_out;
}

/// Counters in four interleaved tables, small enough for the first cache: equal values in a row
/// would otherwise wait for each other's store.
class InterleavedCounts {
 public:
  void add(std::span<const float> values, const HistogramWindow& window) {
    std::uint16_t* t0 = tables_.data();
    std::uint16_t* t1 = t0 + bins;
    std::uint16_t* t2 = t1 + bins;
    std::uint16_t* t3 = t2 + bins;
    const auto count_block = [=](const std::uint16_t* index, std::size_t count) {
      std::size_t i = 0;
      for (; i + lanes <= count; i += lanes) {
        ++t0[index[i]];
        ++t1[index[i + 1]];
        ++t2[index[i + 2]];
        ++t3[index[i + 3]];
      }
      for (; i < count; ++i) ++t0[index[i]];
    };
    zeros_ += for_each_index_block(values, window, count_block);
    held_ += values.size();
  }

  /// The next cached_block values could overflow a counter.
  [[nodiscard]] bool full() const { return held_ + cached_block > most; }

  void flush(const HistogramWindow& window, std::vector<std::uint64_t>& counts) {
    if (held_ == 0) return;
    add_four_tables(tables_.data(), bins, counts.data());
    counts[static_cast<std::size_t>(-window.first_bin)] += zeros_;
    tables_.fill(0);
    zeros_ = 0;
    held_ = 0;
  }

 private:
  static constexpr std::size_t lanes = 4;
  /// A block's last indices all go to the first table, hence not lanes * 65535.
  static constexpr std::size_t most = std::size_t{1} << 17;
  alignas(64) std::array<std::uint16_t, lanes * bins> tables_{};
  std::size_t zeros_ = 0;
  std::size_t held_ = 0;
};

void count_directly(std::span<const float> values, const HistogramWindow& window,
                    std::vector<std::uint64_t>& counts) {
  std::uint64_t* table = counts.data();
  const std::size_t zeros =
      for_each_index_block(values, window, [=](const std::uint16_t* index, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) ++table[index[i]];
      });
  table[-window.first_bin] += zeros;
}

std::vector<float> finite_values(std::span<const float> values) {
  std::vector<float> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](float x) { return std::isfinite(x); });
  return finite;
}

}  // namespace

HistogramWindow histogram_window(float minimum, float maximum) {
  const double low = std::min(static_cast<double>(minimum), 0.0);
  const double high = std::max(static_cast<double>(maximum), 0.0);
  HistogramWindow window{Histogram::smallest_exponent, 0};
  if (high > low) {
    // bin_count is 2^12: no smaller exponent can hold the range.
    window.width_exponent = std::max(std::ilogb(high - low) - 12, Histogram::smallest_exponent);
  }
  while (bin_of(high, window.width_exponent) - bin_of(low, window.width_exponent) >=
         Histogram::bin_count) {
    ++window.width_exponent;
  }
  window.first_bin = bin_of(low, window.width_exponent);
  return window;
}

bool Histogram::extend(float low, float high, std::uint64_t count, bool with_counts) {
  const bool binned = with_counts && (total_ == 0 || has_counts());
  if (binned && low >= minimum_ && high <= maximum_) {
    total_ += count;
    return true;
  }
  minimum_ = std::min(minimum_, low);
  maximum_ = std::max(maximum_, high);
  total_ += count;
  if (!binned) {
    counts_.clear();
    first_bin_ = 0;
    width_exponent_ = 0;
    return false;
  }
  const HistogramWindow window = histogram_window(minimum_, maximum_);
  if (counts_.empty()) {
    counts_.assign(bins, 0);
  } else if (window != HistogramWindow{width_exponent_, first_bin_}) {
    std::vector<std::uint64_t> counts(bins, 0);
    const int halvings = window.width_exponent - width_exponent_;
    for (std::size_t i = 0; i < bins; ++i) {
      if (counts_[i] == 0) continue;
      const std::int64_t bin = halve(first_bin_ + static_cast<std::int64_t>(i), halvings);
      counts[static_cast<std::size_t>(bin - window.first_bin)] += counts_[i];
    }
    counts_ = std::move(counts);
  }
  width_exponent_ = window.width_exponent;
  first_bin_ = window.first_bin;
  return true;
}

void Histogram::observe(std::span<const float> values) {
  std::optional<InterleavedCounts> interleaved;
  if (values.size() >= interleave_from) interleaved.emplace();
  std::vector<float> finite;
  for (std::size_t start = 0; start < values.size(); start += cached_block) {
    auto block = values.subspan(start, std::min(cached_block, values.size() - start));
    ValueRange range = scan_range(block.data(), block.size());
    if (!range.finite) {
      finite = finite_values(block);
      non_finite_ += block.size() - finite.size();
      if (finite.empty()) continue;
      block = finite;
      range = scan_range(block.data(), block.size());
    }
    const bool grows = range.low < minimum_ || range.high > maximum_;
    if (interleaved && (grows || interleaved->full())) interleaved->flush(window(), counts_);
    if (!extend(range.low, range.high, block.size(), true)) continue;
    if (interleaved) {
      interleaved->add(block, window());
    } else {
      count_directly(block, window(), counts_);
    }
  }
  if (interleaved) interleaved->flush(window(), counts_);
}

void Histogram::observe_range(std::span<const float> values) {
  if (values.empty()) return;
  const ValueRange range = scan_range(values.data(), values.size());
  if (!range.finite) {
    const std::vector<float> finite = finite_values(values);
    non_finite_ += values.size() - finite.size();
    return observe_range(finite);
  }
  (void)extend(range.low, range.high, values.size(), false);
}

void Histogram::merge(const Histogram& other) {
  non_finite_ += other.non_finite_;
  if (other.total_ == 0) return;
  if (!extend(other.minimum_, other.maximum_, other.total_, other.has_counts())) return;
  const int halvings = width_exponent_ - other.width_exponent_;
  for (std::size_t i = 0; i < bins; ++i) {
    if (other.counts_[i] == 0) continue;
    const std::int64_t bin = halve(other.first_bin_ + static_cast<std::int64_t>(i), halvings);
    counts_[static_cast<std::size_t>(bin - first_bin_)] += other.counts_[i];
  }
}

std::string_view name(ObserverKind kind) {
  switch (kind) {
    case ObserverKind::minmax: return "minmax";
    case ObserverKind::moving_average: return "moving-average";
    case ObserverKind::percentile: return "percentile";
    case ObserverKind::mse: return "mse";
    case ObserverKind::entropy: return "entropy";
  }
  return "minmax";
}

std::optional<ObserverKind> observer_from_name(std::string_view text) {
  for (const auto kind : {ObserverKind::minmax, ObserverKind::moving_average,
                          ObserverKind::percentile, ObserverKind::mse, ObserverKind::entropy}) {
    if (name(kind) == text) return kind;
  }
  return std::nullopt;
}

}  // namespace octet

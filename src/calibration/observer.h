#pragma once
// Observers watch the values of a tensor and give its quantization range.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "arithmetic/params.h"
#include "core/result.h"

namespace octet {

enum class ObserverKind : std::uint8_t { minmax, moving_average, percentile, mse, entropy };

[[nodiscard]] std::string_view name(ObserverKind kind);
[[nodiscard]] std::optional<ObserverKind> observer_from_name(std::string_view name);

/// What a histogram's bins cover: bin i starts at (first_bin + i) * 2^width_exponent.
struct HistogramWindow {
  int width_exponent = 0;
  std::int64_t first_bin = 0;
  friend bool operator==(const HistogramWindow&, const HistogramWindow&) = default;
};

/// Fixed-size histogram whose bin width is a power of two and whose bin edges are multiples of it.
/// When a value falls outside, the width doubles until it fits and neighbours merge: counts stay
/// exact, and the result depends only on the multiset of values seen, not on their order or on how
/// they were split between histograms that are merged later.
///
/// Canonical form, with low = min(minimum, 0) and high = max(maximum, 0): width_exponent is the
/// smallest e >= smallest_exponent with floor(high / 2^e) - floor(low / 2^e) < bin_count, and
/// first_bin is floor(low / 2^e).
///
/// A histogram that was fed by observe_range has the range and the total but no counts. Mixing both
/// kinds gives one without counts.
class Histogram {
 public:
  static constexpr int bin_count = 4096;
  static constexpr int smallest_exponent = -120;

  /// NaN and infinities are not counted; non_finite() tells how many there were.
  void observe(std::span<const float> values);
  /// The same without counts: all that a min-max observer needs.
  void observe_range(std::span<const float> values);
  void merge(const Histogram& other);

  [[nodiscard]] std::uint64_t total() const { return total_; }  ///< finite values
  [[nodiscard]] std::uint64_t non_finite() const { return non_finite_; }
  [[nodiscard]] float minimum() const { return minimum_; }  ///< exact; +inf when empty
  [[nodiscard]] float maximum() const { return maximum_; }  ///< exact; -inf when empty
  [[nodiscard]] int width_exponent() const { return width_exponent_; }
  /// Bin i covers [(first_bin + i) * 2^width_exponent, +2^width_exponent).
  [[nodiscard]] std::int64_t first_bin() const { return first_bin_; }
  /// bin_count of them, or none (see above).
  [[nodiscard]] const std::vector<std::uint64_t>& counts() const { return counts_; }
  [[nodiscard]] bool has_counts() const { return !counts_.empty(); }

  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  friend class StatisticsCodec;
  /// Takes `count` more finite values with this range into account; true when bins are kept.
  bool extend(float low, float high, std::uint64_t count, bool with_counts);
  [[nodiscard]] HistogramWindow window() const { return {width_exponent_, first_bin_}; }

  std::vector<std::uint64_t> counts_;
  std::int64_t first_bin_ = 0;
  int width_exponent_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t non_finite_ = 0;
  float minimum_ = std::numeric_limits<float>::infinity();
  float maximum_ = -std::numeric_limits<float>::infinity();
};

/// The canonical form's bin width and first bin for values in [minimum, maximum].
[[nodiscard]] HistogramWindow histogram_window(float minimum, float maximum);

}  // namespace octet

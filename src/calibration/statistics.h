#pragma once
// Statistics: what a calibration sweep saw, by value name; saved, merged, reused.

#include <filesystem>
#include <map>
#include <string>

#include "calibration/observer.h"
#include "data/dataset.h"
#include "engine/program.h"

namespace octet {

/// What was seen of one value. Which fields are filled depends on the observer: minmax needs only
/// the range, moving_average its own pair, the others the histogram.
struct ValueStatistics {
  Histogram histogram;
  /// Exponentially smoothed minimum and maximum per batch, in selection order.
  double average_minimum = 0;
  double average_maximum = 0;
};

struct Statistics {
  std::string model_hash;
  std::string data_name;
  std::int64_t samples = 0;
  ObserverKind observer = ObserverKind::mse;
  std::map<std::string, ValueStatistics> values;
};

/// Sums of two disjoint shards; equal, byte for byte, to one run over both. Fails when model or
/// observer differ, and for moving_average, whose result depends on order.
[[nodiscard]] Result<Statistics> merge(const Statistics& a, const Statistics& b);

[[nodiscard]] std::string encode(const Statistics& statistics);
[[nodiscard]] Result<Statistics> decode_statistics(std::span<const std::byte> bytes);
[[nodiscard]] Result<Statistics> read_statistics(const std::filesystem::path& path);

/// Quantization params for a value from what was seen of it, by the statistics' observer.
[[nodiscard]] Result<QuantParams> params_from_statistics(const ValueStatistics& seen,
                                                         ObserverKind observer,
                                                         const QuantScheme& scheme);

struct CalibrationOptions {
  ObserverKind observer = ObserverKind::mse;
  std::vector<std::int64_t> selection;
  Undecodable undecodable = Undecodable::error;
  Progress progress;
};

/// One sweep over the selection on the float engine, observing `values`. Constant memory in the
/// number of samples; the same bytes for any thread count.
[[nodiscard]] Result<Statistics> calibrate(const Graph& graph, const std::vector<ValueId>& values,
                                           const Dataset& dataset,
                                           const CalibrationOptions& options);

}  // namespace octet

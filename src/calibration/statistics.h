#pragma once
// Statistics: what a calibration sweep saw, by value name; saved, merged, reused.

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "calibration/channel_means.h"
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
  /// Mean per channel, whatever the observer; bias correction needs it.
  ChannelMeans means;

  friend bool operator==(const ValueStatistics&, const ValueStatistics&) = default;
};

struct Statistics {
  std::string model_hash;
  /// Name of the data set, for people; not stored in files, where shards of any name add up.
  std::string data_name;
  /// Says which samples were seen: the sum modulo 2^128 of the content hashes of what the model was
  /// fed, as 32 hexadecimal digits. Shards add up to the fingerprint of one run.
  std::string data_fingerprint;
  /// JSON of the recipe that made the inputs, "" when there was none.
  std::string recipe;
  std::int64_t samples = 0;
  ObserverKind observer = ObserverKind::mse;
  std::map<std::string, ValueStatistics> values;

  friend bool operator==(const Statistics&, const Statistics&) = default;
};

/// Sums of two disjoint shards; equal, byte for byte, to one run over both. Fails when model,
/// observer, recipe or the names of the values differ, and for moving_average, whose result depends
/// on order.
[[nodiscard]] Result<Statistics> merge(const Statistics& a, const Statistics& b);

/// Adds what was seen of a value elsewhere (another shard, or another value that shares its
/// params): histograms and channel means add up, averages become their hull.
void merge_into(ValueStatistics& into, const ValueStatistics& other);

/// Compact binary form that depends on the contents alone: magic "octstats", version, fields,
/// checksum. Integers are LEB128, reals their little-endian bits, empty bins are skipped, and what
/// the canonical form of a histogram implies is not stored.
[[nodiscard]] std::string encode(const Statistics& statistics);
/// Errors name the byte offset or the value at fault.
[[nodiscard]] Result<Statistics> decode_statistics(std::span<const std::byte> bytes);
[[nodiscard]] Result<Statistics> read_statistics(const std::filesystem::path& path);

/// Weight of the past in the moving average: average = 0.9 * average + 0.1 * that of the batch.
inline constexpr double moving_average_momentum = 0.9;

/// Samples to a batch of the calibration sweep. One, so that no sample's values depend on its
/// neighbours (float kernels may differ with the batch size): shards of any size then merge to the
/// bytes of one run.
inline constexpr int calibration_batch = 1;

/// Quantization params for a value from what was seen of it, by the statistics' observer. Fails
/// when nothing finite was seen. Histogram observers need counts, moving_average its averages.
[[nodiscard]] Result<QuantParams> params_from_statistics(const ValueStatistics& seen,
                                                         ObserverKind observer,
                                                         const QuantScheme& scheme);

struct CalibrationOptions {
  ObserverKind observer = ObserverKind::mse;
  std::vector<std::int64_t> selection;
  Undecodable undecodable = Undecodable::error;
  Progress progress;
};

/// One sweep over the selection on the float engine, observing `values` (graph inputs may be among
/// them). Constant memory in the number of samples; the same bytes for any thread count. A NaN or
/// infinity among the values is an error that names value and sample. model_hash is left to the
/// caller.
[[nodiscard]] Result<Statistics> calibrate(const Graph& graph, const std::vector<ValueId>& values,
                                           const Dataset& dataset,
                                           const CalibrationOptions& options);

}  // namespace octet

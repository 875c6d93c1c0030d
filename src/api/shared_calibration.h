#pragma once
// What quantizing one model in several ways on the same samples has in common.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/engine_choice.h"
#include "calibration/statistics.h"

namespace octet {

/// Makes statistics of values by a sweep over the samples.
using CalibrationSweeper = std::function<Result<Statistics>(const std::vector<ValueId>& values)>;

/// The opened samples, and the statistics of every float graph that was calibrated: a value is
/// swept over once, and each request gets what a calibration of its own would have given. Not
/// thread-safe.
class SharedCalibration {
 public:
  SharedCalibration() = default;
  /// Of samples that are open already, whatever source a request names.
  explicit SharedCalibration(OpenData data) : opened_(std::move(data)) {}

  /// The samples, opened at the first call.
  [[nodiscard]] Result<const OpenData*> open(const DataSource& source, const Graph& graph);

  /// Statistics of `values` alone; `sweep` runs for those that were not seen before.
  [[nodiscard]] Result<Statistics> statistics(const Graph& graph,
                                              const std::vector<ValueId>& values,
                                              ObserverKind observer,
                                              const CalibrationSweeper& sweep);

 private:
  std::optional<OpenData> opened_;
  std::map<std::string, Statistics> known_;  ///< by graph and by what the observer needs
};

/// Opens a source, 512 samples or all where it does not say. `hold`: keeps them undecoded, up to
/// 64 MB, for more than one sweep.
[[nodiscard]] Result<OpenData> open_calibration_data(const DataSource& source, const Graph& graph,
                                                     bool hold);

/// Content hash of a float graph: operators, and all constants.
[[nodiscard]] std::string graph_hash(const Graph& graph);

}  // namespace octet

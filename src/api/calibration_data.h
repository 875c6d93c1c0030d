#pragma once
// What quantization learns from a request's samples, statistics, or the model itself.

#include <optional>
#include <string>

#include "api/engine_choice.h"
#include "api/shared_calibration.h"
#include "calibration/statistics.h"
#include "octet/quantize.h"
#include "passes/data_free.h"
#include "passes/pipeline.h"

namespace octet {

/// The samples of a data source, opened at the first use: the inputs of a graph stay what they are
/// from pass to pass. What the constructor gets must outlive it.
class CalibrationData {
 public:
  /// `shared`: samples and statistics of other requests, and for them; nullptr for none.
  CalibrationData(const DataSource& source, ObserverKind observer, const Progress& progress,
                  const std::string& model_hash, SharedCalibration* shared = nullptr)
      : source_(source),
        observer_(observer),
        progress_(progress),
        model_hash_(model_hash),
        shared_(shared) {}

  /// Keeps undecoded samples, up to 64 MB: there will be more than one sweep over them.
  void hold() { held_ = true; }

  /// A sweep over the selection, for the values of a simplified graph.
  [[nodiscard]] Result<Statistics> statistics(const Graph& graph,
                                              const std::vector<ValueId>& values);
  /// A SampleSource: at most `limit` samples, spread evenly over the selection.
  [[nodiscard]] Result<std::int64_t> some(const Graph& graph, std::int64_t limit,
                                          const BatchVisitor& visit);
  /// Samples that the sweep left out.
  [[nodiscard]] std::int64_t skipped() const { return skipped_; }
  /// Different labels of the samples that were opened; 0 without labels.
  [[nodiscard]] std::int64_t classes() const { return classes_; }

 private:
  [[nodiscard]] Result<const OpenData*> open(const Graph& graph);
  [[nodiscard]] Result<Statistics> sweep(const Graph& graph, const std::vector<ValueId>& values);
  [[nodiscard]] Undecodable undecodable() const {
    return source_.skip_undecodable ? Undecodable::skip : Undecodable::error;
  }

  const DataSource& source_;
  ObserverKind observer_;
  const Progress& progress_;
  const std::string& model_hash_;
  SharedCalibration* shared_;
  bool held_ = false;
  std::int64_t skipped_ = 0;
  std::int64_t classes_ = 0;
  std::optional<OpenData> opened_;
};

/// The sources of static quantization that a request names. Request, options and hash must outlive
/// it.
class RequestSources {
 public:
  RequestSources(const QuantizeRequest& request, const QuantizeOptions& options,
                 const std::string& model_hash, SharedCalibration* shared = nullptr);

  /// They refer to this object. `graph`: the model as it was read.
  [[nodiscard]] Result<QuantizeSources> sources(const Graph& graph);
  /// What calibration came to know, once it ran.
  [[nodiscard]] const std::optional<Statistics>& statistics() const { return statistics_; }
  [[nodiscard]] std::int64_t skipped() const { return data_.skipped(); }
  [[nodiscard]] std::int64_t classes() const { return data_.classes(); }

 private:
  [[nodiscard]] Result<Statistics> calibrated(const Graph& graph,
                                              const std::vector<ValueId>& values);

  const QuantizeRequest& request_;
  const QuantizeOptions& options_;
  const std::string& model_hash_;
  CalibrationData data_;
  std::optional<Statistics> statistics_;
};

}  // namespace octet

#include <map>
#include <mutex>

#include "calibration/statistics.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "engine/float/float_program.h"

namespace octet {
namespace {

/// Range of each value in one batch.
struct BatchRanges {
  std::vector<float> minimum;
  std::vector<float> maximum;
};

/// Smoothed ranges, folded in selection order; batches that arrive early wait.
class MovingAverages {
 public:
  void add(std::int64_t first, BatchRanges ranges) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(first, std::move(ranges));
    while (!waiting_.empty() && waiting_.begin()->first == next_) fold_first();
  }
  /// Folds what waits behind batches that were left out.
  void finish() {
    while (!waiting_.empty()) fold_first();
  }
  void store(std::size_t slot, ValueStatistics& seen) const {
    if (slot >= minimum_.size()) return;
    seen.average_minimum = minimum_[slot];
    seen.average_maximum = maximum_[slot];
  }

 private:
  void fold_first() {
    const auto node = waiting_.extract(waiting_.begin());
    const BatchRanges& ranges = node.mapped();
    next_ = node.key() + calibration_batch;
    if (minimum_.empty()) {
      minimum_.assign(ranges.minimum.begin(), ranges.minimum.end());
      maximum_.assign(ranges.maximum.begin(), ranges.maximum.end());
      return;
    }
    constexpr double keep = moving_average_momentum;
    for (std::size_t i = 0; i < minimum_.size(); ++i) {
      minimum_[i] = keep * minimum_[i] + (1 - keep) * static_cast<double>(ranges.minimum[i]);
      maximum_[i] = keep * maximum_[i] + (1 - keep) * static_cast<double>(ranges.maximum[i]);
    }
  }

  std::mutex mutex_;
  std::map<std::int64_t, BatchRanges> waiting_;
  std::int64_t next_ = 0;
  std::vector<double> minimum_;
  std::vector<double> maximum_;
};

bool needs_counts(ObserverKind observer) {
  return observer != ObserverKind::minmax && observer != ObserverKind::moving_average;
}

/// One worker's session and what it saw so far.
struct Worker {
  std::unique_ptr<Session> session;
  std::vector<Histogram> histograms;  ///< one for each observed value
  std::vector<ChannelMeans> means;    ///< likewise
  std::string fingerprint;
  TapRequest taps;
  std::vector<Histogram> batch;  ///< of the running batch, for the moving average
};

class CalibrationSweep {
 public:
  CalibrationSweep(const Graph& graph, const std::vector<ValueId>& values,
                   const CalibrationOptions& options, const Program& program)
      : graph_(graph),
        values_(values),
        options_(options),
        program_(program),
        slots_(graph.value_slots(), -1),
        workers_(static_cast<std::size_t>(std::max(thread_count(), 1))) {
    for (std::size_t i = 0; i < values.size(); ++i) slots_[index(values[i])] = static_cast<int>(i);
  }

  Status visit(int worker_index, const Batch& batch) {
    Worker& worker = workers_[static_cast<std::size_t>(worker_index)];
    if (!worker.session) OCTET_TRY(prepare(worker));
    const bool averages = options_.observer == ObserverKind::moving_average;
    if (averages) worker.batch.assign(values_.size(), {});
    OCTET_TRY(worker.session->run(batch.inputs, &worker.taps));
    worker.fingerprint = add_hashes(worker.fingerprint, hash_of(batch));
    OCTET_TRY(check_finite(averages ? worker.batch : worker.histograms, batch));
    if (!averages) return {};
    BatchRanges ranges;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const Histogram& seen = worker.batch[i];
      ranges.minimum.push_back(seen.total() > 0 ? seen.minimum() : 0.0F);
      ranges.maximum.push_back(seen.total() > 0 ? seen.maximum() : 0.0F);
      worker.histograms[i].merge(seen);
    }
    averages_.add(batch.first, std::move(ranges));
    return {};
  }

  Result<std::map<std::string, ValueStatistics>> result() {
    averages_.finish();
    std::map<std::string, ValueStatistics> all;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const std::string& value = graph_.value(values_[i]).name;
      ValueStatistics seen;
      averages_.store(i, seen);
      for (const auto& worker : workers_) {
        if (worker.histograms.empty()) continue;
        seen.histogram.merge(worker.histograms[i]);
        seen.means.merge(worker.means[i]);
      }
      if (seen.histogram.total() == 0) {
        return internal_error("calibration saw nothing of value {}", value);
      }
      all.emplace(value, std::move(seen));
    }
    return all;
  }

  std::string fingerprint() const {
    std::string sum;
    for (const auto& worker : workers_) sum = add_hashes(sum, worker.fingerprint);
    return sum;
  }

 private:
  /// One sample to a batch: its inputs' hashes in order.
  static std::string hash_of(const Batch& batch) {
    std::string hashes;
    for (const auto& input : batch.inputs) hashes += content_hash({input.raw(), input.bytes()});
    return content_hash(std::as_bytes(std::span(hashes)));
  }

  Status prepare(Worker& worker) {
    OCTET_ASSIGN(worker.session, program_.session());
    worker.histograms.resize(values_.size());
    worker.means.resize(values_.size());
    worker.taps.values = values_;
    worker.taps.tap = [this, &worker](const TapView& view) {
      const int slot = slots_[index(view.value)];
      if (slot < 0) return;
      const auto i = static_cast<std::size_t>(slot);
      worker.means[i].observe(view);
      if (needs_counts(options_.observer)) {
        worker.histograms[i].observe(view.values);
      } else if (options_.observer == ObserverKind::moving_average) {
        worker.batch[i].observe_range(view.values);
      } else {
        worker.histograms[i].observe_range(view.values);
      }
    };
    return {};
  }

  Status check_finite(const std::vector<Histogram>& seen, const Batch& batch) const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (seen[i].non_finite() == 0) continue;
      return bad_input("value {} is NaN or infinite for sample {}", graph_.value(values_[i]).name,
                       batch.names.empty() ? "?" : batch.names.front());
    }
    return {};
  }

  const Graph& graph_;
  const std::vector<ValueId>& values_;
  const CalibrationOptions& options_;
  const Program& program_;
  std::vector<int> slots_;
  std::vector<Worker> workers_;
  MovingAverages averages_;
};

}  // namespace

Result<Statistics> calibrate(const Graph& graph, const std::vector<ValueId>& values,
                             const Dataset& dataset, const CalibrationOptions& options) {
  if (options.selection.empty()) return bad_input("{}: no samples to calibrate on", dataset.name());
  OCTET_ASSIGN(const auto program, compile_float(graph, values));
  CalibrationSweep sweep(graph, values, options, *program);
  LoaderOptions loader;
  loader.batch_size = calibration_batch;
  loader.undecodable = options.undecodable;
  loader.task = "calibrate";
  loader.progress = options.progress;
  OCTET_ASSIGN(const auto report, for_each_batch(dataset, options.selection, loader,
                                                 [&](int worker, const Batch& batch) {
                                                   return sweep.visit(worker, batch);
                                                 }));
  Statistics statistics;
  statistics.data_name = dataset.name();
  statistics.data_fingerprint = sweep.fingerprint();
  statistics.samples = report.samples;
  statistics.observer = options.observer;
  OCTET_ASSIGN(statistics.values, sweep.result());
  return statistics;
}

}  // namespace octet

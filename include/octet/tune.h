#pragma once
// The cheapest quantization that keeps a model's accuracy, found by trying.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/quantize.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

/// What a search may take, and its model may be. What is not given has no limit.
struct TuneBudget {
  std::optional<double> seconds;       ///< of this run of the search
  std::optional<std::uint64_t> bytes;  ///< of the model's file
  std::optional<double> milliseconds;  ///< median latency, batch 1, thread_count() threads
};

struct TuneRequest {
  /// model, output and data (to calibrate and to train on), and what is fixed: it is not searched.
  /// Static; statistics, data_free, dry_run, dump and progress are not read. Of the fields that are
  /// searched, observer and optimize are fixed where they are not "".
  QuantizeRequest quantization;
  DataSource validation;
  /// top1, top5, agreement, kl, sqnr, mse, cosine or auc; "": top1 with labels, else agreement.
  std::string metric;
  /// Most that may be lost. top1, top5, auc: points (1 is 0.01 of the share) below the float model;
  /// agreement, cosine: points below 1; sqnr: noise in per cent of the outputs' energy; kl: nats;
  /// mse: its value.
  double max_drop = 1;
  TuneBudget budget;
  bool training = true;  ///< quantization-aware training as the last step
  std::string log;       ///< JSON lines, one for each trial; "": output + ".trials.jsonl"
  bool resume = false;   ///< take finished trials from the log
  std::string pareto;    ///< file for the fronts of size and latency against accuracy; "": none
  Progress progress;
};

/// One way to quantize the model, and what came of it.
struct TuneTrial {
  std::string key;      ///< hash of model, data, metric and options
  std::string step;     ///< none, observers, fast, best, mixed, training, or pareto
  std::string command;  ///< that makes the same file
  std::string error;    ///< why there is no model; "": there is one
  double value = 0;     ///< of the metric
  double drop = 0;      ///< as max_drop says
  /// 95 % confidence interval of the drop, from the differences on the same samples.
  std::optional<double> drop_low;
  std::optional<double> drop_high;
  double output_error = 0;  ///< mean KL from the float model, or noise over signal without scores
  std::uint64_t bytes = 0;
  std::string hash;                 ///< of the file
  std::optional<double> median_ms;  ///< where it was measured
  double seconds = 0;
  bool resumed = false;  ///< taken from the log
};

/// Models that no other beats in both respects.
struct TuneFronts {
  std::vector<TuneTrial> by_size;     ///< smallest first
  std::vector<TuneTrial> by_latency;  ///< fastest first
};

struct TuneSummary {
  std::string output;
  bool reached = false;
  std::string metric;
  double float_value = 0;  ///< of the metric
  std::int64_t count = 0;  ///< validation samples
  TuneTrial best;          ///< what was written
  std::vector<TuneTrial> trials;
  std::string limit;  ///< what keeps the search from its target, "" when it was reached
  std::optional<TuneFronts> fronts;
  double seconds = 0;
};

/// Escalates from the cheapest step until the drop is at most max_drop within the budget, by the
/// point estimate. The best model found so far is always in `output`: cancelled, the search leaves
/// it there. Deterministic but for latencies and limits of time.
[[nodiscard]] Result<TuneSummary> tune(const TuneRequest& request,
                                       const std::function<void(const TuneTrial&)>& on_trial);

/// The trial as one JSON object, as a line of the log.
[[nodiscard]] std::string log_line(const TuneTrial& trial);

/// "10min", "3MB", "1.5ms" (s, min, h; B, kB, MB, GB; us, ms) into the budget.
[[nodiscard]] Status add_budget(const std::string& text, TuneBudget& budget);

}  // namespace octet

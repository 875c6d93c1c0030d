#pragma once
// Carries out the trials of a search on a model.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/paired_judge.h"
#include "api/shared_calibration.h"
#include "api/trial_log.h"
#include "octet/tune.h"
#include "tuning/trial.h"

namespace octet {

/// What a search needs to know of what is the same for all trials.
struct TrialSetting {
  const TuneRequest& request;
  const Goal& goal;
  PairedJudge& judge;
  SharedCalibration& calibration;
  TrialLog& log;
  std::string key;               ///< hash of model, data and metric
  std::int64_t samples = 0;      ///< of the data
  bool measure_latency = false;  ///< of each trial, and of layers
  bool study_narrow = false;     ///< what weights of 4 bits would lose in each layer
};

/// Milliseconds of one batch on random input, see `octet bench`.
[[nodiscard]] Result<double> median_latency(const Side& side);

/// Each trial is written beside the output, judged, and moved there if it is the best so far.
class ModelTrials final : public TrialRunner {
 public:
  ModelTrials(const TrialSetting& setting, std::function<void(const TuneTrial&)> on_trial);

  [[nodiscard]] Result<std::optional<TrialResult>> run(const TrialPlan& plan) override;
  [[nodiscard]] Result<std::vector<LayerEffect>> layers(const TrialPlan& plan) override;

  /// From now on the output stays as it is.
  void keep_best() { best_is_final_ = true; }
  /// The output holds the best trial, made again where an interrupted run left another there.
  [[nodiscard]] Status write_best();
  [[nodiscard]] const TuneTrial* best() const;
  /// Whether the best trial is what was asked for.
  [[nodiscard]] bool reached() const;
  [[nodiscard]] const std::vector<TuneTrial>& trials() const { return trials_; }
  /// The error of the first trial that failed.
  [[nodiscard]] const std::optional<Error>& first_error() const { return first_error_; }

 private:
  /// Of what is trained, the samples and labels that only training reads are part of the key.
  [[nodiscard]] Result<std::string> key_of(const TrialPlan& plan);
  [[nodiscard]] Result<TuneTrial> carry_out(const TrialPlan& plan, const std::string& key);
  [[nodiscard]] Status make(const TrialPlan& plan, const std::string& output);
  [[nodiscard]] Result<std::vector<LayerEffect>> study(const TrialPlan& plan);
  [[nodiscard]] Status measure(const std::string& path, TuneTrial& trial);
  void take(const TrialPlan& plan, TuneTrial trial);
  [[nodiscard]] bool leads(const TuneTrial& trial) const;
  [[nodiscard]] std::string path_of_trial() const;
  [[nodiscard]] std::string path_of_command() const;

  TrialSetting setting_;
  std::function<void(const TuneTrial&)> on_trial_;
  std::vector<TuneTrial> trials_;
  std::vector<TrialPlan> plans_;              ///< of the trials
  std::map<std::string, std::size_t> known_;  ///< by key
  std::string training_hash_;                 ///< "": not known yet
  std::optional<std::size_t> best_;
  bool best_is_final_ = false;
  std::optional<Error> first_error_;
};

}  // namespace octet

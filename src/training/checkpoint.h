#pragma once
// State of a training run in a file, so that it can go on as if it had never stopped.

#include <filesystem>
#include <map>

#include "optim/optimizer.h"
#include "training/trainer.h"

namespace octet {

struct TrainingState {
  std::int64_t epoch = 0;     ///< epochs done
  std::int64_t step = 0;      ///< steps done in all
  std::int64_t position = 0;  ///< samples done in the running epoch
  double loss_sum = 0;        ///< over those
  std::int64_t correct = 0;   ///< among those
  double epoch_seconds = 0;   ///< spent on the running epoch
  Parameters parameters;
  std::map<ValueId, optim::Moments> moments;
  std::optional<double> best_accuracy;
  std::int64_t best_epoch = 0;
  Parameters best_parameters;  ///< empty without held-back samples
  std::vector<EpochResult> epochs;
};

/// Written whole or not at all.
[[nodiscard]] Status write_checkpoint(const std::filesystem::path& path,
                                      const std::string& fingerprint, const TrainingState& state);

/// Fails when the file is damaged, or was written by a run with another fingerprint.
[[nodiscard]] Result<TrainingState> read_checkpoint(const std::filesystem::path& path,
                                                    const std::string& fingerprint);

}  // namespace octet

#pragma once
// The training loop.
//
// A step takes a batch of samples, cut into micro-batches. Workers decode, augment, run forward and
// backward on one micro-batch each; gradients are added in the order of the micro-batches. What
// comes out depends on the options and the data, not on the number of threads, nor on whether the
// run was interrupted and resumed.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/program.h"
#include "octet/runtime.h"
#include "optim/learning_rate.h"
#include "optim/optimizer.h"
#include "training/augment.h"
#include "training/loss.h"
#include "training/network.h"

namespace octet {

struct TrainOptions {
  std::int64_t epochs = 1;
  std::int64_t batch = 128;
  std::int64_t micro_batch = 16;
  optim::OptimizerOptions optimizer;
  optim::ScheduleKind schedule = optim::ScheduleKind::cosine;
  double learning_rate = 0.01;
  double warmup_epochs = 0;
  float weight_decay = 0;
  double clip_norm = 0;  ///< largest norm of all gradients together; 0: no limit
  LossOptions loss;
  Augmentation augmentation;
  std::int64_t held_back = 0;  ///< samples that are not trained on but judged after each epoch
  std::int64_t patience = 0;   ///< epochs without a better result on those before it ends; 0: all
  std::uint64_t seed = 0;
  bool recompute = false;  ///< less memory for more time, the same result (TapeOptions::recompute)
  std::filesystem::path checkpoint;  ///< "" for none
  double checkpoint_seconds = 60;    ///< at most so often, and at the end of each epoch
  bool resume = false;               ///< go on from the checkpoint if there is one
  std::string fingerprint;           ///< of model, data and what else a checkpoint must fit
};

struct EpochResult {
  std::int64_t epoch = 0;  ///< counts from 1
  double loss = 0;         ///< mean over the trained samples
  double accuracy = 0;     ///< of them as they were trained on, 0..1
  std::optional<double> held_back_accuracy;
  double learning_rate = 0;  ///< at the end
  double seconds = 0;
  double images_per_second = 0;
};

struct TrainingData {
  const Dataset& dataset;
  std::vector<std::int64_t> selection;
  ImageLayout layout = ImageLayout::nchw;
  std::int32_t label_offset = 0;
};

struct TrainingResult {
  /// Of the last epoch, or of the best on held-back samples; with means and variances of
  /// BatchNormalization nodes, averaged over micro-batches of the training data.
  Parameters parameters;
  std::vector<EpochResult> epochs;
  std::int64_t samples = 0;
  std::int64_t resumed_epochs = 0;
};

struct TrainingHooks {
  Progress progress;
  std::function<void(const EpochResult&)> on_epoch;
};

/// Trains `network` from its initial parameters. `teacher`: graph whose scores are distilled, or
/// nullptr; data without labels needs one (or LossKind::mse, which then reconstructs the input).
[[nodiscard]] Result<TrainingResult> train(const Network& network, const Graph* teacher,
                                           const TrainingData& data, const TrainOptions& options,
                                           const TrainingHooks& hooks);

}  // namespace octet

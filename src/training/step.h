#pragma once
// The gradients of one batch.

#include "engine/worker_sessions.h"
#include "training/trainer.h"

namespace octet {

struct StepResult {
  Parameters gradients;  ///< of the mean loss over the batch
  double loss_sum = 0;   ///< over its samples
  std::int64_t correct = 0;
  std::int64_t samples = 0;
};

/// Sessions, teacher and samples of a run.
class StepRunner {
 public:
  [[nodiscard]] static Result<StepRunner> make(const Network& network, const Graph* teacher,
                                               const TrainingSamples& store,
                                               const TrainingData& data,
                                               const TrainOptions& options);

  /// `batch`: indices into the store. update() of the tapes has to have the parameters.
  [[nodiscard]] Result<StepResult> gradients(std::span<const std::int64_t> batch,
                                             std::int64_t epoch);
  /// Gives all tapes new parameters.
  [[nodiscard]] Status update(const Parameters& parameters);

  /// In inference mode, with these parameters: the share of the samples whose largest score,
  /// without augmentation, is the label's.
  [[nodiscard]] Result<double> accuracy(const Parameters& parameters,
                                        std::span<const std::int64_t> samples) const;

  /// Runs samples forward and adds up what BatchNormalization nodes see.
  [[nodiscard]] Result<std::map<NodeId, gradient::BatchMoments>> moments(
      const Parameters& parameters, gradient::Mode mode,
      std::span<const std::int64_t> samples) const;

 private:
  /// Tapes by size of micro-batch, and the sessions of each worker.
  struct Tapes {
    gradient::Mode mode = gradient::Mode::training;
    std::map<std::int64_t, std::unique_ptr<gradient::Tape>> tapes;
    std::vector<std::map<std::int64_t, std::unique_ptr<gradient::TapeSession>>> sessions;

    [[nodiscard]] Result<gradient::TapeSession*> session(int worker, std::size_t samples);
  };
  struct MicroBatch {
    std::vector<Tensor> inputs;
    ClassTargets targets;
  };
  struct Part {
    double loss_sum = 0;
    std::int64_t correct = 0;
  };

  StepRunner(const Network& network, const TrainingSamples& store, const TrainingData& data,
             const TrainOptions& options);

  [[nodiscard]] Status check_augmentation() const;
  [[nodiscard]] std::vector<std::span<const std::int64_t>> cut(
      std::span<const std::int64_t> batch) const;
  [[nodiscard]] Tapes no_tapes(gradient::Mode mode) const;
  [[nodiscard]] Status prepare(const std::vector<std::span<const std::int64_t>>& parts,
                               const Parameters& parameters, Tapes& tapes) const;
  [[nodiscard]] Result<std::vector<Tensor>> inputs(std::int64_t sample, Random& random,
                                                   bool augmented) const;
  [[nodiscard]] Result<MicroBatch> assemble(std::span<const std::int64_t> samples,
                                            std::int64_t epoch, bool augmented) const;
  [[nodiscard]] Result<LossResult> loss(int worker, const MicroBatch& batch, const Tensor& scores,
                                        float weight);
  [[nodiscard]] Result<Part> run_part(int worker, std::span<const std::int64_t> samples,
                                      std::int64_t epoch, float weight, std::span<float> leaves);

  const Network* network_;
  const TrainingSamples* store_;
  const TrainingData* data_;
  const TrainOptions* options_;
  std::unique_ptr<Program> teacher_;
  std::optional<WorkerSessions> teachers_;
  Tapes tapes_;
  Parameters parameters_;
};

}  // namespace octet

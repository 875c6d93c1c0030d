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
  [[nodiscard]] static Result<StepRunner> make(Network& network, const Graph* teacher,
                                               const TrainingSamples& store,
                                               const TrainingData& data,
                                               const TrainOptions& options);

  /// `batch`: indices into the store. update() of the tapes has to have the parameters.
  [[nodiscard]] Result<StepResult> gradients(std::span<const std::int64_t> batch,
                                             std::int64_t epoch);
  /// Gives all tapes new parameters.
  [[nodiscard]] Status update(const Parameters& parameters);

  /// Share of the samples whose largest score, without augmentation, is the label's.
  [[nodiscard]] Result<double> accuracy(std::span<const std::int64_t> samples);
  /// The same of a program instead of the network, sample by sample.
  [[nodiscard]] Result<double> accuracy(const Program& program,
                                        std::span<const std::int64_t> samples) const;

  /// Runs samples forward in training mode and adds up what BatchNormalization nodes saw.
  [[nodiscard]] Result<std::map<NodeId, gradient::BatchMoments>> moments(
      std::span<const std::int64_t> samples);

 private:
  using Sessions = std::map<std::int64_t, std::unique_ptr<gradient::TapeSession>>;
  struct MicroBatch {
    Tensor input;
    ClassTargets targets;
  };
  struct Part {
    double loss_sum = 0;
    std::int64_t correct = 0;
  };

  StepRunner(Network& network, const TrainingSamples& store, const TrainingData& data,
             const TrainOptions& options);

  [[nodiscard]] std::vector<std::span<const std::int64_t>> cut(
      std::span<const std::int64_t> batch) const;
  [[nodiscard]] Status prepare_tapes(const std::vector<std::span<const std::int64_t>>& parts);
  [[nodiscard]] Result<gradient::TapeSession*> session(int worker, std::int64_t samples);
  [[nodiscard]] Result<Tensor> image(std::int64_t sample, Random& random, bool augmented) const;
  [[nodiscard]] Result<MicroBatch> assemble(std::span<const std::int64_t> samples,
                                            std::int64_t epoch, bool augmented) const;
  [[nodiscard]] Result<LossResult> loss(int worker, const MicroBatch& batch, const Tensor& scores,
                                        float weight);
  [[nodiscard]] Result<Part> run_part(int worker, std::span<const std::int64_t> samples,
                                      std::int64_t epoch, float weight, std::span<float> leaves);

  Network* network_;
  const TrainingSamples* store_;
  const TrainingData* data_;
  const TrainOptions* options_;
  std::unique_ptr<Program> teacher_;
  std::optional<WorkerSessions> teachers_;
  std::vector<Sessions> sessions_;  ///< by worker and size of micro-batch
  std::map<std::int64_t, gradient::Tape*> tapes_;
  Parameters parameters_;
};

}  // namespace octet

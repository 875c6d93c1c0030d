#include "training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/parallel.h"
#include "core/progress.h"
#include "training/batch_norm.h"
#include "training/checkpoint.h"
#include "training/step.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Micro-batches over which statistics of BatchNormalization are averaged at the end.
constexpr std::int64_t moment_batches = 128;
/// A scale changes by no more than this share of itself in one step. LSQ's gradients are made for
/// scales of about the same size; that of a channel of tiny weights would otherwise jump.
constexpr float largest_change = 0.02F;

double norm_of(const Parameters& gradients) {
  double sum = 0;
  for (const auto& [id, tensor] : gradients) {
    for (const float g : tensor.values<float>())
      sum += static_cast<double>(g) * static_cast<double>(g);
  }
  return std::sqrt(sum);
}

class Trainer {
 public:
  Trainer(const Network& network, const TrainOptions& options, const TrainingHooks& hooks,
          const TrainingSamples& store, StepRunner& runner)
      : network_(network), options_(options), hooks_(hooks), runner_(runner), store_(store) {
    split_samples();
    const auto per_epoch = (trained_count() + options.batch - 1) / options.batch;
    schedule_ = {options.schedule, options.learning_rate, per_epoch * options.epochs,
                 static_cast<std::int64_t>(options.warmup_epochs * static_cast<double>(per_epoch))};
  }

  Result<TrainingResult> run() {
    OCTET_TRY(start());
    TrainingResult result;
    result.resumed_epochs = state_.epoch;
    OCTET_TRY(runner_.update(state_.parameters));
    while (state_.epoch < options_.epochs && !out_of_patience()) OCTET_TRY(run_epoch());
    result.parameters = state_.best_parameters.empty() ? state_.parameters : state_.best_parameters;
    if (network_.has_batch_norm()) {
      OCTET_ASSIGN(const auto constants, batch_norm_constants(result.parameters));
      result.parameters.insert(constants.begin(), constants.end());
    }
    result.epochs = state_.epochs;
    result.samples = trained_count();
    return result;
  }

 private:
  [[nodiscard]] std::int64_t trained_count() const {
    return static_cast<std::int64_t>(trained_.size());
  }

  void split_samples() {
    const auto order = shuffled(store_.size(), options_.seed, -1);
    const auto held = std::min<std::int64_t>(options_.held_back, store_.size() - 1);
    held_back_.assign(order.begin(), order.begin() + held);
    trained_.assign(order.begin() + held, order.end());
    std::sort(held_back_.begin(), held_back_.end());
    std::sort(trained_.begin(), trained_.end());
  }

  Status start() {
    last_checkpoint_ = Clock::now();
    if (options_.resume && std::filesystem::exists(options_.checkpoint)) {
      OCTET_ASSIGN(state_, read_checkpoint(options_.checkpoint, options_.fingerprint));
      return {};
    }
    state_.parameters = network_.initial_parameters();
    if (network_.normalized().empty()) return {};
    OCTET_ASSIGN(const auto seen,
                 runner_.moments(state_.parameters, gradient::Mode::inference, measured_samples()));
    normalize(network_.graph(), network_.normalized(), seen, state_.parameters);
    return {};
  }

  Status save() {
    last_checkpoint_ = Clock::now();
    if (options_.checkpoint.empty()) return {};
    return write_checkpoint(options_.checkpoint, options_.fingerprint, state_);
  }

  [[nodiscard]] bool out_of_patience() const {
    return options_.patience > 0 && state_.best_accuracy &&
           state_.epoch - state_.best_epoch >= options_.patience;
  }

  /// The samples of an epoch in the order in which they are trained on.
  [[nodiscard]] std::vector<std::int64_t> epoch_order() const {
    std::vector<std::int64_t> order = shuffled(trained_count(), options_.seed, state_.epoch);
    for (auto& i : order) i = trained_[static_cast<std::size_t>(i)];
    // Statistics of a few samples would spoil a step.
    if (network_.has_batch_norm() && trained_count() > options_.micro_batch) {
      order.resize(order.size() - order.size() % static_cast<std::size_t>(options_.micro_batch));
    }
    return order;
  }

  Status run_epoch() {
    const auto order = epoch_order();
    const auto count = static_cast<std::int64_t>(order.size());
    const double before = state_.epoch_seconds;
    const auto started = Clock::now();
    while (state_.position < count) {
      state_.epoch_seconds = before + seconds_since(started);
      if (auto status = check_cancel(); !status) {
        OCTET_TRY(save());
        return status;
      }
      const auto size = std::min(options_.batch, count - state_.position);
      OCTET_TRY(run_step(std::span(order).subspan(static_cast<std::size_t>(state_.position),
                                                  static_cast<std::size_t>(size))));
      if (seconds_since(last_checkpoint_) > options_.checkpoint_seconds) OCTET_TRY(save());
      report(count);
    }
    state_.epoch_seconds = before + seconds_since(started);
    OCTET_TRY(finish_epoch(count));
    return save();
  }

  /// Of the whole run. What follows the task's colon changes from step to step: the epoch, its loss
  /// and accuracy so far.
  void report(std::int64_t count) {
    if (!hooks_.progress) return;
    const auto done = static_cast<double>(state_.position);
    hooks_.progress(fmt::format("training: epoch {}/{}, loss {:.4f}, top-1 {:.2f} %",
                                state_.epoch + 1, options_.epochs, state_.loss_sum / done,
                                100 * static_cast<double>(state_.correct) / done),
                    state_.epoch * count + state_.position, options_.epochs * count);
  }

  Status run_step(std::span<const std::int64_t> batch) {
    OCTET_ASSIGN(auto step, runner_.gradients(batch, state_.epoch));
    if (!std::isfinite(step.loss_sum)) {
      return bad_input("the loss is no longer finite in epoch {}: a lower --lr may help",
                       state_.epoch + 1);
    }
    apply(step.gradients);
    OCTET_TRY(runner_.update(state_.parameters));
    state_.loss_sum += step.loss_sum;
    state_.correct += step.correct;
    state_.position += step.samples;
    return {};
  }

  void apply(Parameters& gradients) {
    const double rate = schedule_.at(state_.step);
    ++state_.step;
    const double norm = options_.clip_norm > 0 ? norm_of(gradients) : 0;
    const auto shrink =
        static_cast<float>(norm > options_.clip_norm ? options_.clip_norm / norm : 1);
    for (const auto& [id, gradient] : gradients) state_.moments[id];
    std::vector<ValueId> ids;
    for (const auto& [id, gradient] : gradients) ids.push_back(id);
    parallel_for(static_cast<std::int64_t>(ids.size()), [&](std::int64_t i) {
      const auto id = ids[static_cast<std::size_t>(i)];
      update_one(id, gradients.at(id), rate, shrink);
    });
  }

  void update_one(ValueId id, Tensor& gradient, double rate, float shrink) {
    const ParameterRole role = network_.roles().at(id);
    Tensor& parameter = state_.parameters.at(id);
    const std::span<float> values(parameter.mutable_data<float>(),
                                  static_cast<std::size_t>(parameter.size()));
    const std::span<float> g(gradient.mutable_data<float>(), values.size());
    for (float& x : g) x *= shrink;
    const bool is_scale = role == ParameterRole::scale || role == ParameterRole::clip;
    const bool decays = role == ParameterRole::weight || role == ParameterRole::clip;
    const std::vector<float> before =
        is_scale ? std::vector<float>(values.begin(), values.end()) : std::vector<float>();
    optim::update(options_.optimizer, state_.step, static_cast<float>(rate),
                  decays ? options_.weight_decay : 0, g, state_.moments.at(id), values);
    for (std::size_t i = 0; i < before.size(); ++i) {
      values[i] =
          std::clamp(values[i], before[i] * (1 - largest_change), before[i] * (1 + largest_change));
    }
  }

  Status finish_epoch(std::int64_t count) {
    EpochResult result;
    result.epoch = state_.epoch + 1;
    result.loss = state_.loss_sum / static_cast<double>(count);
    result.accuracy = static_cast<double>(state_.correct) / static_cast<double>(count);
    result.learning_rate = schedule_.at(state_.step - 1);
    result.seconds = state_.epoch_seconds;
    result.images_per_second = static_cast<double>(count) / std::max(state_.epoch_seconds, 1e-9);
    if (!held_back_.empty()) {
      OCTET_ASSIGN(result.held_back_accuracy, judge_held_back());
      if (!state_.best_accuracy || *result.held_back_accuracy > *state_.best_accuracy) {
        state_.best_accuracy = result.held_back_accuracy;
        state_.best_epoch = result.epoch;
        state_.best_parameters = state_.parameters;
      }
    }
    state_.epochs.push_back(result);
    ++state_.epoch;
    state_.position = 0;
    state_.loss_sum = 0;
    state_.correct = 0;
    state_.epoch_seconds = 0;
    if (hooks_.on_epoch) hooks_.on_epoch(result);
    return {};
  }

  /// With what BatchNormalization sees of the training data.
  Result<double> judge_held_back() {
    Parameters parameters = state_.parameters;
    if (network_.has_batch_norm()) {
      OCTET_ASSIGN(auto constants, batch_norm_constants(state_.parameters));
      parameters.merge(constants);
    }
    return runner_.accuracy(parameters, held_back_);
  }

  /// Samples that statistics of BatchNormalization are taken over, mixed as those of an epoch are:
  /// the variance of a micro-batch of one class says little of that of all.
  [[nodiscard]] std::vector<std::int64_t> measured_samples() const {
    auto samples = shuffled(trained_count(), options_.seed, -2);
    const auto most = static_cast<std::size_t>(moment_batches * options_.micro_batch);
    samples.resize(std::min(most, samples.size()));
    for (auto& i : samples) i = trained_[static_cast<std::size_t>(i)];
    return samples;
  }

  /// What inference reads instead of the statistics of a batch, by constant.
  Result<Parameters> batch_norm_constants(const Parameters& parameters) const {
    OCTET_ASSIGN(const auto seen,
                 runner_.moments(parameters, gradient::Mode::training, measured_samples()));
    Parameters constants;
    for (const auto& [id, moments] : seen) {
      const Node& node = network_.graph().node(id);
      constants[node.input(3)] = average(moments.mean, moments.batches);
      constants[node.input(4)] = average(moments.variance, moments.batches);
    }
    return constants;
  }

  static Tensor average(const std::vector<double>& sums, std::int64_t batches) {
    Tensor mean(DType::f32, {static_cast<std::int64_t>(sums.size())});
    for (std::size_t c = 0; c < sums.size(); ++c) {
      mean.mutable_data<float>()[c] =
          static_cast<float>(sums[c] / static_cast<double>(std::max<std::int64_t>(batches, 1)));
    }
    return mean;
  }

  const Network& network_;
  const TrainOptions& options_;
  const TrainingHooks& hooks_;
  StepRunner& runner_;
  const TrainingSamples& store_;
  std::vector<std::int64_t> trained_, held_back_;
  optim::Schedule schedule_;
  TrainingState state_;
  Clock::time_point last_checkpoint_;
};

}  // namespace

Result<TrainingResult> train(const Network& network, const Graph* teacher, const TrainingData& data,
                             const TrainOptions& options, const TrainingHooks& hooks) {
  OCTET_ASSIGN(const auto store, TrainingSamples::read(data.dataset, data.selection));
  const bool labelled = store.label(0) >= 0;
  if (!labelled && options.loss.kind == LossKind::cross_entropy && teacher == nullptr) {
    return bad_input("{} has no labels: distil from a model (--distill), or train with --loss mse",
                     data.dataset.name());
  }
  if (!labelled && options.held_back > 0) {
    return bad_input("{} has no labels to judge held-back samples by", data.dataset.name());
  }
  OCTET_ASSIGN(auto runner, StepRunner::make(network, teacher, store, data, options));
  return Trainer(network, options, hooks, store, runner).run();
}

}  // namespace octet

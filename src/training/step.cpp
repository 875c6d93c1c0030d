#include "training/step.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>

#include "core/parallel.h"
#include "engine/float/float_program.h"

namespace octet {
namespace {

/// Adds vectors in the order of their numbers; those that arrive early wait.
class OrderedSum {
 public:
  explicit OrderedSum(std::size_t size) : sum_(size, 0.0F) {}

  void add(std::int64_t number, std::vector<float> part) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(number, std::move(part));
    while (!waiting_.empty() && waiting_.begin()->first == next_) {
      const auto& first = waiting_.begin()->second;
      for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += first[i];
      waiting_.erase(waiting_.begin());
      ++next_;
    }
  }
  [[nodiscard]] std::span<const float> sum() const { return sum_; }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, std::vector<float>> waiting_;
  std::int64_t next_ = 0;
  std::vector<float> sum_;
};

Status check_labels(const ClassTargets& targets, const Tensor& scores) {
  if (targets.labels.empty()) return {};
  const auto classes = scores.dim(scores.rank() - 1);
  if (scores.size() != classes * static_cast<std::int64_t>(targets.labels.size())) {
    return bad_input("scores of shape {} are more than one row of classes for each label",
                     to_string(scores.shape()));
  }
  for (const auto label : targets.labels) {
    if (label >= 0 && label < classes) continue;
    return bad_input("a label is {}, but the model has scores for {} classes", label, classes);
  }
  return {};
}

double share(const std::vector<std::int64_t>& correct, std::size_t samples) {
  return static_cast<double>(std::accumulate(correct.begin(), correct.end(), std::int64_t{0})) /
         static_cast<double>(samples);
}

}  // namespace

StepRunner::StepRunner(const Network& network, const TrainingSamples& store,
                       const TrainingData& data, const TrainOptions& options)
    : network_(&network),
      store_(&store),
      data_(&data),
      options_(&options),
      tapes_(no_tapes(gradient::Mode::training)) {}

StepRunner::Tapes StepRunner::no_tapes(gradient::Mode mode) const {
  Tapes tapes;
  tapes.mode = mode;
  tapes.sessions.resize(static_cast<std::size_t>(std::max(thread_count(), 1)));
  return tapes;
}

Status StepRunner::check_augmentation() const {
  const auto& shapes = network_->input_shapes();
  const Value& first = network_->graph().value(network_->graph().inputs.front());
  const bool image = first.dtype == DType::f32 && shapes.front().size() == 4;
  if (options_->augmentation.changes_images() && !image) {
    return bad_input("input {} is no image to crop, flip or cut", first.name);
  }
  if (options_->augmentation.mixup > 0 && (first.dtype != DType::f32 || shapes.size() > 1)) {
    return bad_input("mixup needs a model of one f32 input");
  }
  return {};
}

Result<StepRunner> StepRunner::make(const Network& network, const Graph* teacher,
                                    const TrainingSamples& store, const TrainingData& data,
                                    const TrainOptions& options) {
  StepRunner runner(network, store, data, options);
  OCTET_TRY(runner.check_augmentation());
  if (teacher != nullptr) {
    OCTET_ASSIGN(runner.teacher_, compile_float(*teacher));
    runner.teachers_.emplace(*runner.teacher_);
  }
  return runner;
}

Status StepRunner::update(const Parameters& parameters) {
  parameters_ = parameters;
  for (const auto& [samples, tape] : tapes_.tapes) OCTET_TRY(tape->update(parameters_));
  return {};
}

std::vector<std::span<const std::int64_t>> StepRunner::cut(
    std::span<const std::int64_t> batch) const {
  std::vector<std::span<const std::int64_t>> parts;
  const auto size = static_cast<std::size_t>(options_->micro_batch);
  for (std::size_t at = 0; at < batch.size(); at += size) {
    parts.push_back(batch.subspan(at, std::min(size, batch.size() - at)));
  }
  return parts;
}

Status StepRunner::prepare(const std::vector<std::span<const std::int64_t>>& parts,
                           const Parameters& parameters, Tapes& tapes) const {
  for (const auto& part : parts) {
    const auto samples = static_cast<std::int64_t>(part.size());
    if (tapes.tapes.contains(samples)) continue;
    OCTET_ASSIGN(auto tape, network_->tape(samples, tapes.mode, options_->recompute));
    OCTET_TRY(tape->update(parameters));
    tapes.tapes[samples] = std::move(tape);
  }
  return {};
}

Result<gradient::TapeSession*> StepRunner::Tapes::session(int worker, std::size_t samples) {
  const auto size = static_cast<std::int64_t>(samples);
  auto& made = sessions[static_cast<std::size_t>(worker)][size];
  if (made == nullptr) {
    OCTET_ASSIGN(made, tapes.at(size)->session());
  }
  return made.get();
}

Result<std::vector<Tensor>> StepRunner::inputs(std::int64_t sample, Random& random,
                                               bool augmented) const {
  OCTET_ASSIGN(auto inputs, store_->inputs(sample));
  const auto& wanted = network_->input_shapes();
  if (inputs.size() != wanted.size()) {
    return bad_input("sample {} has {} inputs, the model {}", sample, inputs.size(), wanted.size());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Value& value = network_->graph().value(network_->graph().inputs[i]);
    const Shape& shape = inputs[i].shape();
    const bool fits = inputs[i].dtype() == value.dtype && shape.size() == wanted[i].size() &&
                      std::equal(wanted[i].begin() + 1, wanted[i].end(), shape.begin() + 1);
    if (!fits) {
      return bad_input("sample {} has shape {} for input {}, which the model does not take", sample,
                       to_string(shape), value.name);
    }
  }
  if (augmented && options_->augmentation.changes_images()) {
    augment(options_->augmentation, data_->layout, random, inputs.front());
  }
  return inputs;
}

Result<StepRunner::MicroBatch> StepRunner::assemble(std::span<const std::int64_t> samples,
                                                    std::int64_t epoch, bool augmented) const {
  MicroBatch batch;
  for (std::size_t k = 0; k < network_->input_shapes().size(); ++k) {
    Shape shape = network_->input_shapes()[k];
    shape[0] = static_cast<std::int64_t>(samples.size());
    batch.inputs.emplace_back(network_->graph().value(network_->graph().inputs[k]).dtype,
                              std::move(shape));
  }
  const bool mixes = augmented && options_->augmentation.mixup > 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Random random(options_->seed, epoch, samples[i]);
    OCTET_ASSIGN(const auto own, inputs(samples[i], random, augmented));
    for (std::size_t k = 0; k < own.size(); ++k) {
      std::memcpy(batch.inputs[k].mutable_raw() + i * own[k].bytes(), own[k].raw(), own[k].bytes());
    }
    const auto label = store_->label(samples[i]);
    if (label >= 0) batch.targets.labels.push_back(label + data_->label_offset);
    if (!mixes) continue;
    const auto other =
        samples[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(samples.size())))];
    OCTET_ASSIGN(const auto partner, inputs(other, random, true));
    const auto share = static_cast<float>(draw_beta(options_->augmentation.mixup, random));
    const auto size = own.front().size();
    float* to = batch.inputs.front().mutable_data<float>() + static_cast<std::int64_t>(i) * size;
    for (std::int64_t k = 0; k < size; ++k) {
      to[k] = share * to[k] + (1 - share) * partner.front().data<float>()[k];
    }
    batch.targets.share.push_back(share);
    if (label >= 0)
      batch.targets.other_labels.push_back(store_->label(other) + data_->label_offset);
  }
  return batch;
}

Result<LossResult> StepRunner::loss(int worker, const MicroBatch& batch, const Tensor& scores,
                                    float weight) {
  std::optional<Tensor> taught;
  if (teachers_) {
    OCTET_ASSIGN(auto* teacher, teachers_->get(worker));
    OCTET_ASSIGN(auto outputs, teacher->run(batch.inputs));
    taught = std::move(outputs.front());
    if (taught->size() != scores.size()) {
      return bad_input("the teacher has scores of shape {}, the model of {}",
                       to_string(taught->shape()), to_string(scores.shape()));
    }
  }
  const Tensor* teacher = taught ? &*taught : nullptr;
  if (options_->loss.kind == LossKind::cross_entropy) {
    OCTET_TRY(check_labels(batch.targets, scores));
    return class_loss(options_->loss, scores, batch.targets, teacher, weight);
  }
  const Tensor& target = teacher != nullptr ? *teacher : batch.inputs.front();
  if (target.size() != scores.size() || target.dtype() != DType::f32) {
    return bad_input("an output of shape {} cannot reconstruct an input of {}",
                     to_string(scores.shape()), to_string(target.shape()));
  }
  return squared_loss(scores, target, weight);
}

Result<StepRunner::Part> StepRunner::run_part(int worker, std::span<const std::int64_t> samples,
                                              std::int64_t epoch, float weight,
                                              std::span<float> leaves) {
  OCTET_ASSIGN(const auto batch, assemble(samples, epoch, true));
  OCTET_ASSIGN(auto* tape, tapes_.session(worker, samples.size()));
  OCTET_ASSIGN(const auto outputs, tape->forward(batch.inputs));
  OCTET_ASSIGN(const auto judged, loss(worker, batch, outputs.front(), weight));
  OCTET_TRY(tape->backward(std::span(&judged.gradient, 1), leaves));
  const bool classes = options_->loss.kind == LossKind::cross_entropy;
  return Part{judged.sum,
              classes ? count_correct(outputs.front(), batch.targets.labels) : std::int64_t{0}};
}

Result<StepResult> StepRunner::gradients(std::span<const std::int64_t> batch, std::int64_t epoch) {
  const auto parts = cut(batch);
  OCTET_TRY(prepare(parts, parameters_, tapes_));
  const auto leaf_count = tapes_.tapes.begin()->second->leaf_count();
  OrderedSum sum(leaf_count);
  std::vector<Part> results(parts.size());
  const float weight = 1 / static_cast<float>(batch.size());
  OCTET_TRY(parallel_try(
      static_cast<std::int64_t>(parts.size()), [&](int worker, std::int64_t i) -> Status {
        const auto number = static_cast<std::size_t>(i);
        std::vector<float> leaves(leaf_count);
        OCTET_ASSIGN(results[number], run_part(worker, parts[number], epoch, weight, leaves));
        sum.add(i, std::move(leaves));
        return {};
      }));
  StepResult result;
  result.samples = static_cast<std::int64_t>(batch.size());
  for (const auto& part : results) {
    result.loss_sum += part.loss_sum;
    result.correct += part.correct;
  }
  OCTET_ASSIGN(result.gradients, tapes_.tapes.begin()->second->gradients(sum.sum()));
  return result;
}

Result<double> StepRunner::accuracy(const Parameters& parameters,
                                    std::span<const std::int64_t> samples) const {
  const auto parts = cut(samples);
  Tapes tapes = no_tapes(gradient::Mode::inference);
  OCTET_TRY(prepare(parts, parameters, tapes));
  std::vector<std::int64_t> correct(parts.size(), 0);
  OCTET_TRY(parallel_try(
      static_cast<std::int64_t>(parts.size()), [&](int worker, std::int64_t i) -> Status {
        const auto& part = parts[static_cast<std::size_t>(i)];
        OCTET_ASSIGN(const auto batch, assemble(part, 0, false));
        OCTET_ASSIGN(auto* session, tapes.session(worker, part.size()));
        OCTET_ASSIGN(const auto outputs, session->forward(batch.inputs));
        correct[static_cast<std::size_t>(i)] = count_correct(outputs.front(), batch.targets.labels);
        return {};
      }));
  return share(correct, samples.size());
}

Result<std::map<NodeId, gradient::BatchMoments>> StepRunner::moments(
    const Parameters& parameters, gradient::Mode mode,
    std::span<const std::int64_t> samples) const {
  const auto parts = cut(samples);
  Tapes tapes = no_tapes(mode);
  OCTET_TRY(prepare(parts, parameters, tapes));
  std::vector<std::map<NodeId, gradient::BatchMoments>> seen(parts.size());
  OCTET_TRY(parallel_try(static_cast<std::int64_t>(parts.size()),
                         [&](int worker, std::int64_t i) -> Status {
                           const auto number = static_cast<std::size_t>(i);
                           OCTET_ASSIGN(const auto batch, assemble(parts[number], 0, false));
                           OCTET_ASSIGN(auto* tape, tapes.session(worker, parts[number].size()));
                           (void)tape->take_moments();
                           OCTET_TRY(tape->forward(batch.inputs));
                           seen[number] = tape->take_moments();
                           return {};
                         }));
  std::map<NodeId, gradient::BatchMoments> sums;
  for (const auto& part : seen) {
    for (const auto& [node, moments] : part) {
      auto& sum = sums[node];
      sum.mean.resize(moments.mean.size(), 0.0);
      sum.variance.resize(moments.variance.size(), 0.0);
      sum.batches += moments.batches;
      for (std::size_t c = 0; c < moments.mean.size(); ++c) {
        sum.mean[c] += moments.mean[c];
        sum.variance[c] += moments.variance[c];
      }
    }
  }
  return sums;
}

}  // namespace octet

#include "api/judging.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"

namespace octet {
namespace {

/// Class scores: f32 [N, classes, ...].
bool is_scores(const Tensor& output, std::size_t samples) {
  return output.dtype() == DType::f32 && output.rank() >= 2 &&
         output.dim(0) == static_cast<std::int64_t>(samples);
}

/// An output that imitates the input of the same shape.
bool is_reconstruction(const Tensor& input, const Tensor& output) {
  return input.dtype() == DType::f32 && output.dtype() == DType::f32 && input.rank() > 0 &&
         input.shape() == output.shape();
}

/// The score of one sample: its only element, or how far the second of two is ahead.
Result<float> binary_score(const Tensor& output, std::int64_t samples, std::int64_t i) {
  if (output.dtype() == DType::f32 && has_samples(output, samples)) {
    const auto scores = sample_output(output, samples, i).values;
    if (scores.size() == 1) return scores[0];
    if (scores.size() == 2) return scores[1] - scores[0];
  }
  return bad_input(
      "auc takes an output of one or two scores to a sample, or one of the input's shape; the "
      "first output is {} {}",
      name(output.dtype()), to_string(output.shape()));
}

std::optional<double> known(double value) {
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

Result<double> agreement_value(Metric metric, const OutputComparison& comparison) {
  const auto* agreement = comparison.agreement();
  if (agreement == nullptr) {
    return bad_input("no {}: {}", name(metric), comparison.obstacle());
  }
  if (metric == Metric::agreement) return agreement->agreement();
  const double kl = agreement->kl();
  if (!std::isnan(kl)) return kl;
  return bad_input("no kl: the first output holds no class scores, or a NaN among them");
}

Result<double> pair_value(Metric metric, const OutputComparison& comparison) {
  if (metric == Metric::agreement || metric == Metric::kl) {
    return agreement_value(metric, comparison);
  }
  for (const auto& output : comparison.outputs()) {
    if (!output.comparable) return bad_input("no {}: {}", name(metric), comparison.obstacle());
  }
  const auto& total = comparison.total();
  const double value = metric == Metric::sqnr  ? total.sqnr_db()
                       : metric == Metric::mse ? total.mse()
                                               : total.cosine();
  if (!std::isnan(value)) return value;
  return bad_input("no {}: the outputs hold a NaN or an infinity", name(metric));
}

Result<double> roc_value(const RocScores& roc) {
  if (roc.has_nan()) return bad_input("no auc: a score is NaN");
  if (roc.positives() == 0 || roc.negatives() == 0) {
    return bad_input("no auc: all {} samples have label {}", roc.positives() + roc.negatives(),
                     roc.positives() == 0 ? 0 : 1);
  }
  return roc.area();
}

}  // namespace

Result<float> roc_score(const Batch& batch, const Tensor& output, std::int64_t i) {
  if (batch.inputs.empty() || !is_reconstruction(batch.inputs[0], output)) {
    return binary_score(output, static_cast<std::int64_t>(batch.indices.size()), i);
  }
  const auto error = SampleError::between(row(batch.inputs[0], i), row(output, i));
  return static_cast<float>(error.noise /
                            static_cast<double>(std::max<std::int64_t>(error.count, 1)));
}

Result<std::optional<Metric>> parse_metric(const std::string& text) {
  if (text.empty()) return std::optional<Metric>();
  if (const auto metric = metric_from_name(text)) return metric;
  return fail(ErrorKind::usage, "no metric '{}'; there are {}", text, metric_names());
}

Judge::Judge(const OpenData& data, const JudgeOptions& options)
    : data_(data),
      options_(options),
      tallies_(static_cast<std::size_t>(std::max(thread_count(), 1))) {}

Status Judge::add(int worker, const Batch& batch, std::span<const Tensor> outputs) {
  if (outputs.empty()) return bad_input("the model has no outputs");
  auto& tally = tallies_[static_cast<std::size_t>(worker)];
  const auto& output = outputs.front();
  if (options_.accuracy != LabelUse::ignored) OCTET_TRY(add_accuracy(batch, output, tally));
  if (options_.roc) OCTET_TRY(add_roc(batch, output, tally));
  if (!options_.reconstruction) return {};
  if (batch.inputs.empty() || !is_reconstruction(batch.inputs[0], output)) {
    return bad_input(
        "mse without a reference is the reconstruction error, but the first output ({} {}) has not "
        "the first input's form; give the model to compare with as reference",
        name(output.dtype()), to_string(output.shape()));
  }
  const auto samples = static_cast<std::int64_t>(batch.indices.size());
  for (std::int64_t i = 0; i < samples; ++i) {
    tally.reconstruction.add(SampleError::between(row(batch.inputs[0], i), row(output, i)));
  }
  return {};
}

Status Judge::check_accuracy(const Tensor& scores, std::size_t samples) {
  const bool needed = options_.accuracy == LabelUse::needed;
  if (data_.dataset->labels().empty() && !needed) return {};
  if (!is_scores(scores, samples)) return needed ? check_scores(scores, samples) : Status();
  const auto classes = scores.dim(0) == 0 ? 0 : scores.size() / scores.dim(0);
  auto fits = check_labels(data_, classes);
  if (!fits && options_.accuracy == LabelUse::if_fitting) return {};
  with_accuracy_ = fits.has_value();
  return fits;
}

Status Judge::add_accuracy(const Batch& batch, const Tensor& scores, Tally& tally) {
  std::call_once(checked_, [&] { check_ = check_accuracy(scores, batch.indices.size()); });
  OCTET_TRY(check_);
  if (!with_accuracy_) return {};
  OCTET_TRY(check_scores(scores, batch.indices.size()));
  const auto& labels = data_.dataset->labels();
  for (std::size_t i = 0; i < batch.indices.size(); ++i) {
    const auto label = labels[static_cast<std::size_t>(batch.indices[i])];
    const auto index = static_cast<std::size_t>(label + data_.recipe.label_offset);
    tally.accuracy.add(row(scores, static_cast<std::int64_t>(i)), index);
  }
  return {};
}

Status Judge::add_roc(const Batch& batch, const Tensor& output, Tally& tally) const {
  const auto& labels = data_.dataset->labels();
  if (labels.empty()) {
    return bad_input("{} has no labels, which auc needs", data_.dataset->name());
  }
  const auto samples = static_cast<std::int64_t>(batch.indices.size());
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto label = labels[static_cast<std::size_t>(batch.indices[at])];
    if (label != 0 && label != 1) {
      return bad_input("{} has label {}; auc takes 0 and 1", batch.names[at], label);
    }
    OCTET_ASSIGN(const float score, roc_score(batch, output, i));
    tally.roc.add(score, label == 1);
  }
  return {};
}

Tally Judge::total() const {
  Tally total;
  for (const auto& tally : tallies_) {
    total.accuracy.merge(tally.accuracy);
    total.roc.merge(tally.roc);
    total.reconstruction.merge(tally.reconstruction);
  }
  return total;
}

Result<double> metric_value(Metric metric, const Tally& tally, const OutputComparison* comparison) {
  if (metric == Metric::top1) return tally.accuracy.top1();
  if (metric == Metric::top5) return tally.accuracy.top5();
  if (metric == Metric::auc) return roc_value(tally.roc);
  if (comparison != nullptr) return pair_value(metric, *comparison);
  if (std::isnan(tally.reconstruction.mse())) {
    return bad_input("no mse: the outputs hold a NaN or an infinity");
  }
  return tally.reconstruction.mse();
}

OutputError output_error(const std::string& name, const ErrorSums& errors) {
  return {name, known(errors.sqnr_db()), known(errors.mse()), known(errors.cosine())};
}

std::vector<OutputError> output_errors(const OutputComparison& comparison) {
  std::vector<OutputError> out;
  for (const auto& output : comparison.outputs()) {
    out.push_back(output.comparable
                      ? output_error(output.name, output.errors)
                      : OutputError{output.name, std::nullopt, std::nullopt, std::nullopt});
  }
  return out;
}

int judging_batch(const Graph& graph) {
  return outputs_follow_batch(graph) ? sweep_batch(graph) : 1;
}

}  // namespace octet

#include "api/paired_judge.h"

#include <algorithm>

#include "analysis/metrics.h"
#include "api/judging.h"
#include "core/hash.h"
#include "data/held_dataset.h"
#include "engine/worker_sessions.h"

namespace octet {
namespace {

constexpr std::size_t held_sample_bytes = std::size_t{64} << 20;
constexpr std::size_t kept_output_bytes = std::size_t{256} << 20;

std::string hash_of(const Batch& batch) {
  std::string hashes;
  for (const auto& input : batch.inputs) hashes += content_hash({input.raw(), input.bytes()});
  return content_hash(std::as_bytes(std::span(hashes)));
}

std::size_t bytes_of(const std::vector<Tensor>& tensors) {
  std::size_t bytes = 0;
  for (const auto& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

/// Classes that an output gives scores for, 0 where it holds no scores of classes.
std::int64_t classes_of(const Tensor& output, std::size_t samples) {
  if (!check_scores(output, samples)) return 0;
  return output.size() / std::max<std::int64_t>(output.dim(0), 1);
}

/// What the first outputs of two models say of one sample's classes.
void pair_scores(const SampleOutput& reference, const SampleOutput& model, bool classes,
                 PairedSample& sample) {
  AgreementSums sums;
  if (classes) {
    sums.add_classes(reference.values, model.values);
    sample.model = sums.agreement();
    return;
  }
  const auto layout = score_layout(reference.shape);
  if (layout.classes < 2) return;
  sums.add(reference.values, model.values, layout);
  sample.model = sums.agreement();
  sample.kl = sums.kl();
}

}  // namespace

Result<std::unique_ptr<PairedJudge>> PairedJudge::make(const std::string& model,
                                                       const DataSource& validation,
                                                       const std::string& metric,
                                                       Progress progress) {
  OCTET_ASSIGN(auto side, open_side(model, "", ""));
  if (is_quantized(side.file)) {
    return bad_input("{} is quantized already; give the float model it was made from", model);
  }
  auto judge = std::unique_ptr<PairedJudge>(new PairedJudge(std::move(side)));
  OCTET_ASSIGN(auto data, open_data(validation, judge->side_.file.model.graph, 0));
  const auto undecodable = validation.skip_undecodable ? Undecodable::skip : Undecodable::error;
  OCTET_TRY(judge->open(std::move(data), undecodable, std::move(progress)));
  OCTET_TRY(judge->choose_metric(metric));
  OCTET_TRY(judge->judge_float());
  return judge;
}

Result<std::unique_ptr<PairedJudge>> PairedJudge::make(Side original, OpenData data, Metric metric,
                                                       Undecodable undecodable, Progress progress) {
  auto judge = std::unique_ptr<PairedJudge>(new PairedJudge(std::move(original)));
  OCTET_TRY(judge->open(std::move(data), undecodable, std::move(progress)));
  judge->metric_ = metric;
  OCTET_TRY(judge->judge_float());
  return judge;
}

Status PairedJudge::open(OpenData data, Undecodable undecodable, Progress progress) {
  data_ = std::move(data);
  OCTET_ASSIGN(data_.dataset,
               hold_samples(std::move(data_.dataset), data_.selection, held_sample_bytes));
  loader_.batch_size = judging_batch(side_.file.model.graph);
  loader_.undecodable = undecodable;
  loader_.progress = std::move(progress);
  return {};
}

Result<LoaderReport> PairedJudge::sweep(const std::string& task, const BatchVisitor& visit) const {
  auto loader = loader_;
  loader.task = task;
  OCTET_ASSIGN(const auto report, for_each_batch(*data_.dataset, data_.selection, loader, visit));
  if (report.samples == 0) return bad_input("{}: no sample could be used", data_.dataset->name());
  return report;
}

/// Of the first output, by the first sample that can be used; 0 where it holds no class scores.
Result<std::int64_t> PairedJudge::count_classes() const {
  OCTET_ASSIGN(const auto session, side_.engine.program->session());
  auto loader = loader_;
  loader.batch_size = 1;
  loader.progress = {};
  for (const auto first : data_.selection) {
    std::int64_t classes = -1;
    const auto visit = [&](int, const Batch& batch) -> Status {
      OCTET_ASSIGN(const auto outputs, session->run(batch.inputs));
      classes = outputs.empty() ? 0 : classes_of(outputs[0], 1);
      return {};
    };
    const auto report = for_each_batch(*data_.dataset, {first}, loader, visit);
    if (classes >= 0) return classes;
    if (!report && loader.undecodable == Undecodable::error) return tl::unexpected(report.error());
  }
  return 0;
}

Status PairedJudge::choose_metric(const std::string& text) {
  OCTET_ASSIGN(const auto wanted, parse_metric(text));
  const auto& labels = data_.dataset->labels();
  if (wanted && needs_labels(*wanted) && labels.empty()) {
    return bad_input("{} has no labels, which {} needs", data_.dataset->name(), name(*wanted));
  }
  OCTET_ASSIGN(const auto classes, count_classes());
  const bool accuracy = !labels.empty() && classes > 1 && check_labels(data_, classes).has_value();
  metric_ = wanted.value_or(accuracy ? Metric::top1 : Metric::agreement);
  if (metric_ == Metric::top1 || metric_ == Metric::top5) OCTET_TRY(check_labels(data_, classes));
  return {};
}

/// The float model against itself: its outputs are kept from here on.
Status PairedJudge::judge_float() {
  OCTET_ASSIGN(const auto samples, compare(side_));
  OCTET_TRY(octet::judge(metric_, samples));
  count_ = static_cast<std::int64_t>(samples.size());
  float_value_ = reference_value(metric_, samples);
  if (!needs_labels(metric_)) return {};
  std::string used;
  for (const auto i : data_.selection) {
    used += std::to_string(data_.dataset->labels()[static_cast<std::size_t>(i)]) + " ";
  }
  fingerprint_ = add_hashes(fingerprint_, content_hash(std::as_bytes(std::span(used))));
  return {};
}

Result<PairedJudge::Outputs> PairedJudge::expected(Session& session, const Batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(batch.first);
    if (found != kept_.end()) return found->second;
  }
  OCTET_ASSIGN(auto outputs, session.run(batch.inputs));
  const std::lock_guard lock(mutex_);
  const auto bytes = bytes_of(outputs);
  if (kept_bytes_ + bytes > kept_output_bytes) return outputs;
  kept_bytes_ += bytes;
  kept_.emplace(batch.first, outputs);
  return outputs;
}

Result<Verdict> PairedJudge::judge(const Side& side) {
  OCTET_ASSIGN(const auto samples, compare(side));
  return octet::judge(metric_, samples);
}

Result<std::vector<PairedSample>> PairedJudge::compare(const Side& side) {
  const auto& graph = side_.file.model.graph;
  const auto& other = side.file.model.graph;
  OCTET_ASSIGN(const auto match, InputMatch::make(graph, other));
  const auto pairs = pair_outputs(graph, other);
  if (pairs.empty()) return bad_input("the models have no outputs in common");
  WorkerSessions own(*side_.engine.program);
  WorkerSessions others(*side.engine.program);
  std::map<std::int64_t, std::vector<PairedSample>> by_batch;
  std::mutex mutex;
  const bool itself = &side == &side_;
  OCTET_TRY(sweep(itself ? "float model" : "judge", [&](int worker, const Batch& batch) -> Status {
    OCTET_ASSIGN(auto* first, own.get(worker));
    OCTET_ASSIGN(const auto reference, expected(*first, batch));
    Outputs model = reference;
    if (!itself) {
      OCTET_ASSIGN(auto* second, others.get(worker));
      OCTET_ASSIGN(model, second->run(match.second_inputs(batch.inputs)));
    }
    std::vector<PairedSample> samples(batch.indices.size());
    OCTET_TRY(pair(batch, pairs, reference, model, samples));
    const auto hash = itself ? hash_of(batch) : std::string();
    const std::lock_guard lock(mutex);
    by_batch.emplace(batch.first, std::move(samples));
    fingerprint_ = add_hashes(fingerprint_, hash);
    return {};
  }));
  std::vector<PairedSample> all;
  for (const auto& [first, samples] : by_batch)
    all.insert(all.end(), samples.begin(), samples.end());
  return all;
}

Status PairedJudge::pair(const Batch& batch, const std::vector<OutputPair>& outputs,
                         const Outputs& reference, const Outputs& model,
                         std::vector<PairedSample>& samples) const {
  const auto count = static_cast<std::int64_t>(samples.size());
  std::vector<SampleError> whole(samples.size());
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const auto& first = reference[outputs[k].first];
    const auto& second = model[outputs[k].second];
    if (first.shape() != second.shape() || !has_samples(first, count)) {
      return bad_input("output {} is {} in the float model and {} in the other", outputs[k].name,
                       to_string(first.shape()), to_string(second.shape()));
    }
    OCTET_ASSIGN(const auto a, to_f32(first));
    OCTET_ASSIGN(const auto b, to_f32(second));
    for (std::int64_t i = 0; i < count; ++i) {
      auto& sample = samples[static_cast<std::size_t>(i)];
      const auto x = sample_output(a, count, i);
      const auto y = sample_output(b, count, i);
      const auto error = SampleError::between(x.values, y.values);
      sample.noise += error.noise;
      sample.signal += error.signal;
      sample.elements += static_cast<double>(error.count);
      if (k == 0) pair_scores(x, y, !is_float(first.dtype()), sample);
      if (metric_ != Metric::cosine) continue;
      // Of all outputs together, as OutputComparison has it.
      whole[static_cast<std::size_t>(i)] += error;
      ErrorSums sums;
      sums.add(whole[static_cast<std::size_t>(i)]);
      sample.model = sums.cosine();
    }
  }
  if (!needs_labels(metric_)) return {};
  return pair_by_labels(batch, reference[outputs[0].first], model[outputs[0].second], samples);
}

Status PairedJudge::pair_by_labels(const Batch& batch, const Tensor& reference, const Tensor& model,
                                   std::span<PairedSample> samples) const {
  const auto& labels = data_.dataset->labels();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const auto label = labels[static_cast<std::size_t>(batch.indices[i])];
    if (metric_ == Metric::auc) {
      if (label != 0 && label != 1) {
        return bad_input("{} has label {}; auc takes 0 and 1", batch.names[i], label);
      }
      samples[i].positive = label == 1;
      OCTET_ASSIGN(samples[i].reference, roc_score(batch, reference, at));
      OCTET_ASSIGN(samples[i].model, roc_score(batch, model, at));
      continue;
    }
    const std::size_t k = metric_ == Metric::top1 ? 1 : 5;
    const auto index = static_cast<std::size_t>(label + data_.recipe.label_offset);
    const auto hit = [&](const Tensor& scores) {
      const auto values = row(scores, at);
      return k == 1 ? arg_max(values) == index : in_top_k(values, index, k);
    };
    samples[i].reference = hit(reference) ? 1 : 0;
    samples[i].model = hit(model) ? 1 : 0;
  }
  return {};
}

}  // namespace octet

#include <algorithm>
#include <cmath>
#include <mutex>

#include "api/compare_layers.h"
#include "api/judging.h"
#include "api/latency.h"
#include "api/random_inputs.h"
#include "core/parallel.h"
#include "octet/evaluate.h"

namespace octet {
namespace {

/// Samples on which the layers are compared; outputs are compared on all of them.
constexpr std::int64_t layer_samples = 64;

JudgeOptions judge_options(const std::optional<Metric>& metric) {
  JudgeOptions options;
  const bool accuracy = metric == Metric::top1 || metric == Metric::top5;
  options.accuracy =
      accuracy ? LabelUse::needed : (metric ? LabelUse::if_fitting : LabelUse::if_possible);
  options.roc = metric == Metric::auc;
  return options;
}

/// The outputs of two models on the same samples.
class Comparer {
 public:
  Comparer(const Side& first, const Side& second, const OpenData& data,
           const std::optional<Metric>& metric, InputMatch inputs)
      : metric_(metric),
        inputs_(std::move(inputs)),
        first_sessions_(*first.engine.program),
        second_sessions_(*second.engine.program),
        first_judge_(data, judge_options(metric)),
        second_judge_(data, judge_options(metric)),
        comparisons_(
            static_cast<std::size_t>(std::max(thread_count(), 1)),
            OutputComparison(pair_outputs(first.file.model.graph, second.file.model.graph))) {}

  Status visit(int worker, const Batch& batch) {
    OCTET_ASSIGN(auto* first, first_sessions_.get(worker));
    OCTET_ASSIGN(auto* second, second_sessions_.get(worker));
    OCTET_ASSIGN(const auto a, first->run(batch.inputs));
    OCTET_ASSIGN(const auto b, second->run(inputs_.second_inputs(batch.inputs)));
    OCTET_TRY(first_judge_.add(worker, batch, a));
    OCTET_TRY(second_judge_.add(worker, batch, b));
    comparisons_[static_cast<std::size_t>(worker)].add(
        a, b, static_cast<std::int64_t>(batch.indices.size()));
    return {};
  }

  Status fill(Comparison& out) const {
    auto comparison = comparisons_.front();
    for (std::size_t i = 1; i < comparisons_.size(); ++i) comparison.merge(comparisons_[i]);
    if (!comparison.any_comparable()) {
      return bad_input("the models' outputs cannot be compared: {}", comparison.obstacle());
    }
    if (const auto* agreement = comparison.agreement()) {
      out.agreement = agreement->agreement();
      const double kl = agreement->kl();
      if (!std::isnan(kl)) out.kl = kl;
    }
    out.outputs = output_errors(comparison);
    out.all_outputs = output_error("", comparison.total());
    const auto first = first_judge_.total();
    const auto second = second_judge_.total();
    OCTET_TRY(fill_model(first, comparison, out.first));
    OCTET_TRY(fill_model(second, comparison, out.second));
    if (!metric_) return {};
    OCTET_ASSIGN(out.value, metric_value(*metric_, second, &comparison));
    return {};
  }

 private:
  Status fill_model(const Tally& tally, const OutputComparison& comparison,
                    ComparedModel& out) const {
    if (tally.accuracy.samples() > 0) {
      out.top1 = tally.accuracy.top1();
      out.top5 = tally.accuracy.top5();
    }
    if (!metric_ || !needs_labels(*metric_)) return {};
    OCTET_ASSIGN(out.value, metric_value(*metric_, tally, &comparison));
    return {};
  }

  std::optional<Metric> metric_;
  InputMatch inputs_;
  WorkerSessions first_sessions_;
  WorkerSessions second_sessions_;
  Judge first_judge_;
  Judge second_judge_;
  std::vector<OutputComparison> comparisons_;
};

std::vector<std::int64_t> first_of(const std::vector<std::int64_t>& selection, std::int64_t count) {
  const auto n = std::min<std::size_t>(selection.size(), static_cast<std::size_t>(count));
  return {selection.begin(), selection.begin() + static_cast<std::ptrdiff_t>(n)};
}

Status measure_speed(const Side& side, const std::vector<Tensor>& inputs, ComparedModel& out) {
  OCTET_ASSIGN(const auto bench,
               measure_latency(*side.engine.program, inputs, {0.5, thread_count(), false}));
  out.median_ms = bench.median_ms;
  return {};
}

/// Both models on the first sample: only the data know extents that the models leave open.
Status measure_speeds(const Side& first, const Side& second, const OpenData& data,
                      const InputMatch& match, LoaderOptions options, Comparison& out) {
  std::vector<Tensor> inputs;
  options.batch_size = 1;
  options.progress = {};
  OCTET_TRY(for_each_batch(*data.dataset, first_of(data.selection, 1), options,
                           [&](int, const Batch& batch) -> Status {
                             inputs = batch.inputs;
                             return {};
                           }));
  if (inputs.empty()) {  // it could not be decoded, and is to be skipped
    OCTET_ASSIGN(inputs, random_inputs(first.file.model.graph, 1));
  }
  OCTET_TRY(measure_speed(first, inputs, out.first));
  return measure_speed(second, match.second_inputs(inputs), out.second);
}

Status check_layers(const CompareRequest& request) {
  for (const auto* known : {"propagated", "alike", "none"}) {
    if (request.layers == known) return {};
  }
  return fail(ErrorKind::usage, "no layer mode '{}'; there are propagated, alike and none",
              request.layers);
}

/// Layers are compared on graphs whose values between fused operators exist, one batch at a time.
Status compare_layers(const CompareRequest& request, const OpenData& data, const InputMatch& match,
                      LoaderOptions options, Comparison& out) {
  const std::vector<std::string> every = {"*"};
  const bool alike = request.layers == "alike";
  OCTET_ASSIGN(const auto first,
               open_side(request.first, request.first_engine, request.first_rule, every));
  OCTET_ASSIGN(const auto second,
               open_side(request.second, request.second_engine, request.rule, every));
  OCTET_ASSIGN(const auto layers, LayerComparer::make(first, second, match, alike));
  std::mutex one_at_a_time;
  options.task = "compare layers";
  OCTET_TRY(for_each_batch(*data.dataset, first_of(data.selection, layer_samples), options,
                           [&](int, const Batch& batch) {
                             const std::lock_guard lock(one_at_a_time);
                             return layers->visit(batch);
                           }));
  layers->fill(out);
  return {};
}

}  // namespace

Result<Comparison> compare(const CompareRequest& request) {
  OCTET_TRY(check_layers(request));
  OCTET_ASSIGN(const auto metric, parse_metric(request.metric));
  OCTET_ASSIGN(const auto first,
               open_side(request.first, request.first_engine, request.first_rule));
  OCTET_ASSIGN(const auto second, open_side(request.second, request.second_engine, request.rule));
  if (request.layers == "alike" && !is_quantized(second.file)) {
    return fail(ErrorKind::usage,
                "layers can be fed alike when the second model is quantized; {} "
                "is float",
                request.second);
  }
  OCTET_ASSIGN(const auto match, InputMatch::make(first.file.model.graph, second.file.model.graph));
  OCTET_ASSIGN(const auto data,
               open_data(request.data, first.file.model.graph, 0, &second.file.model.graph));
  if (metric && needs_labels(*metric) && data.dataset->labels().empty()) {
    return bad_input("{} has no labels, which {} needs", data.dataset->name(), name(*metric));
  }
  Comparer comparer(first, second, data, metric, match);

  LoaderOptions options;
  options.batch_size =
      std::min(judging_batch(first.file.model.graph), judging_batch(second.file.model.graph));
  options.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  options.task = "compare";
  options.progress = request.progress;
  OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, data.selection, options,
                                                 [&](int worker, const Batch& batch) {
                                                   return comparer.visit(worker, batch);
                                                 }));
  if (report.samples == 0) return bad_input("{}: no sample could be used", data.dataset->name());

  Comparison out;
  out.metric = request.metric;
  out.count = report.samples;
  out.skipped = report.skipped;
  OCTET_TRY(comparer.fill(out));
  if (request.layers != "none") {
    OCTET_TRY(compare_layers(request, data, match, options, out));
  }
  out.first.bytes = first.file.bytes;
  out.second.bytes = second.file.bytes;
  out.first.engine = first.engine.name;
  out.second.engine = second.engine.name;
  if (!request.measure_speed) return out;
  OCTET_TRY(measure_speeds(first, second, data, match, options, out));
  return out;
}

}  // namespace octet

#include "octet/evaluate.h"

#include <chrono>

#include "api/compare_layers.h"
#include "api/judging.h"
#include "core/parallel.h"

namespace octet {
namespace {

/// What a request asks for, checked before any work.
struct Wanted {
  std::optional<Metric> metric;
  bool reference = false;
};

Result<Wanted> parse_request(const EvaluateRequest& request) {
  OCTET_ASSIGN(const auto metric, parse_metric(request.metric));
  const bool reference = !request.reference.empty();
  if (!metric && reference) {
    return fail(ErrorKind::usage, "a reference needs --metric agreement, kl, sqnr, mse or cosine");
  }
  if (metric && reference && !takes_reference(*metric)) {
    return fail(ErrorKind::usage, "metric {} judges by labels; it takes no reference",
                name(*metric));
  }
  if (metric && !reference && takes_reference(*metric) && *metric != Metric::mse) {
    return fail(ErrorKind::usage, "metric {} compares with another model: give --reference FLOAT",
                name(*metric));
  }
  return Wanted{metric, reference};
}

JudgeOptions judge_options(const Wanted& wanted) {
  JudgeOptions options;
  const bool classes =
      !wanted.metric || wanted.metric == Metric::top1 || wanted.metric == Metric::top5;
  options.accuracy = classes ? LabelUse::needed : LabelUse::ignored;
  options.roc = wanted.metric == Metric::auc;
  options.reconstruction = wanted.metric == Metric::mse && !wanted.reference;
  return options;
}

/// The model that the judged one is compared with, and what came of it by worker.
struct Reference {
  Reference(Side opened, const Graph& judged, InputMatch match)
      : side(std::move(opened)),
        inputs(std::move(match)),
        sessions(*side.engine.program),
        comparisons(static_cast<std::size_t>(std::max(thread_count(), 1)),
                    OutputComparison(pair_outputs(side.file.model.graph, judged))) {}

  Status add(int worker, const Batch& batch, std::span<const Tensor> outputs) {
    OCTET_ASSIGN(auto* session, sessions.get(worker));
    OCTET_ASSIGN(const auto expected, session->run(inputs.second_inputs(batch.inputs)));
    comparisons[static_cast<std::size_t>(worker)].add(
        expected, outputs, static_cast<std::int64_t>(batch.indices.size()));
    return {};
  }

  OutputComparison total() const {
    auto total = comparisons.front();
    for (std::size_t i = 1; i < comparisons.size(); ++i) total.merge(comparisons[i]);
    return total;
  }

  Side side;
  InputMatch inputs;
  WorkerSessions sessions;
  std::vector<OutputComparison> comparisons;
};

Result<std::unique_ptr<Reference>> open_reference(const EvaluateRequest& request,
                                                  const Graph& judged) {
  if (request.reference.empty()) return std::unique_ptr<Reference>();
  OCTET_ASSIGN(auto side, open_side(request.reference, request.reference_engine, ""));
  OCTET_ASSIGN(auto match, InputMatch::make(judged, side.file.model.graph));
  return std::make_unique<Reference>(std::move(side), judged, std::move(match));
}

Status fill(const Wanted& wanted, const Tally& tally, const Reference* reference, Evaluation& out) {
  if (tally.accuracy.samples() > 0) {
    out.top1 = tally.accuracy.top1();
    out.top5 = tally.accuracy.top5();
    out.loss = tally.accuracy.loss();
  }
  std::optional<OutputComparison> comparison;
  if (reference != nullptr) {
    comparison = reference->total();
    out.outputs = output_errors(*comparison);
  }
  if (!wanted.metric) return {};
  OCTET_ASSIGN(out.value, metric_value(*wanted.metric, tally, comparison ? &*comparison : nullptr));
  return {};
}

}  // namespace

Result<Evaluation> evaluate(const EvaluateRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  OCTET_ASSIGN(const auto wanted, parse_request(request));
  OCTET_ASSIGN(const auto judged, open_side(request.model, request.engine, request.rule));
  const auto& graph = judged.file.model.graph;
  OCTET_ASSIGN(const auto reference, open_reference(request, graph));
  const auto* other = reference ? &reference->side.file.model.graph : nullptr;
  OCTET_ASSIGN(const auto data, open_data(request.data, graph, 0, other));
  const auto judging = judge_options(wanted);
  if (data.dataset->labels().empty() && (judging.accuracy == LabelUse::needed || judging.roc)) {
    return bad_input("{} has no labels, which {} needs (--metric names measures that need none)",
                     data.dataset->name(), judging.roc ? "auc" : "accuracy");
  }

  Judge judge(data, judging);
  WorkerSessions sessions(*judged.engine.program);
  const auto visit = [&](int worker, const Batch& batch) -> Status {
    OCTET_ASSIGN(auto* session, sessions.get(worker));
    OCTET_ASSIGN(const auto outputs, session->run(batch.inputs));
    OCTET_TRY(judge.add(worker, batch, outputs));
    return reference ? reference->add(worker, batch, outputs) : Status();
  };
  LoaderOptions options;
  options.batch_size = judging_batch(graph);
  if (other != nullptr) options.batch_size = std::min(options.batch_size, judging_batch(*other));
  options.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  options.task = "evaluate";
  options.progress = request.progress;
  OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, data.selection, options, visit));
  if (report.samples == 0) return bad_input("{}: no sample could be used", data.dataset->name());

  Evaluation out;
  out.metric = request.metric;
  out.count = report.samples;
  out.skipped = report.skipped;
  out.engine = judged.engine.name;
  OCTET_TRY(fill(wanted, judge.total(), reference.get(), out));
  for (const auto& layer : judged.engine.simulated_layers) {
    if (!layer.exact) out.inexact_layers.push_back(layer.node);
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace octet

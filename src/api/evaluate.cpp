#include "octet/evaluate.h"

#include <chrono>
#include <cmath>
#include <mutex>

#include "analysis/metrics.h"
#include "api/engine_choice.h"

namespace octet {
namespace {

/// What one sample contributes; kept by position so that sums do not depend on the order of work.
struct SampleResult {
  bool visited = false;
  bool top1 = false;
  bool top5 = false;
  double loss = 0;
};

SampleResult judge(std::span<const float> scores, std::size_t label) {
  const auto probabilities = class_probabilities(scores);
  return {true, arg_max(scores) == label, in_top_k(scores, label, 5),
          -std::log(probabilities[label])};
}

}  // namespace

Result<Evaluation> evaluate(const EvaluateRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  OCTET_ASSIGN(const auto file, read_model(request.model));
  OCTET_ASSIGN(const auto engine, choose_engine(file, request.engine));
  OCTET_ASSIGN(const auto data, open_data(request.data, file.model.graph, 0));
  const auto& labels = data.dataset->labels();
  if (labels.empty()) {
    return bad_input("{} has no labels, which accuracy needs", data.dataset->name());
  }

  WorkerSessions sessions(*engine.program);
  std::vector<SampleResult> results(data.selection.size());
  std::once_flag labels_checked;
  Status labels_fit;
  const auto visit = [&](int worker, const Batch& batch) -> Status {
    OCTET_ASSIGN(auto* session, sessions.get(worker));
    OCTET_ASSIGN(const auto outputs, session->run(batch.inputs));
    OCTET_TRY(check_scores(outputs[0], batch.indices.size()));
    const auto& scores = outputs[0];
    std::call_once(labels_checked,
                   [&] { labels_fit = check_labels(data, scores.size() / scores.dim(0)); });
    OCTET_TRY(labels_fit);
    for (std::size_t i = 0; i < batch.indices.size(); ++i) {
      const auto label =
          labels[static_cast<std::size_t>(batch.indices[i])] + data.recipe.label_offset;
      results[static_cast<std::size_t>(batch.first) + i] =
          judge(row(scores, static_cast<std::int64_t>(i)), static_cast<std::size_t>(label));
    }
    return {};
  };
  LoaderOptions options;
  options.batch_size = sweep_batch(file.model.graph);
  options.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  options.task = "evaluate";
  options.progress = request.progress;
  OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, data.selection, options, visit));
  if (report.samples == 0) return bad_input("{}: no sample could be used", data.dataset->name());

  Evaluation out;
  for (const auto& result : results) {
    out.count += result.visited ? 1 : 0;
    out.top1 += result.top1 ? 1 : 0;
    out.top5 += result.top5 ? 1 : 0;
    out.loss += result.loss;
  }
  const auto count = static_cast<double>(out.count);
  out.top1 /= count;
  out.top5 /= count;
  out.loss /= count;
  out.skipped = report.skipped;
  out.engine = engine.name;
  for (const auto& layer : engine.simulated_layers) {
    if (!layer.exact) out.inexact_layers.push_back(layer.node);
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace octet

#include <fmt/format.h>

#include <memory>

#include "cli/config.h"
#include "cli/judgement.h"

namespace octet::cli {
namespace {

Json to_json(const Evaluation& e) {
  return {{"top1", number_or_null(e.top1)},
          {"top5", number_or_null(e.top5)},
          {"loss", number_or_null(e.loss)},
          {"metric", e.metric.empty() ? Json() : Json(e.metric)},
          {"value", number_or_null(e.value)},
          {"outputs", outputs_json(e.outputs)},
          {"count", e.count},
          {"skipped", e.skipped},
          {"engine", e.engine},
          {"seconds", e.seconds},
          {"inexact_layers", e.inexact_layers}};
}

std::string to_text(const Evaluation& e) {
  std::string text;
  if (!e.metric.empty()) text = fmt::format("{} {}", e.metric, metric_text(e.metric, e.value));
  if (e.metric.empty() && e.top1) {
    text =
        fmt::format("top-1 {}, top-5 {}, loss {:.4f}", percent(*e.top1), percent(*e.top5), *e.loss);
  }
  text += fmt::format(" on {} samples{} ({} engine, {:.2f} s)\n", e.count, skipped_text(e.skipped),
                      e.engine, e.seconds);
  text += outputs_text(e.outputs);
  if (e.engine == "simulate") {
    text += fmt::format("  layers not proven exact: {}\n", e.inexact_layers.size());
  }
  return text;
}

int execute(EvaluateRequest& request, const Context& context) {
  request.progress = context.progress();
  const auto result = evaluate(request);
  if (!result) return context.report(result.error());
  context.print(to_json(*result), to_text(*result));
  return exit_done;
}

}  // namespace

void add_eval(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("eval", "Accuracy of a model");
  auto request = std::make_shared<EvaluateRequest>();
  command->add_option("model", request->model, "Model (.onnx, .tflite)")->required();
  add_data_options(*command, request->data);
  command->add_option("--metric", request->metric, metric_help);
  command->add_option("--reference", request->reference,
                      "Model that agreement, kl, sqnr, mse and cosine compare with");
  command->add_option("--rule", request->rule, rule_help);
  command->add_option("--engine", request->engine, engine_help);
  command->add_option("--reference-engine", request->reference_engine, engine_help);
  add_common_options(*command, context);
  run_configured(*command, context, [request, &context] {
    if (request->data.path.empty()) return context.report(missing_data);
    return execute(*request, context);
  });
}

}  // namespace octet::cli

#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

int execute(EvaluateRequest& request, const Context& context) {
  request.progress = context.progress();
  const auto result = evaluate(request);
  if (!result) return context.report(result.error());
  const Json json = {{"top1", result->top1},
                     {"top5", result->top5},
                     {"loss", finite_or_null(result->loss)},
                     {"count", result->count},
                     {"skipped", result->skipped},
                     {"engine", result->engine},
                     {"seconds", result->seconds},
                     {"inexact_layers", result->inexact_layers}};
  auto text = fmt::format("top-1 {}, top-5 {}, loss {:.4f} on {} samples{} ({} engine, {:.2f} s)\n",
                          percent(result->top1), percent(result->top5), result->loss, result->count,
                          skipped_text(result->skipped), result->engine, result->seconds);
  if (result->engine == "simulate") {
    text += fmt::format("  layers not proven exact: {}\n", result->inexact_layers.size());
  }
  context.print(json, text);
  return exit_done;
}

}  // namespace

void add_eval(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("eval", "Accuracy of a model");
  auto request = std::make_shared<EvaluateRequest>();
  command->add_option("model", request->model, "Model (.onnx)")->required();
  add_data_options(*command, request->data);
  command->get_option("--data")->required();
  command->add_option("--engine", request->engine, "float|simulate|integer");
  add_common_options(*command, context);
  command->callback([request, &context] {
    context.action = [request, &context] { return execute(*request, context); };
  });
}

}  // namespace octet::cli

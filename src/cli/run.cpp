#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

int execute(const RunRequest& request, const Context& context) {
  const auto result = run(request);
  if (!result) return context.report(result.error());
  std::string text;
  for (const auto& file : result->files) text += file + "\n";
  context.print(Json{{"files", result->files}, {"engine", result->engine}}, text);
  return exit_done;
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("run", "Raw inference from and to .npy files");
  auto request = std::make_shared<RunRequest>();
  command->add_option("model", request->model, "Model (.onnx, .tflite)")->required();
  command->add_option("--input", request->inputs, "[NAME=]X.npy, one per model input");
  command->add_option("-o,--output", request->output, "Y.npy, or a folder for several outputs")
      ->required();
  command->add_option("--taps", request->taps,
                      "Folder for every value on the way, with index.json");
  command->add_option("--rule", request->rule, rule_help);
  command->add_option("--engine", request->engine, "float|simulate|integer");
  add_common_options(*command, context);
  command->callback([request, &context] {
    context.action = [request, &context] { return execute(*request, context); };
  });
}

}  // namespace octet::cli

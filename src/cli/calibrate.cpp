#include <fmt/format.h>

#include <memory>

#include "cli/config.h"

namespace octet::cli {
namespace {

struct Options {
  CalibrateRequest request;
  std::vector<std::string> merge;
};

int execute(Options& options, const Context& context) {
  auto& request = options.request;
  if (!options.merge.empty() && !request.model.empty()) {
    return context.report({ErrorKind::usage, "--merge takes statistics files only, no model"});
  }
  if (options.merge.empty() && (request.model.empty() || request.data.path.empty())) {
    return context.report({ErrorKind::usage, "give MODEL and --data, or --merge A B"});
  }
  if (request.output.empty()) {
    return context.report({ErrorKind::usage, "-o STATS is missing"});
  }
  request.progress = context.progress();
  const auto summary =
      options.merge.empty() ? calibrate(request) : merge_statistics(options.merge, request.output);
  if (!summary) return context.report(summary.error());
  const Json json = {{"output", summary->output},
                     {"samples", summary->samples},
                     {"skipped_samples", summary->skipped_samples},
                     {"values", summary->values},
                     {"seconds", summary->seconds},
                     {"peak_rss_bytes", summary->peak_rss_bytes}};
  context.print(json, fmt::format("{}: {} values over {} samples, {:.2f} s, peak memory {} MB\n",
                                  summary->output, summary->values, summary->samples,
                                  summary->seconds, summary->peak_rss_bytes / 1000000));
  return exit_done;
}

}  // namespace

void add_calibrate(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("calibrate", "Statistics of a model's values over data");
  auto options = std::make_shared<Options>();
  command->add_option("model", options->request.model, "Float model (.onnx, .tflite)");
  command->add_option("-o,--output", options->request.output, "Statistics file");
  command->add_option("--merge", options->merge, "Merge statistics of disjoint shards");
  command->add_option("--target", options->request.target,
                      "Runtime that the model is made for (default: tflite for .tflite, else "
                      "onnxruntime)");
  command
      ->add_option("--observer", options->request.observer,
                   "minmax|moving-average|percentile|mse|entropy")
      ->capture_default_str();
  add_data_options(*command, options->request.data);
  add_common_options(*command, context);
  run_configured(*command, context, [options, &context] { return execute(*options, context); });
}

}  // namespace octet::cli

#include <fmt/format.h>

#include <memory>

#include "cli/config.h"
#include "cli/judgement.h"

namespace octet::cli {
namespace {

struct Options {
  TuneRequest request;
  bool per_channel = false;
  bool per_tensor = false;
  bool no_training = false;
  std::vector<std::string> budgets;
};

std::string trial_text(const TuneTrial& t) {
  if (!t.error.empty()) return fmt::format("{:10} failed: {}", t.step, one_line(t.error));
  const auto interval = t.drop_low && t.drop_high
                            ? fmt::format(" [{:.3g}, {:.3g}]", *t.drop_low, *t.drop_high)
                            : std::string();
  const auto latency = t.median_ms ? fmt::format(", {:.4g} ms", *t.median_ms) : std::string();
  return fmt::format("{:10} drop {:.3g}{}, error {:.3g}, {} bytes{}, {:.2f} s{}", t.step, t.drop,
                     interval, t.output_error, with_commas(t.bytes), latency, t.seconds,
                     t.resumed ? " (from the log)" : "");
}

std::string front_text(const std::string& title, const std::string& metric,
                       const std::vector<TuneTrial>& front) {
  std::string text = fmt::format("{}:\n", title);
  for (const auto& t : front) {
    text += fmt::format("  {:>12} bytes {:>9} ms  {} {:>9}  drop {:.3g}\n    {}\n",
                        with_commas(t.bytes),
                        t.median_ms ? fmt::format("{:.4f}", *t.median_ms) : std::string("-"),
                        metric, metric_text(metric, t.value), t.drop, one_line(t.command));
  }
  return text;
}

std::string to_text(const TuneSummary& s, double max_drop) {
  std::string text = fmt::format(
      "{}: {}, {} {} (float {}) on {} samples\n", s.output,
      s.reached ? "target reached" : "target missed, the best is written", s.metric,
      metric_text(s.metric, s.best.value), metric_text(s.metric, s.float_value), s.count);
  text += fmt::format("  {}\n  target: drop {:g}\n  {}\n", trial_text(s.best), max_drop,
                      one_line(s.best.command));
  if (!s.limit.empty()) text += fmt::format("  limited by {}\n", one_line(s.limit));
  text += fmt::format("  {} trials, {:.2f} s\n", s.trials.size(), s.seconds);
  if (!s.fronts) return text;
  return text + front_text("size against accuracy", s.metric, s.fronts->by_size) +
         front_text("latency against accuracy", s.metric, s.fronts->by_latency);
}

Json to_json(const TuneTrial& trial) {
  auto json = Json::parse(log_line(trial));
  json["method"] = trial.step;
  json["resumed"] = trial.resumed;
  return json;
}

Json to_json(const std::vector<TuneTrial>& trials) {
  Json list = Json::array();
  for (const auto& trial : trials) list.push_back(to_json(trial));
  return list;
}

Json to_json(const TuneSummary& s) {
  Json json = {{"output", s.output},  {"reached", s.reached},
               {"metric", s.metric},  {"float_value", finite_or_null(s.float_value)},
               {"count", s.count},    {"best", to_json(s.best)},
               {"limit", s.limit},    {"trials", to_json(s.trials)},
               {"seconds", s.seconds}};
  if (s.fronts) {
    json["fronts"] = {{"size", to_json(s.fronts->by_size)},
                      {"latency", to_json(s.fronts->by_latency)}};
  }
  return json;
}

Status finish_request(Options& options) {
  auto& request = options.request;
  const auto usage = [](const std::string& message) {
    return tl::unexpected(Error{ErrorKind::usage, message});
  };
  if (options.per_channel && options.per_tensor) {
    return usage("--per-channel excludes --per-tensor");
  }
  if (options.per_channel || options.per_tensor) {
    request.quantization.per_channel = options.per_channel;
  }
  for (const auto& budget : options.budgets) {
    if (auto status = add_budget(budget, request.budget); !status) return status;
  }
  request.training = !options.no_training;
  // What says how samples are read goes for both.
  request.validation.recipe = request.quantization.data.recipe;
  request.validation.skip_undecodable = request.quantization.data.skip_undecodable;
  request.validation.seed = request.quantization.data.seed;
  return {};
}

int execute(Options& options, const Context& context) {
  auto& request = options.request;
  if (auto status = finish_request(options); !status) return context.report(status.error());
  request.progress = context.progress();
  const auto summary = tune(request, [&](const TuneTrial& trial) {
    if (!context.quiet) fmt::print(stderr, "{}\n", trial_text(trial));
  });
  if (!summary) return context.report(summary.error());
  context.print(to_json(*summary), to_text(*summary, request.max_drop));
  return summary->reached ? exit_done : exit_target_missed;
}

void add_search_options(CLI::App& command, Options& options) {
  auto& r = options.request;
  command.add_option("--val", r.validation.path, "Samples to judge by, as --data");
  command.add_option("--val-labels", r.validation.labels, "Their labels as .npy, for .npy data");
  command.add_option("--val-samples", r.validation.samples, "How many of them (default: all)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command.add_option("--max-drop", r.max_drop, "Most points that may be lost")
      ->capture_default_str();
  command.add_option("--metric", r.metric,
                     fmt::format("{} (default: top1 with labels, else agreement)", metric_help));
  command.add_option("--budget", options.budgets,
                     "10min, 3MB or 1.5ms: time of the search, size or latency of the model");
  command.add_flag("--no-training", options.no_training, "Leave out the last step");
  command.add_option("--log", r.log, "File of JSON lines, one a trial (default: OUT.trials.jsonl)");
  command.add_flag("--resume", r.resume, "Take finished trials from the log");
  command.add_option("--pareto", r.pareto,
                     "Also find the fronts of size and latency against accuracy, into this file");
}

/// What is fixed for all trials.
void add_fixed_options(CLI::App& command, Options& options) {
  auto& q = options.request.quantization;
  command.add_option("--target", q.target, "onnxruntime|openvino|tflite|tflite-micro");
  command.add_option("--rule", q.rule, "onnx|openvino|xnnpack|tflite");
  command.add_flag("--per-channel", options.per_channel, "Weight scales per channel");
  command.add_flag("--per-tensor", options.per_tensor, "One weight scale per tensor");
  command.add_option("--observer", q.observer, "This observer alone (default: four are tried)");
  command.add_option("--optimize", q.optimize, "none|fast|best: this level alone");
  command.add_option("--weight-observer", q.weight_observer, "minmax|mse")->capture_default_str();
  command.add_option("--weights", q.weights, "int8|int4")->capture_default_str();
  command.add_option("--bits-weights", q.weight_bits, "Bits of weight codes, 2 to 8");
  command.add_option("--bits-first-last", q.edge_weight_bits, "Of first and last layers");
  command.add_option("--bits-activations", q.activation_bits, "Bits of activation codes, 2 to 8")
      ->capture_default_str();
  command.add_option("--activations", q.activation_storage, "int8|uint8|int16");
  command.add_flag("--reduce-range", q.reduce_range, "7-bit weights, for x86 without VNNI");
  command.add_option("--io", q.io, "float|int8|uint8|int16: of a .tflite model")
      ->capture_default_str();
  command.add_option("--input-layout", q.input_layout, "nchw|nhwc: axes of image inputs");
  command.add_option("--keep-float", q.keep_float, "Nodes that stay in float, whatever is tried");
  command.add_option("--int16", q.wide, "Values with 16-bit codes, whatever is tried");
  command.add_option("--int4", q.narrow, "Layers with 4-bit weights, whatever is tried");
}

}  // namespace

void add_tune(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("tune", "The cheapest quantization that keeps the accuracy");
  auto options = std::make_shared<Options>();
  auto& q = options->request.quantization;
  q.observer.clear();
  command->add_option("model", q.model, "Float model (.onnx, .tflite)")->required();
  command->add_option("-o,--output", q.output, "Best model found; its suffix picks the format")
      ->required();
  add_data_options(*command, q.data);
  add_search_options(*command, *options);
  add_fixed_options(*command, *options);
  add_common_options(*command, context);
  run_configured(*command, context, [options, &context] { return execute(*options, context); });
}

}  // namespace octet::cli

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "cli/config.h"
#include "cli/diagnosis.h"
#include "cli/judgement.h"

namespace octet::cli {
namespace {

constexpr std::size_t layers_listed = 10;

Json to_json(const ComparedModel& model) {
  return {{"top1", model.top1 < 0 ? Json(nullptr) : Json(model.top1)},
          {"top5", model.top5 < 0 ? Json(nullptr) : Json(model.top5)},
          {"value", number_or_null(model.value)},
          {"bytes", model.bytes},
          {"median_ms", model.median_ms},
          {"engine", model.engine}};
}

Json to_json(const Comparison& c) {
  Json layers = Json::array();
  for (const auto& layer : c.layers) {
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"sqnr_db", finite_or_null(layer.sqnr_db)},
                      {"sqnr_alike_db", number_or_null(layer.sqnr_alike_db)}});
  }
  return {{"first", to_json(c.first)},
          {"second", to_json(c.second)},
          {"metric", c.metric.empty() ? Json() : Json(c.metric)},
          {"value", number_or_null(c.value)},
          {"agreement", number_or_null(c.agreement)},
          {"kl", number_or_null(c.kl)},
          {"sqnr_db", number_or_null(c.all_outputs.sqnr_db)},
          {"mse", number_or_null(c.all_outputs.mse)},
          {"cosine", number_or_null(c.all_outputs.cosine)},
          {"outputs", outputs_json(c.outputs)},
          {"count", c.count},
          {"skipped", c.skipped},
          {"compared_values", c.compared_values},
          {"differing_values", c.differing_values},
          {"layers", layers}};
}

std::string decibels(const std::optional<double>& db) {
  const bool finite = db && std::isfinite(*db);
  return finite ? fmt::format("{:6.1f} dB", *db)
                : fmt::format("{:>9}", db && *db > 0 ? "exact" : "-");
}

std::string layers_text(const Comparison& c) {
  if (c.layers.empty()) return "";
  const bool alike = std::any_of(c.layers.begin(), c.layers.end(), [](const LayerError& layer) {
    return layer.sqnr_alike_db.has_value();
  });
  std::string text =
      alike ? "layers by SQNR of their own loss, worst first (fed alike, propagated):\n"
            : "layers by SQNR, worst first:\n";
  for (std::size_t i = 0; i < std::min(layers_listed, c.layers.size()); ++i) {
    const auto& layer = c.layers[i];
    text += "  ";
    if (alike) text += decibels(layer.sqnr_alike_db) + " ";
    text += fmt::format("{}  {} ({})\n", decibels(layer.sqnr_db), one_line(layer.name), layer.op);
  }
  return text;
}

std::string to_text(const Comparison& c) {
  const auto top1 = [](double share) { return share < 0 ? std::string("-") : percent(share); };
  std::string text = fmt::format("{:14}{:>14}{:>14}\n", "", "first", "second");
  text += fmt::format("{:14}{:>14}{:>14}\n", "engine", c.first.engine, c.second.engine);
  text += fmt::format("{:14}{:>14}{:>14}\n", "top-1", top1(c.first.top1), top1(c.second.top1));
  text += fmt::format("{:14}{:>14}{:>14}\n", "top-5", top1(c.first.top5), top1(c.second.top5));
  text += fmt::format("{:14}{:>14}{:>14}\n", "bytes", with_commas(c.first.bytes),
                      with_commas(c.second.bytes));
  if (c.first.median_ms > 0) {
    text += fmt::format("{:14}{:>14.3f}{:>14.3f}\n", "median ms", c.first.median_ms,
                        c.second.median_ms);
  }
  if (c.agreement) {
    text += fmt::format("agreement {}, mean KL {}, ", percent(*c.agreement),
                        c.kl ? fmt::format("{:.5f}", *c.kl) : std::string("-"));
  }
  text += fmt::format("{} samples{}\n", c.count, skipped_text(c.skipped));
  text += c.outputs.size() == 1 ? fmt::format("output: {}\n", output_text(c.all_outputs))
                                : fmt::format("all outputs: {}\n", output_text(c.all_outputs)) +
                                      outputs_text(c.outputs);
  if (!c.metric.empty()) {
    text += fmt::format("{}: {}\n", c.metric, metric_text(c.metric, c.value));
  }
  if (c.differing_values >= 0) {
    text += fmt::format("{} of {} codes differ\n", c.differing_values, c.compared_values);
  }
  return text + layers_text(c);
}

struct DiagnosisOptions {
  bool wanted = false;
  std::int64_t samples = 64;
};

int execute(CompareRequest& request, const DiagnosisOptions& diagnosis, const Context& context) {
  request.progress = context.progress();
  const auto result = compare(request);
  if (!result) return context.report(result.error());
  auto json = to_json(*result);
  auto text = to_text(*result);
  if (diagnosis.wanted) {
    const auto found = diagnose(
        {request.first, request.second, request.data, diagnosis.samples, request.progress});
    if (!found) return context.report(found.error());
    json["diagnosis"] = diagnosis_json(*found);
    text += diagnosis_text(*found);
  }
  context.print(json, text);
  return exit_done;
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("compare", "Two models side by side");
  auto request = std::make_shared<CompareRequest>();
  auto no_speed = std::make_shared<bool>(false);
  auto diagnosis = std::make_shared<DiagnosisOptions>();
  command->add_option("first", request->first, "Reference model")->required();
  command->add_option("second", request->second, "Model to judge")->required();
  add_data_options(*command, request->data);
  command->add_option("--metric", request->metric, metric_help);
  command
      ->add_option("--layers", request->layers,
                   "propagated|alike|none: error of layers as it adds up, also of each layer fed "
                   "the first model's values, or not at all")
      ->capture_default_str();
  command->add_option("--engine", request->second_engine,
                      "Engine of the second model: float|simulate|integer");
  command->add_option("--first-engine", request->first_engine, "Engine of the first model");
  command->add_option(
      "--rule", request->rule,
      "Arithmetic of the second model: onnx|openvino|xnnpack|tflite (default: as it "
      "states)");
  command->add_option("--first-rule", request->first_rule, "Arithmetic of the first model");
  command->add_flag("--diagnose", diagnosis->wanted,
                    "Say where the loss comes from, and what to do about it; the first model must "
                    "be the float one of the second");
  command->add_option("--diagnose-samples", diagnosis->samples, "Samples that --diagnose simulates")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-speed", *no_speed, "Do not measure latency");
  add_common_options(*command, context);
  run_configured(*command, context, [request, no_speed, diagnosis, &context] {
    if (request->data.path.empty()) return context.report(missing_data);
    request->measure_speed = !*no_speed;
    return execute(*request, *diagnosis, context);
  });
}

}  // namespace octet::cli

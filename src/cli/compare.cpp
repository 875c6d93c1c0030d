#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

constexpr std::size_t layers_listed = 10;

Json to_json(const ComparedModel& model) {
  return {{"top1", model.top1 < 0 ? Json(nullptr) : Json(model.top1)},
          {"top5", model.top5 < 0 ? Json(nullptr) : Json(model.top5)},
          {"bytes", model.bytes},
          {"median_ms", model.median_ms},
          {"engine", model.engine}};
}

Json to_json(const Comparison& c) {
  Json layers = Json::array();
  for (const auto& layer : c.layers) {
    layers.push_back(
        {{"name", layer.name}, {"op", layer.op}, {"sqnr_db", finite_or_null(layer.sqnr_db)}});
  }
  return {{"first", to_json(c.first)},
          {"second", to_json(c.second)},
          {"agreement", c.agreement},
          {"kl", c.kl},
          {"count", c.count},
          {"skipped", c.skipped},
          {"compared_values", c.compared_values},
          {"differing_values", c.differing_values},
          {"layers", layers}};
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
  text += fmt::format("agreement {}, mean KL {:.5f} on {} samples{}\n", percent(c.agreement), c.kl,
                      c.count, skipped_text(c.skipped));
  if (c.differing_values >= 0) {
    text += fmt::format("{} of {} codes differ\n", c.differing_values, c.compared_values);
  }
  if (!c.layers.empty()) text += "layers by SQNR, worst first:\n";
  for (std::size_t i = 0; i < std::min(layers_listed, c.layers.size()); ++i) {
    text += fmt::format("  {:6.1f} dB  {} ({})\n", c.layers[i].sqnr_db, c.layers[i].name,
                        c.layers[i].op);
  }
  return text;
}

int execute(CompareRequest& request, const Context& context) {
  request.progress = context.progress();
  const auto result = compare(request);
  if (!result) return context.report(result.error());
  context.print(to_json(*result), to_text(*result));
  return exit_done;
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("compare", "Two models side by side");
  auto request = std::make_shared<CompareRequest>();
  auto engine = std::make_shared<std::string>();
  auto no_speed = std::make_shared<bool>(false);
  command->add_option("first", request->first, "Reference model")->required();
  command->add_option("second", request->second, "Model to judge")->required();
  add_data_options(*command, request->data);
  command->get_option("--data")->required();
  command->add_option("--engine", *engine, "Engine of the second model: float|simulate|integer");
  command->add_option("--first-engine", request->first_engine, "Engine of the first model");
  command->add_flag("--no-speed", *no_speed, "Do not measure latency");
  add_common_options(*command, context);
  command->callback([request, engine, no_speed, &context] {
    request->second_engine = *engine;
    request->measure_speed = !*no_speed;
    context.action = [request, &context] { return execute(*request, context); };
  });
}

}  // namespace octet::cli

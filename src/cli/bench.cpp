#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

Json to_json(const BenchSummary& s) {
  Json layers = Json::array();
  for (const auto& layer : s.layers) {
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"kernel", layer.kernel},
                      {"ms", layer.ms},
                      {"macs", layer.macs},
                      {"bytes", layer.bytes},
                      {"peak_share", layer.peak_share ? Json(*layer.peak_share) : Json()},
                      {"remark", layer.remark}});
  }
  return {{"median_ms", s.median_ms}, {"p10_ms", s.p10_ms},
          {"p90_ms", s.p90_ms},       {"first_ms", s.first_ms},
          {"runs", s.runs},           {"threads", s.threads},
          {"engine", s.engine},       {"peak_rss_bytes", s.peak_rss_bytes},
          {"macs", s.macs},           {"layers", layers}};
}

/// A multiply-accumulate is two operations.
double gops(std::int64_t macs, double milliseconds) {
  return milliseconds > 0 ? 2 * static_cast<double>(macs) / milliseconds * 1e-6 : 0;
}

std::string to_text(const BenchSummary& s) {
  auto text = fmt::format(
      "median {:.4f} ms, p10 {:.4f}, p90 {:.4f}, first {:.3f} ({} runs, {} engine, {} threads)\n",
      s.median_ms, s.p10_ms, s.p90_ms, s.first_ms, s.runs, s.engine, s.threads);
  if (s.layers.empty()) return text;
  text += fmt::format("{:.1f} M multiply-accumulates, {:.1f} GOPS\n",
                      static_cast<double>(s.macs) * 1e-6, gops(s.macs, s.median_ms));
  text += fmt::format("  {:>9} {:>8} {:>8} {:>5} {:>9}  {:16} {}\n", "ms", "M MACs", "GOPS", "peak",
                      "KB moved", "op", "name, kernel, remark");
  for (const auto& layer : s.layers) {
    const auto share =
        layer.peak_share ? fmt::format("{:.0f} %", *layer.peak_share * 100) : std::string("-");
    text += fmt::format("  {:9.4f} {:8.2f} {:8.1f} {:>5} {:9.1f}  {:16} {}  {}{}\n", layer.ms,
                        static_cast<double>(layer.macs) * 1e-6, gops(layer.macs, layer.ms), share,
                        static_cast<double>(layer.bytes) / 1024, layer.op, one_line(layer.name),
                        layer.kernel, layer.remark.empty() ? "" : "  (" + layer.remark + ")");
  }
  return text;
}

int execute(const BenchRequest& request, const Context& context) {
  const auto result = bench(request);
  if (!result) return context.report(result.error());
  context.print(to_json(*result), to_text(*result));
  return exit_done;
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("bench", "Latency on random input");
  auto request = std::make_shared<BenchRequest>();
  command->add_option("model", request->model, "Model (.onnx, .tflite)")->required();
  command->add_option("--batch", request->batch, "Samples in a batch")->capture_default_str();
  command->add_option("--shape", request->shapes,
                      "[NAME=]1x3x224x224: shape of an input that the model leaves open");
  command->add_option("--seconds", request->seconds, "How long to measure")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  command->add_flag("--layers", request->layers, "Time of each layer");
  command->add_option("--rule", request->rule, rule_help);
  command->add_option("--engine", request->engine, "float|simulate|integer");
  add_common_options(*command, context);
  command->callback([request, &context] {
    context.action = [request, &context] { return execute(*request, context); };
  });
}

}  // namespace octet::cli

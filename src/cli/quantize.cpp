#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

struct Options {
  QuantizeRequest request;
  std::string method = "static";
  std::string weights = "int8";
  std::string activations;
  bool per_channel = false;
  bool per_tensor = false;
};

constexpr int most_nodes_listed = 20;

std::string float_nodes_text(const std::vector<Obstacle>& nodes) {
  std::string text;
  int listed = 0;
  for (const auto& node : nodes) {
    if (++listed > most_nodes_listed) {
      return text + fmt::format("    ... and {} more (--json lists all)\n",
                                nodes.size() - most_nodes_listed);
    }
    text += fmt::format("    {}\n",
                        one_line(fmt::format("{} ({}): {}", node.name, node.op, node.reason)));
  }
  return text;
}

std::string to_text(const QuantizeSummary& s) {
  std::string text;
  if (s.output.empty()) {
    text += "dry run: nothing written\n";
  } else {
    text += fmt::format("{}: {} -> {} bytes ({:.2f}x smaller)\n", s.output,
                        with_commas(s.input_bytes), with_commas(s.output_bytes),
                        static_cast<double>(s.input_bytes) / static_cast<double>(s.output_bytes));
  }
  text += fmt::format("  {} of the multiply-accumulates run in integers\n",
                      percent(s.integer_mac_share));
  text += fmt::format("  nodes left in float: {}\n", s.float_nodes.size());
  text += float_nodes_text(s.float_nodes);
  for (const auto& note : s.notes) text += fmt::format("  note: {}\n", one_line(note));
  text += fmt::format("  {} samples{}, {:.2f} s, peak memory {} MB\n", s.samples,
                      skipped_text(s.skipped_samples), s.seconds, s.peak_rss_bytes / 1000000);
  return text;
}

Json to_json(const QuantizeSummary& s) {
  Json passes = Json::array();
  for (const auto& pass : s.passes) {
    passes.push_back({{"name", pass.name}, {"seconds", pass.seconds}});
  }
  return {{"output", s.output},
          {"input_bytes", s.input_bytes},
          {"output_bytes", s.output_bytes},
          {"seconds", s.seconds},
          {"samples", s.samples},
          {"skipped_samples", s.skipped_samples},
          {"integer_mac_share", s.integer_mac_share},
          {"float_nodes", obstacles_json(s.float_nodes)},
          {"notes", s.notes},
          {"passes", passes},
          {"peak_rss_bytes", s.peak_rss_bytes}};
}

Status finish_request(Options& options) {
  auto& request = options.request;
  if (options.method != "static") {
    return tl::unexpected(Error{
        ErrorKind::usage, "--method " + options.method + " is not in this version; static is"});
  }
  if (options.weights != "int8") {
    return tl::unexpected(Error{
        ErrorKind::usage, "--weights " + options.weights + " is not in this version; int8 is"});
  }
  if (!options.activations.empty() && options.activations != "int8" &&
      options.activations != "uint8") {
    return tl::unexpected(Error{ErrorKind::usage, "--activations " + options.activations +
                                                      " is not in this version; int8, uint8 are"});
  }
  request.activation_storage = options.activations;
  if (options.per_channel) request.per_channel = true;
  if (options.per_tensor) request.per_channel = false;
  if (request.output.empty() && !request.dry_run) {
    return tl::unexpected(Error{ErrorKind::usage, "-o OUT is missing (or give --dry-run)"});
  }
  return {};
}

int execute(Options& options, const Context& context) {
  if (auto status = finish_request(options); !status) return context.report(status.error());
  options.request.progress = context.progress();
  options.request.dump = [](std::string_view pass, std::string_view text) {
    fmt::print(stderr, "after {}:\n{}", pass, text);
  };
  const auto summary = quantize(options.request);
  if (!summary) return context.report(summary.error());
  context.print(to_json(*summary), to_text(*summary));
  return exit_done;
}

}  // namespace

void add_quantize(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("quantize", "Post-training quantization");
  auto options = std::make_shared<Options>();
  auto& request = options->request;
  command->add_option("model", request.model, "Float model (.onnx)")->required();
  command->add_option("-o,--output", request.output,
                      "Quantized model; its suffix picks the format");
  add_data_options(*command, request.data);
  command->add_option("--stats", request.statistics,
                      "Statistics from octet calibrate, instead of data");
  command->add_option("--method", options->method, "static (dynamic and weight-only: not yet)");
  command->add_option("--target", request.target, "Runtime that the model is made for")
      ->capture_default_str();
  command
      ->add_option("--observer", request.observer, "minmax|moving-average|percentile|mse|entropy")
      ->capture_default_str();
  auto* per_channel =
      command->add_flag("--per-channel", options->per_channel, "Weight scales per channel");
  command->add_flag("--per-tensor", options->per_tensor, "One weight scale per tensor")
      ->excludes(per_channel);
  command->add_option("--weights", options->weights, "int8")->capture_default_str();
  command->add_option("--activations", options->activations,
                      "int8|uint8: how the file stores them");
  command->add_option("--bits-weights", request.weight_bits, "Bits of weight codes, 2 to 8")
      ->capture_default_str();
  command
      ->add_option("--bits-activations", request.activation_bits,
                   "Bits of activation codes, 2 to 8")
      ->capture_default_str();
  command->add_flag("--reduce-range", request.reduce_range, "7-bit weights, for x86 without VNNI");
  command->add_flag("--bias-correction,!--no-bias-correction", request.bias_correction,
                    "Take the mean error of the rounded weights out of the bias (default: on)");
  command->add_option("--keep-float", request.keep_float,
                      "Keep nodes whose name fits the pattern in float");
  command->add_option("--skip", request.skip, "Skip a pass by name");
  command->add_option("--dump-after", request.dump_after, "Print the graph to stderr after a pass");
  command->add_flag("--dry-run", request.dry_run, "Do everything but write");
  add_common_options(*command, context);
  command->callback([options, &context] {
    context.action = [options, &context] { return execute(*options, context); };
  });
}

}  // namespace octet::cli

#include <fmt/format.h>

#include <memory>

#include "cli/config.h"

namespace octet::cli {
namespace {

struct Options {
  QuantizeRequest request;
  bool per_channel = false;
  bool per_tensor = false;
  bool bias_correction = true;
  CLI::Option* bias_correction_option = nullptr;
  bool equalize = true;
  CLI::Option* equalize_option = nullptr;
  bool absorb_bias = true;
  CLI::Option* absorb_bias_option = nullptr;
  bool refine_bias = true;
  CLI::Option* refine_bias_option = nullptr;
  bool learn_rounding = true;
  CLI::Option* rounding_option = nullptr;
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
  const auto samples =
      s.samples == 0 ? std::string()
                     : fmt::format("{} samples{}, ", s.samples, skipped_text(s.skipped_samples));
  text += fmt::format("  {}: {}{:.2f} s, peak memory {} MB\n", s.method, samples, s.seconds,
                      s.peak_rss_bytes / 1000000);
  return text;
}

Json to_json(const QuantizeSummary& s) {
  Json passes = Json::array();
  for (const auto& pass : s.passes) {
    passes.push_back({{"name", pass.name}, {"seconds", pass.seconds}});
  }
  return {{"output", s.output},
          {"method", s.method},
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
  if (options.per_channel && options.per_tensor) {
    return tl::unexpected(Error{ErrorKind::usage, "--per-channel excludes --per-tensor"});
  }
  if (options.bias_correction_option->count() > 0) {
    request.bias_correction = options.bias_correction;
  }
  if (options.equalize_option->count() > 0) request.equalize = options.equalize;
  if (options.absorb_bias_option->count() > 0) request.absorb_bias = options.absorb_bias;
  if (options.refine_bias_option->count() > 0) request.refine_bias = options.refine_bias;
  if (options.rounding_option->count() > 0) request.learn_rounding = options.learn_rounding;
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

/// How: method, types, bits.
void add_scheme_options(CLI::App& command, Options& options) {
  auto& request = options.request;
  command.add_option("--method", request.method,
                     "static|dynamic|weight-only (default: static with data, dynamic without)");
  command.add_option("--weights", request.weights, "int8|int4|float16")->capture_default_str();
  command.add_option("--dynamic-form", request.dynamic_form,
                     "integer|qdq: how the file states dynamic operators (default: integer)");
  command.add_option("--target", request.target,
                     "onnxruntime|openvino|tflite|tflite-micro: runtime that the model is made for "
                     "(default: tflite for a .tflite output, else onnxruntime)");
  command.add_option("--rule", request.rule,
                     "onnx|openvino|xnnpack|tflite: how octet requantizes (default: the target's)");
  command
      .add_option(
          "--observer", request.observer,
          "minmax|moving-average|percentile|mse|entropy, or auto: the best of\nthem for each value")
      ->capture_default_str();
  command
      .add_option("--weight-observer", request.weight_observer,
                  "minmax|mse: the range of weights, for each scale")
      ->capture_default_str();
  command.add_flag("--per-channel", options.per_channel, "Weight scales per channel");
  command.add_flag("--per-tensor", options.per_tensor, "One weight scale per tensor");
  command.add_option("--activations", request.activation_storage,
                     "int8|uint8|int16: how the file stores them");
  command.add_option("--bits-weights", request.weight_bits,
                     "Bits of weight codes, 2 to 8 (default: 8, or 4 with --weights int4)");
  command.add_option("--bits-first-last", request.edge_weight_bits,
                     "Bits of weight codes in first and last layers (default: 8)");
  command
      .add_option("--bits-activations", request.activation_bits, "Bits of activation codes, 2 to 8")
      ->capture_default_str();
  command.add_flag("--reduce-range", request.reduce_range, "7-bit weights, for x86 without VNNI");
  command
      .add_option("--io", request.io,
                  "float|int8|uint8|int16: type of a .tflite model's inputs and outputs")
      ->capture_default_str();
  command.add_option("--input-layout", request.input_layout,
                     "nchw|nhwc: axes of image inputs (default: as they are)");
}

/// What else happens on the way.
void add_pipeline_options(CLI::App& command, Options& options) {
  auto& request = options.request;
  command.add_option("--optimize", request.optimize, "none|fast|best (default: fast)");
  options.refine_bias_option =
      command.add_flag("--refine-bias,!--no-refine-bias", options.refine_bias,
                       "Measure how quantized layers move means, and take that out, too");
  options.equalize_option =
      command.add_flag("--equalize,!--no-equalize", options.equalize,
                       "Scale channels across layers so that quantization adds less noise");
  options.absorb_bias_option =
      command.add_flag("--absorb-bias,!--no-absorb-bias", options.absorb_bias,
                       "Move what all values of a channel have in common into the next bias");
  options.bias_correction_option =
      command.add_flag("--bias-correction,!--no-bias-correction", options.bias_correction,
                       "Take the mean error of the rounded weights out of the bias (default: on)");
  options.rounding_option = command.add_flag(
      "--adaround,!--no-adaround", options.learn_rounding,
      "Round weights by what each layer gives on samples (default: with less than 8 bits)");
  command.add_option("--adaround-scope", request.rounding_scope,
                     "layer|block: and then by what blocks of layers give (default: layer)");
  command.add_option("--keep-float", request.keep_float,
                     "Keep nodes whose name fits the pattern in float");
  command.add_option("--int16", request.wide,
                     "16-bit codes for values whose name, or whose node's, fits the pattern");
  command.add_option("--int4", request.narrow,
                     "4-bit weights, packed in the file, for layers whose name fits the pattern");
  command.add_flag("--requantize", request.requantize,
                   "Dequantize a model that is quantized already first");
  command.add_flag("--data-free", request.data_free,
                   "Ranges from BatchNormalization statistics instead of data");
  command.add_option("--skip", request.skip, "Skip a pass by name");
  command.add_option("--dump-after", request.dump_after, "Print the graph to stderr after a pass");
  command.add_flag("--dry-run", request.dry_run, "Do everything but write");
}

}  // namespace

void add_quantize(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("quantize", "Post-training quantization");
  auto options = std::make_shared<Options>();
  auto& request = options->request;
  command->add_option("model", request.model, "Float model (.onnx, .tflite)")->required();
  command->add_option("-o,--output", request.output,
                      "Quantized model; its suffix picks the format");
  add_data_options(*command, request.data);
  command->add_option("--stats", request.statistics,
                      "Statistics from octet calibrate, instead of data");
  add_scheme_options(*command, *options);
  add_pipeline_options(*command, *options);
  add_common_options(*command, context);
  run_configured(*command, context, [options, &context] { return execute(*options, context); });
}

}  // namespace octet::cli

#include <fmt/format.h>

#include <memory>

#include "cli/context.h"
#include "octet/payoff.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  std::string target;
  bool dump = false;
  bool machine = false;
};

Json ports_json(const std::vector<Port>& ports) {
  Json list = Json::array();
  for (const auto& port : ports) {
    list.push_back({{"name", port.name}, {"dtype", port.dtype}, {"shape", port.shape}});
  }
  return list;
}

/// Options and recipe are JSON themselves.
Json provenance_json(const Inspection& s) {
  Json json = Json::object();
  for (const auto& [key, value] : s.provenance) {
    auto nested = value.starts_with('{') ? Json::parse(value, nullptr, false) : Json();
    json[key] = nested.is_object() ? std::move(nested) : Json(value);
  }
  return json;
}

Json to_json(const Inspection& s) {
  Json ops = Json::array();
  for (const auto& op : s.ops) {
    ops.push_back(
        {{"op", op.op}, {"count", op.count}, {"macs", op.macs}, {"parameters", op.parameters}});
  }
  Json values = Json::array();
  for (const auto& v : s.quantized_values) {
    values.push_back({{"name", v.name},
                      {"scheme", v.scheme},
                      {"storage", v.storage},
                      {"origin", v.origin},
                      {"scales", v.scales},
                      {"scale", v.scale},
                      {"scale_max", v.scale_max},
                      {"zero_point", v.zero_point}});
  }
  return {{"format", s.format},
          {"ops", ops},
          {"parameters", s.parameters},
          {"macs", s.macs},
          {"bytes", s.bytes},
          {"inputs", ports_json(s.inputs)},
          {"outputs", ports_json(s.outputs)},
          {"quantized", s.quantized},
          {"quantized_values", values},
          {"float_nodes", obstacles_json(s.float_nodes)},
          {"integer_mac_share", s.integer_mac_share},
          {"obstacle", s.obstacle.empty() ? Json() : Json(s.obstacle)},
          {"provenance", provenance_json(s)}};
}

std::string values_text(const Inspection& s) {
  std::string text = fmt::format("quantized values: {}\n", s.quantized_values.size());
  for (const auto& v : s.quantized_values) {
    const auto scale =
        v.scales == 1 ? fmt::format("scale {:.6g}", v.scale)
                      : fmt::format("{} scales {:.4g}..{:.4g}", v.scales, v.scale, v.scale_max);
    const auto numbers =
        v.scales == 0 ? std::string() : fmt::format("{}, zero point {}, ", scale, v.zero_point);
    const auto stored = v.scheme == v.storage ? v.scheme : v.scheme + " as " + v.storage;
    text += fmt::format("  {}: {}, {}{}\n", one_line(v.name), stored, numbers, v.origin);
  }
  return text;
}

std::string to_text(const Inspection& s) {
  auto text =
      fmt::format("{}, {} bytes, {} parameters, {} multiply-accumulates a sample\n", s.format,
                  with_commas(s.bytes), with_commas(static_cast<std::uint64_t>(s.parameters)),
                  with_commas(static_cast<std::uint64_t>(s.macs)));
  for (const auto& port : s.inputs) {
    text += fmt::format("input  {} {} {}\n", one_line(port.name), port.dtype, port.shape);
  }
  for (const auto& port : s.outputs) {
    text += fmt::format("output {} {} {}\n", one_line(port.name), port.dtype, port.shape);
  }
  text += fmt::format("{:24}{:>8}{:>16}{:>14}\n", "operator", "nodes", "MACs", "parameters");
  for (const auto& op : s.ops) {
    text += fmt::format("{:24}{:>8}{:>16}{:>14}\n", op.op, op.count,
                        with_commas(static_cast<std::uint64_t>(op.macs)),
                        with_commas(static_cast<std::uint64_t>(op.parameters)));
  }
  text += fmt::format("{} of the multiply-accumulates {} in integers\n",
                      percent(s.integer_mac_share), s.quantized ? "run" : "can run");
  if (!s.obstacle.empty()) text += fmt::format("cannot be quantized: {}\n", one_line(s.obstacle));
  if (!s.float_nodes.empty()) {
    text += s.quantized ? "nodes in float:\n" : "nodes that would stay in float:\n";
  }
  for (const auto& node : s.float_nodes) {
    text += fmt::format("  {}\n",
                        one_line(fmt::format("{} ({}): {}", node.name, node.op, node.reason)));
  }
  if (!s.quantized_values.empty()) text += values_text(s);
  if (!s.provenance.empty()) text += "provenance:\n";
  for (const auto& [key, value] : s.provenance) {
    text += fmt::format("  {}: {}\n", key, one_line(value));
  }
  return text;
}

Json payoff_json(const Payoff& p) {
  Json layers = Json::array();
  for (const auto& layer : p.layers) {
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"nodes", layer.nodes},
                      {"macs", layer.macs},
                      {"float_ms", layer.float_ms},
                      {"integer_ms", layer.integer_ms},
                      {"pays", layer.pays()}});
  }
  return {{"threads", p.machine.threads},
          {"float_gmacs", p.machine.float_gmacs},
          {"integer_gmacs", p.machine.integer_gmacs},
          {"memory_gbytes", p.machine.bytes_per_ns},
          {"float_ms", p.float_ms},
          {"integer_ms", p.integer_ms},
          {"layers", layers}};
}

std::string payoff_text(const Payoff& p) {
  auto text = fmt::format(
      "this machine, {} threads: {:.1f} GMAC/s in f32, {:.1f} in int8, {:.1f} GB/s of memory\n"
      "layers that can run in integers, predicted at batch 1: {:.3f} ms in float, {:.3f} in int8\n",
      p.machine.threads, p.machine.float_gmacs, p.machine.integer_gmacs, p.machine.bytes_per_ns,
      p.float_ms, p.integer_ms);
  for (const auto& layer : p.layers) {
    text += fmt::format("  {:9.4f} ms float {:9.4f} ms int8  {:7} {:16} {}\n", layer.float_ms,
                        layer.integer_ms, layer.pays() ? "faster" : "slower", layer.op,
                        one_line(layer.name));
  }
  return text;
}

int execute(const Options& options, const Context& context) {
  if (options.dump) {
    const auto text = dump(options.model);
    if (!text) return context.report(text.error());
    context.print(Json{{"dump", *text}}, *text);
    return exit_done;
  }
  const auto result = inspect(options.model, options.target);
  if (!result) return context.report(result.error());
  auto json = to_json(*result);
  auto text = to_text(*result);
  if (options.machine) {
    const auto payoff = predict_payoff(options.model, options.target);
    if (!payoff) return context.report(payoff.error());
    json["target_machine"] = payoff_json(*payoff);
    text += payoff_text(*payoff);
  }
  context.print(json, text);
  return exit_done;
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("inspect", "What a model is made of, and what can be quantized");
  auto options = std::make_shared<Options>();
  command->add_option("model", options->model, "Model (.onnx, .tflite)")->required();
  command->add_option("--target", options->target,
                      "Runtime to judge for (default: tflite for .tflite, else onnxruntime)");
  command->add_flag("--target-machine", options->machine,
                    "Predict for each layer of a float model whether int8 will be faster here");
  command->add_flag("--dump", options->dump, "Print the graph, one line per node");
  add_common_options(*command, context);
  command->callback([options, &context] {
    context.action = [options, &context] { return execute(*options, context); };
  });
}

}  // namespace octet::cli

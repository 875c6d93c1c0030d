#include <fmt/format.h>

#include <memory>

#include "cli/context.h"

namespace octet::cli {
namespace {

Json to_json(const ConvertSummary& s) {
  return {{"output", s.output},
          {"from", s.from},
          {"to", s.to},
          {"quantized", s.quantized},
          {"input_bytes", s.input_bytes},
          {"output_bytes", s.output_bytes},
          {"transposes", s.transposes},
          {"notes", s.notes},
          {"seconds", s.seconds}};
}

std::string to_text(const ConvertSummary& s) {
  auto text = fmt::format("{}: {} {} -> {}, {} -> {} bytes, {} transpose{} ({:.2f} s)\n", s.output,
                          s.quantized ? "quantized" : "float", s.from, s.to,
                          with_commas(s.input_bytes), with_commas(s.output_bytes), s.transposes,
                          s.transposes == 1 ? "" : "s", s.seconds);
  for (const auto& note : s.notes) text += fmt::format("  note: {}\n", one_line(note));
  return text;
}

int execute(const ConvertRequest& request, const Context& context) {
  const auto summary = convert(request);
  if (!summary) return context.report(summary.error());
  context.print(to_json(*summary), to_text(*summary));
  return exit_done;
}

}  // namespace

void add_convert(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("convert", "A model in another format or layout");
  auto request = std::make_shared<ConvertRequest>();
  command->add_option("model", request->model, "Float or quantized model (.onnx, .tflite)")
      ->required();
  command->add_option("-o,--output", request->output, "Model; its suffix picks the format")
      ->required();
  command->add_option("--input-layout", request->input_layout,
                      "nchw|nhwc: axes of image inputs (default: as they are)");
  add_common_options(*command, context);
  command->callback([request, &context] {
    context.action = [request, &context] { return execute(*request, context); };
  });
}

}  // namespace octet::cli

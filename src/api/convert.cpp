#include "octet/convert.h"

#include <chrono>
#include <span>

#include "api/engine_choice.h"
#include "api/quantize_options.h"
#include "core/file.h"
#include "core/progress.h"
#include "passes/input_layout.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

/// ONNX models take and give floats.
void forget_coded_io(QuantizedGraph& model, std::vector<std::string>& notes) {
  for (const auto& [id, dtype] : model.plan.coded_io) {
    notes.push_back(fmt::format("{} {} is {} in the .tflite file, float in the .onnx file",
                                model.graph.is_input(id) ? "input" : "output",
                                model.graph.value(id).name, name(dtype)));
  }
  model.plan.coded_io.clear();
}

/// Transposes that the file states. Those that a .tflite file needs none for, since images lie
/// channels-last there, are named after the value and its order by the reader.
std::int64_t count_transposes(const ModelFile& file) {
  const auto& graph = file.model.graph;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    const bool free =
        file.format == "tflite" && (node.name.ends_with("/nchw") || node.name.ends_with("/nhwc"));
    if (node.alive && node.is("Transpose") && !free) ++count;
  }
  return count;
}

}  // namespace

Result<ConvertSummary> convert(const ConvertRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  OCTET_ASSIGN(const auto layout, parse_input_layout(request.input_layout));
  OCTET_TRY(check_model_suffix(request.output));
  OCTET_TRY(check_writable(request.output));
  OCTET_ASSIGN(auto file, open_model(request.model));
  ConvertSummary out;
  out.output = request.output;
  out.from = file.format;
  out.to = is_tflite_path(request.output) ? "tflite" : "onnx";
  out.quantized = is_quantized(file);
  out.input_bytes = file.bytes;
  auto& model = file.model;
  if (layout) {
    OCTET_ASSIGN(const int images, set_input_layout(model, *layout));
    if (images == 0) out.notes.push_back(no_image_inputs(request.input_layout));
  }
  if (!out.quantized && (out.from != out.to || layout)) OCTET_TRY(simplify(model.graph));
  if (out.to == "onnx") forget_coded_io(model, out.notes);
  state_rule(model, request.output);
  OCTET_TRY(check_cancel());
  OCTET_ASSIGN(const auto bytes, encode_model(model, request.output));
  // What octet itself could not read is not written.
  OCTET_ASSIGN(const auto written, decode_model(std::as_bytes(std::span(bytes)), request.output));
  out.transposes = count_transposes(written);
  OCTET_TRY(write_file(request.output, bytes));
  out.output_bytes = bytes.size();
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace octet

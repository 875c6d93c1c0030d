#include "octet/run.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "api/engine_choice.h"
#include "api/latency.h"
#include "api/layer_remarks.h"
#include "api/named_arguments.h"
#include "api/peak.h"
#include "api/random_inputs.h"
#include "api/sample_by_sample.h"
#include "api/taps.h"
#include "arithmetic/quantize.h"
#include "core/file.h"
#include "core/parallel.h"
#include "data/npy.h"
#include "formats/codes.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

/// What the codes of an input that the file states as integers stand for; floats as they are.
Result<Tensor> decoded_input(const QuantizedGraph& model, ValueId id, DType stored, Tensor given,
                             const std::string& path) {
  if (is_float(given.dtype())) return to_f32(given);
  if (given.dtype() != stored) {
    return bad_input("{} holds {}; input {} takes {} codes, or floats", path, name(given.dtype()),
                     model.graph.value(id).name, name(stored));
  }
  return dequantize(codes_from_storage(given), model.plan.values.at(id).params);
}

/// The outputs as the file states them: those of integer type as codes.
Result<Tensor> encoded_output(const QuantizedGraph& model, ValueId id, Tensor output) {
  const auto coded = model.plan.coded_io.find(id);
  if (coded == model.plan.coded_io.end()) return output;
  const auto& quantization = model.plan.values.at(id);
  const DType signed_type = quantization.scheme.bits <= 8 ? DType::i8 : DType::i16;
  OCTET_ASSIGN(const auto codes,
               quantize(output, quantization.params, quantization.scheme, signed_type));
  return codes_to_storage(codes, coded->second);
}

/// "NAME=X.npy" or "X.npy" in the order of the graph's inputs.
Result<std::vector<Tensor>> read_inputs(const std::vector<std::string>& arguments,
                                        const QuantizedGraph& model) {
  const auto& graph = model.graph;
  std::vector<Tensor> inputs(graph.inputs.size());
  OCTET_ASSIGN(const auto named, named_arguments(arguments, graph));
  for (const auto& [position, path] : named) {
    OCTET_ASSIGN(inputs[position], read_npy(std::string(path)));
    const auto& wanted = graph.value(graph.inputs[position]);
    const auto coded = model.plan.coded_io.find(graph.inputs[position]);
    if (coded != model.plan.coded_io.end()) {
      OCTET_ASSIGN(inputs[position], decoded_input(model, coded->first, coded->second,
                                                   std::move(inputs[position]), std::string(path)));
      continue;
    }
    if (wanted.dtype == DType::f32 && inputs[position].dtype() != DType::f32) {
      OCTET_ASSIGN(inputs[position], to_f32(inputs[position]));
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].empty()) continue;
    return fail(ErrorKind::usage, "input {} is missing: give --input {}=X.npy",
                graph.value(graph.inputs[i]).name, graph.value(graph.inputs[i]).name);
  }
  return inputs;
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return bad_input("cannot make folder {}: {}", folder.string(), error.message());
  return {};
}

/// NAME.npy with what a file name cannot hold replaced, and numbered where that makes two alike.
std::string safe_file_name(std::string name, std::set<std::string>& taken) {
  for (auto& c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  auto file = name + ".npy";
  for (int i = 1; !taken.insert(file).second; ++i) file = fmt::format("{}_{}.npy", name, i);
  return file;
}

/// Values that a run makes or is fed.
std::vector<ValueId> made_values(const Graph& graph) {
  const auto producers = graph.producers();
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const bool made = producers[i] != NodeId::none || graph.is_input(id);
    if (made && !graph.value(id).is_constant()) ids.push_back(id);
  }
  return ids;
}

Status write_npy(const fs::path& path, const Tensor& tensor) {
  OCTET_ASSIGN(const auto bytes, encode_npy(tensor));
  return write_file(path, std::string_view(bytes));
}

struct TapFiles {
  fs::path folder;
  const Graph& graph;
  nlohmann::ordered_json index = nlohmann::ordered_json::array();
  Status status;

  void add(const TapView& view) {
    if (!status) return;
    const Tensor tensor = tap_tensor(view);
    const auto file = fmt::format("{}.npy", index.size());
    status = write_npy(folder / file, tensor);
    index.push_back({{"file", file},
                     {"name", graph.value(view.value).name},
                     {"dtype", std::string(name(tensor.dtype()))}});
  }
};

}  // namespace

Result<RunSummary> run(const RunRequest& request) {
  OCTET_ASSIGN(const auto file, open_model(request.model, request.rule));
  const auto& graph = file.model.graph;
  const bool to_folder = graph.outputs.size() > 1;
  if (!to_folder) {
    OCTET_TRY(check_writable(request.output));
  }
  const std::vector<std::string> every = {"*"};
  const auto taps_wanted = request.taps.empty() ? std::span<const std::string>{} : every;
  OCTET_ASSIGN(const auto engine, choose_engine(file, request.engine, taps_wanted));
  OCTET_ASSIGN(const auto inputs, read_inputs(request.inputs, file.model));
  OCTET_ASSIGN(const auto session, engine.program->session({thread_count()}));

  TapFiles taps{request.taps, engine.model.graph, nlohmann::ordered_json::array(), {}};
  TapRequest tap_request;
  if (!request.taps.empty()) {
    OCTET_TRY(make_folder(request.taps));
    tap_request.values = made_values(engine.model.graph);
    tap_request.tap = [&taps](const TapView& view) { taps.add(view); };
  }
  const auto samples = sample_count(graph, inputs);
  if (samples > 1 && !request.taps.empty()) {
    return fail(ErrorKind::usage, "--taps takes one sample; the input holds {}", samples);
  }
  OCTET_ASSIGN(const auto outputs,
               samples > 1 ? run_samples(*session, inputs, samples)
                           : session->run(inputs, request.taps.empty() ? nullptr : &tap_request));
  OCTET_TRY(taps.status);
  if (!request.taps.empty()) {
    OCTET_TRY(
        write_file(fs::path(request.taps) / "index.json", std::string_view(taps.index.dump(1))));
  }

  RunSummary out;
  out.engine = engine.name;
  if (to_folder) {
    OCTET_TRY(make_folder(request.output));
  }
  std::set<std::string> taken;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& output = graph.value(graph.outputs[i]).name;
    const fs::path path = to_folder ? fs::path(request.output) / safe_file_name(output, taken)
                                    : fs::path(request.output);
    OCTET_ASSIGN(const auto stored, encoded_output(file.model, graph.outputs[i], outputs[i]));
    OCTET_TRY(write_npy(path, stored));
    out.files.push_back(path.string());
  }
  return out;
}

Result<BenchSummary> bench(const BenchRequest& request) {
  if (request.batch < 1) return fail(ErrorKind::usage, "a batch of {} samples", request.batch);
  OCTET_ASSIGN(const auto file, open_model(request.model, request.rule));
  OCTET_ASSIGN(const auto engine, choose_engine(file, request.engine));
  OCTET_ASSIGN(const auto inputs, random_inputs(file.model.graph, request.batch, request.shapes));
  OCTET_ASSIGN(auto out, measure_latency(*engine.program, inputs,
                                         {request.seconds, thread_count(), request.layers}));
  out.engine = engine.name;
  out.peak_rss_bytes = peak_rss_bytes();
  if (!request.layers) return out;
  const auto peaks = measure_dot_peaks(thread_count());
  for (auto& layer : out.layers) {
    layer.peak_share = peak_share(peaks, layer.kernel, layer.macs, layer.ms);
    out.macs += layer.macs;
  }
  if (engine.name != "integer") return out;
  OCTET_ASSIGN(const auto floats, choose_engine(file, "float"));
  OCTET_ASSIGN(const auto in_float, measure_latency(*floats.program, inputs,
                                                    {request.seconds / 4, thread_count(), true}));
  add_remarks(in_float.layers, out.layers);
  return out;
}

}  // namespace octet

#include "octet/quantize.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "api/calibration_data.h"
#include "api/clock.h"
#include "api/engine_choice.h"
#include "api/provenance.h"
#include "api/quantize_options.h"
#include "api/quantizing.h"
#include "core/file.h"
#include "core/log.h"
#include "passes/dequantize.h"
#include "passes/input_layout.h"
#include "passes/pipeline.h"
#include "passes/state_bits.h"

namespace octet {
namespace {

Result<ModelFile> read_float_model(const std::string& path) {
  OCTET_ASSIGN(auto file, open_model(path));
  if (is_quantized(file)) {
    return bad_input("{} is quantized already; give the float model it was made from", path);
  }
  return file;
}

/// The model to quantize; one that is quantized already is dequantized where the request says so.
Result<ModelFile> read_source_model(const QuantizeRequest& request) {
  if (!request.requantize) {
    auto file = read_float_model(request.model);
    if (!file && file.error().message.find("quantized already") != std::string::npos) {
      return bad_input("{}, or --requantize", file.error().message);
    }
    return file;
  }
  OCTET_ASSIGN(auto file, open_model(request.model));
  OCTET_ASSIGN(file.model.graph, dequantize_model(std::move(file.model)));
  file.model.plan = {};
  return file;
}

std::uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

bool has_data(const QuantizeRequest& request) {
  return !request.data.path.empty() || !request.statistics.empty();
}

/// Options that were given and that the method has no use for, "" for none.
std::string unused_options(const QuantizeRequest& request, const QuantizeOptions& options) {
  std::vector<std::string_view> unused;
  if (options.method == Method::static_ranges) return "";
  if (!request.activation_storage.empty()) unused.emplace_back("--activations");
  if (request.activation_bits != 8) unused.emplace_back("--bits-activations");
  if (request.bias_correction.value_or(false)) unused.emplace_back("--bias-correction");
  if (request.refine_bias.value_or(false)) unused.emplace_back("--refine-bias");
  if (request.equalize.value_or(false)) unused.emplace_back("--equalize");
  if (request.absorb_bias.value_or(false)) unused.emplace_back("--absorb-bias");
  if (request.learn_rounding.value_or(false)) unused.emplace_back("--adaround");
  if (!request.rounding_scope.empty()) unused.emplace_back("--adaround-scope");
  if (options.weights == WeightType::float16) {
    if (request.weight_bits != 0) unused.emplace_back("--bits-weights");
    if (request.per_channel) unused.emplace_back("--per-channel and --per-tensor");
    if (request.reduce_range) unused.emplace_back("--reduce-range");
  }
  return fmt::format("{}", fmt::join(unused, ", "));
}

/// The recipe by which the samples were made goes along; without samples, the one that was given.
Status store_recipe(const QuantizeRequest& request, const std::optional<Statistics>& statistics,
                    Graph& graph) {
  if (statistics && !statistics->recipe.empty()) graph.metadata[recipe_key] = statistics->recipe;
  if ((statistics && !request.data_free) || request.data.recipe.empty()) return {};
  OCTET_ASSIGN(const auto recipe, read_recipe(request.data.recipe));
  graph.metadata[recipe_key] = to_json(recipe);
  return {};
}

/// Notes what was given and not used, and what would need more than was given.
void note_unused(const QuantizeRequest& request, const QuantizeOptions& options,
                 QuantizeReport& report) {
  const bool with_data = options.method == Method::static_ranges;
  if (!with_data && has_data(request)) {
    report.notes.push_back(
        fmt::format("{} quantization needs no data: it was not read", name(options.method)));
  }
  const bool one_scale = options.weight_granularity == Granularity::per_tensor;
  if (with_data && !request.statistics.empty() && one_scale && request.optimize != "none" &&
      request.equalize.value_or(true)) {
    report.notes.emplace_back("channels were not equalized: that needs --data, not --stats");
  }
  const bool no_samples = !request.statistics.empty() || request.data_free;
  const bool few_bits = options.weight_bits < 8 || !options.narrow.empty();
  if (with_data && no_samples && few_bits && request.optimize != "none" &&
      request.learn_rounding.value_or(true)) {
    report.notes.emplace_back("weights were rounded to the nearest: better codes need --data");
  }
  if (const auto unused = unused_options(request, options); !unused.empty()) {
    report.notes.push_back(fmt::format("{} quantization with {} weights has no use for {}",
                                       name(options.method), request.weights, unused));
  }
}

}  // namespace

Result<QuantizeSummary> quantize(const QuantizeRequest& request) {
  return quantize_sharing(request, nullptr);
}

Result<QuantizedModel> quantize_in_memory(const QuantizeRequest& request,
                                          SharedCalibration* shared) {
  OCTET_ASSIGN(auto options, parse_options(request));
  OCTET_ASSIGN(const auto rule, parse_rule(request.rule));
  OCTET_ASSIGN(auto file, read_source_model(request));
  OCTET_ASSIGN(const auto layout, parse_input_layout(request.input_layout));
  QuantizeReport report;

  RequestSources known(request, options, file.hash, shared);
  auto& graph = file.model.graph;
  OCTET_ASSIGN(const auto sources, known.sources(graph));
  const bool with_data = options.method == Method::static_ranges;
  OCTET_ASSIGN(auto model, with_data ? quantize_static(std::move(graph), options, sources, report)
                                     : quantize_without_data(std::move(graph), options, report));
  state_bits(model);
  // Last, so that samples and statistics are those of the model that was given.
  if (layout) {
    OCTET_ASSIGN(const int images, set_input_layout(model, *layout));
    if (images == 0) report.notes.push_back(no_image_inputs(request.input_layout));
  }
  note_unused(request, options, report);
  const auto& statistics = known.statistics();
  OCTET_TRY(store_recipe(request, statistics, model.graph));
  if (rule) model.plan.rule = *rule;
  write_provenance(
      model, {request, options, file.hash, statistics ? &*statistics : nullptr, known.classes()});

  QuantizedModel out{std::move(model), {}};
  out.summary.method = name(options.method);
  out.summary.input_bytes = file.bytes;
  out.summary.samples = statistics ? statistics->samples : 0;
  out.summary.skipped_samples = known.skipped();
  out.summary.integer_mac_share = report.integer_mac_share;
  for (const auto& node : report.float_nodes) {
    out.summary.float_nodes.push_back({node.name, node.op, node.reason});
  }
  out.summary.notes = report.notes;
  for (const auto& pass : report.passes) out.summary.passes.push_back({pass.name, pass.seconds});
  return out;
}

Result<QuantizeSummary> quantize_sharing(const QuantizeRequest& request,
                                         SharedCalibration* shared) {
  const auto start = Clock::now();
  OCTET_TRY(parse_options(request));
  if (!request.dry_run) {
    OCTET_TRY(check_model_suffix(request.output));
    OCTET_TRY(check_writable(request.output));
  }
  OCTET_ASSIGN(auto made, quantize_in_memory(request, shared));
  OCTET_TRY(check_cancel());
  auto& out = made.summary;
  if (!request.dry_run) {
    OCTET_TRY(write_model(made.model, request.output));
    out.output = request.output;
    out.output_bytes = file_size(request.output);
  }
  out.peak_rss_bytes = peak_rss_bytes();
  out.seconds = seconds_since(start);
  return out;
}

Result<CalibrateSummary> calibrate(const CalibrateRequest& request) {
  const auto start = Clock::now();
  QuantizeOptions options;
  options.target = request.target.empty() ? default_target(request.model) : request.target;
  OCTET_ASSIGN(options.observer, parse_observer(request.observer));
  OCTET_TRY(check_writable(request.output));
  OCTET_ASSIGN(auto file, read_float_model(request.model));
  OCTET_TRY(simplify(file.model.graph));
  OCTET_TRY(fit_target(file.model.graph, options));
  OCTET_ASSIGN(const auto values, values_to_observe(file.model.graph, options));
  CalibrationData data(request.data, options.observer, request.progress, file.hash);
  OCTET_ASSIGN(const auto statistics, data.statistics(file.model.graph, values));
  OCTET_TRY(check_cancel());
  OCTET_TRY(write_file(request.output, std::string_view(encode(statistics))));
  return CalibrateSummary{request.output,           statistics.samples,   data.skipped(),
                          statistics.values.size(), seconds_since(start), peak_rss_bytes()};
}

Result<CalibrateSummary> merge_statistics(const std::vector<std::string>& inputs,
                                          const std::string& output) {
  const auto start = Clock::now();
  if (inputs.size() < 2) return fail(ErrorKind::usage, "merging needs at least two files");
  OCTET_TRY(check_writable(output));
  OCTET_ASSIGN(auto merged, read_statistics(inputs[0]));
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    OCTET_ASSIGN(const auto next, read_statistics(inputs[i]));
    if (next.data_fingerprint == merged.data_fingerprint) {
      return bad_input("{} holds the same samples as what it is merged with", inputs[i]);
    }
    auto sum = merge(merged, next);
    if (!sum) return tl::unexpected(sum.error().with_context(inputs[i]));
    merged = std::move(*sum);
  }
  OCTET_TRY(write_file(output, std::string_view(encode(merged))));
  return CalibrateSummary{
      output, merged.samples, 0, merged.values.size(), seconds_since(start), peak_rss_bytes()};
}

}  // namespace octet

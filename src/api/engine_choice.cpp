#include "api/engine_choice.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "formats/onnx/onnx.h"
#include "graph/image_layout.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

std::vector<ValueId> tap_candidates(const Graph& graph, std::span<const std::string> names) {
  std::vector<ValueId> ids;
  const bool all = std::find(names.begin(), names.end(), "*") != names.end();
  if (all) {
    for (std::size_t i = 0; i < graph.value_slots(); ++i) ids.push_back(static_cast<ValueId>(i));
    return ids;
  }
  for (const auto& wanted : names) {
    const auto id = graph.find_value(wanted);
    if (id != ValueId::none) ids.push_back(id);
  }
  return ids;
}

Result<ChosenEngine> float_engine(const ModelFile& file, std::span<const std::string> tap_names) {
  ChosenEngine chosen;
  chosen.name = "float";
  if (is_quantized(file)) {
    OCTET_ASSIGN(chosen.model.graph, onnx::emit_qdq(file.model));
  } else {
    chosen.model.graph = file.model.graph;
    OCTET_TRY(simplify(chosen.model.graph));
  }
  const auto& graph = chosen.model.graph;
  OCTET_ASSIGN(chosen.program, compile_float(graph, tap_candidates(graph, tap_names)));
  return chosen;
}

Result<Recipe> stored_recipe(const std::string& json) {
  auto recipe = parse_recipe(json);
  if (!recipe) return tl::unexpected(recipe.error().with_context("recipe stored in the model"));
  return recipe;
}

Result<Recipe> recipe_for(const DataSource& source, const Graph& graph, const Graph* other) {
  if (!source.recipe.empty()) return read_recipe(source.recipe);
  const auto it = graph.metadata.find(recipe_key);
  const bool found = it != graph.metadata.end();
  if (other == nullptr || !other->metadata.contains(recipe_key)) {
    return found ? stored_recipe(it->second) : Recipe{};
  }
  OCTET_ASSIGN(const auto others, stored_recipe(other->metadata.at(recipe_key)));
  if (!found) return others;
  OCTET_ASSIGN(const auto recipe, stored_recipe(it->second));
  if (!(recipe == others)) {
    log_warning("the two models carry different recipes; both are fed by the first one's");
  }
  return recipe;
}

/// Samples come one by one, so a batch that the model fixes must be 1.
Status check_batch(const Graph& graph) {
  for (const auto id : graph.inputs) {
    const auto& value = graph.value(id);
    if (!value.shape || value.shape->empty() || value.shape->front() <= 1) continue;
    return bad_input(
        "input {} has shape {}: its batch is fixed at {}; samples are fed one by one, so export "
        "the "
        "model with a dynamic batch or a batch of 1",
        value.name, to_string(*value.shape), value.shape->front());
  }
  return {};
}

}  // namespace

Result<Recipe> read_recipe(const std::string& path) {
  OCTET_ASSIGN(const auto file, FileView::open(path));
  auto recipe = parse_recipe(file.text());
  if (!recipe) return tl::unexpected(recipe.error().with_context(path));
  return recipe;
}

bool is_tflite_path(const std::string& path) {
  return std::filesystem::path(path).extension() == ".tflite";
}

void state_rule(QuantizedGraph& model, const std::string& path) {
  const auto meant = is_tflite_path(path) ? Rule::xnnpack : Rule::onnx;
  model.graph.metadata.erase(rule_key);
  const bool stated = !model.plan.empty() && model.plan.rule != meant;
  if (stated) model.graph.metadata[rule_key] = name(model.plan.rule);
}

Result<std::optional<Rule>> parse_rule(const std::string& text) {
  if (text.empty()) return std::optional<Rule>();
  if (const auto rule = rule_from_name(text)) return rule;
  return fail(ErrorKind::usage, "no rule '{}'; there are onnx, openvino, xnnpack and tflite", text);
}

Result<ModelFile> open_model(const std::string& path, const std::string& rule) {
  OCTET_ASSIGN(const auto wanted, parse_rule(rule));
  OCTET_ASSIGN(auto file, read_model(path));
  const auto& metadata = file.model.graph.metadata;
  if (const auto it = metadata.find(rule_key); it != metadata.end()) {
    const auto stated = rule_from_name(it->second);
    if (!stated) return bad_input("{}: its metadata names an unknown rule '{}'", path, it->second);
    file.model.plan.rule = *stated;
  }
  if (wanted) file.model.plan.rule = *wanted;
  return file;
}

Result<ChosenEngine> choose_engine(const ModelFile& file, const EngineName& engine,
                                   std::span<const std::string> tap_names) {
  const bool quantized = is_quantized(file);
  const std::string name = !engine.empty() ? engine : quantized ? "integer" : "float";
  if (name == "float") return float_engine(file, tap_names);
  if (name != "integer" && name != "simulate") {
    return fail(ErrorKind::usage, "no engine '{}'; there are float, simulate and integer", name);
  }
  if (!quantized) {
    return fail(ErrorKind::usage, "engine {} needs a quantized model; this one is float", name);
  }
  ChosenEngine chosen;
  chosen.name = name;
  chosen.model = file.model;
  if (name == "integer") {
    OCTET_ASSIGN(chosen.program, compile_integer(file.model));
    return chosen;
  }
  OCTET_ASSIGN(auto simulation, compile_simulation(file.model));
  chosen.program = std::move(simulation.program);
  chosen.simulated_layers = std::move(simulation.layers);
  return chosen;
}

Result<OpenData> open_data(const DataSource& source, const Graph& graph,
                           std::int64_t default_samples, const Graph* other) {
  OpenData data;
  OCTET_TRY(check_batch(graph));
  OCTET_ASSIGN(data.recipe, recipe_for(source, graph, other));
  DatasetOptions options;
  options.recipe = data.recipe;
  options.labels = source.labels;
  for (const auto id : graph.inputs) {
    const auto& value = graph.value(id);
    const bool last = image_axis_order(graph, id) == AxisOrder::channels_last;
    options.inputs.push_back({value.name, value.dtype, value.shape.value_or(Shape{}),
                              last ? ImageLayout::nhwc : ImageLayout::nchw});
  }
  OCTET_ASSIGN(data.dataset, open_dataset(source.path, options));
  if (data.dataset->holds_images() && data.recipe == Recipe{}) {
    log_warning(
        "no recipe: the pixels are fed as they are, 0 to 255; --recipe says how images become the "
        "input");
  }
  const auto count = source.samples > 0 ? source.samples : default_samples;
  data.selection = select_samples(*data.dataset, count, source.seed);
  return data;
}

int sweep_batch(const Graph& graph) {
  std::int64_t elements = 1;
  for (const auto id : graph.inputs) {
    const auto& shape = graph.value(id).shape;
    if (!shape || shape->empty()) return 1;
    if (shape->front() > 0) return 1;
    for (std::size_t i = 1; i < shape->size(); ++i) {
      if ((*shape)[i] > 0) elements = std::min(elements * (*shape)[i], std::int64_t{1} << 30);
    }
  }
  constexpr std::int64_t elements_per_batch = 1 << 15;
  return static_cast<int>(std::clamp<std::int64_t>(elements_per_batch / elements, 1, 32));
}

Status check_labels(const OpenData& data, std::int64_t classes) {
  const auto& labels = data.dataset->labels();
  if (labels.empty()) {
    return bad_input("{} has no labels, which this measure needs", data.dataset->name());
  }
  const auto stated = data.dataset->class_count();
  const int offset = data.recipe.label_offset;
  if (stated > 0 && stated + offset != classes) {
    return bad_input(
        "{} has {} classes{}, but the model gives {} scores", data.dataset->name(), stated,
        offset == 0 ? std::string() : fmt::format(" (label_offset {})", offset), classes);
  }
  for (const auto index : data.selection) {
    const auto label = labels[static_cast<std::size_t>(index)] + offset;
    if (label < 0 || label >= classes) {
      return bad_input("{}: sample {} has class {}, outside the model's {} scores",
                       data.dataset->name(), index, label, classes);
    }
  }
  return {};
}

Status check_scores(const Tensor& scores, std::size_t samples) {
  if (scores.dtype() != DType::f32 || scores.rank() < 2 ||
      scores.dim(0) != static_cast<std::int64_t>(samples)) {
    return bad_input("the first output has type {} and shape {}; class scores are f32 [N, classes]",
                     name(scores.dtype()), to_string(scores.shape()));
  }
  return {};
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

std::span<const float> row(const Tensor& tensor, std::int64_t i) {
  const auto width = tensor.dim(0) > 0 ? tensor.size() / tensor.dim(0) : 0;
  return {tensor.data<float>() + i * width, static_cast<std::size_t>(width)};
}

std::int64_t classes_of(const OpenData& data) {
  const auto& labels = data.dataset->labels();
  std::set<std::int32_t> seen;
  for (const auto i : data.selection) {
    if (static_cast<std::size_t>(i) < labels.size())
      seen.insert(labels[static_cast<std::size_t>(i)]);
  }
  return static_cast<std::int64_t>(seen.size());
}

std::vector<std::int64_t> spread_evenly(const std::vector<std::int64_t>& selection,
                                        std::int64_t limit) {
  const auto all = static_cast<std::int64_t>(selection.size());
  const auto count = std::min(all, limit);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) {
    chosen.push_back(selection[static_cast<std::size_t>(i * all / count)]);
  }
  return chosen;
}

}  // namespace octet

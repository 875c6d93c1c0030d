#pragma once
// From a model file to a program that runs it, and from a data source to samples it accepts.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/program.h"
#include "engine/simulation/simulation_program.h"
#include "engine/worker_sessions.h"
#include "formats/model_file.h"
#include "octet/data.h"
#include "octet/evaluate.h"

namespace octet {

/// Keys under which octet keeps things in a model's metadata.
inline constexpr const char* recipe_key = "octet.recipe";

/// Rule by which the model's integers are to be requantized; written unless the format means it
/// anyway.
inline constexpr const char* rule_key = "octet.rule";

/// Notes the plan's rule for a file of this path in the metadata, where its format means another.
void state_rule(QuantizedGraph& model, const std::string& path);
[[nodiscard]] bool is_tflite_path(const std::string& path);

/// A rule by name, nullopt for "".
[[nodiscard]] Result<std::optional<Rule>> parse_rule(const std::string& text);

/// read_model, with the plan's rule as the model's metadata states it, or as `rule` names it.
[[nodiscard]] Result<ModelFile> open_model(const std::string& path, const std::string& rule = {});

[[nodiscard]] inline bool is_quantized(const ModelFile& file) { return !file.model.plan.empty(); }

/// The recipe in a JSON file; errors name the file.
[[nodiscard]] Result<Recipe> read_recipe(const std::string& path);

struct ChosenEngine {
  std::unique_ptr<Program> program;
  std::string name;  ///< "float", "simulate", "integer"
  /// The graph whose value ids the program's taps use.
  QuantizedGraph model;
  std::vector<SimulatedLayer> simulated_layers;
};

/// `engine` as in EvaluateRequest. `tap_names`: values that taps will ask for, by name; "*" for
/// all.
[[nodiscard]] Result<ChosenEngine> choose_engine(const ModelFile& file, const EngineName& engine,
                                                 std::span<const std::string> tap_names = {});

struct OpenData {
  std::unique_ptr<Dataset> dataset;
  Recipe recipe;
  std::vector<std::int64_t> selection;
};

/// At most `limit` of the samples, at even distances.
[[nodiscard]] std::vector<std::int64_t> spread_evenly(const std::vector<std::int64_t>& selection,
                                                      std::int64_t limit);

/// Different labels of the selected samples; 0 without labels.
[[nodiscard]] std::int64_t classes_of(const OpenData& data);

/// Opens a data source for a model: the recipe comes from the request, else from the model, else
/// from `other`, a model that is compared with it. `default_samples` is used when the source does
/// not say.
[[nodiscard]] Result<OpenData> open_data(const DataSource& source, const Graph& graph,
                                         std::int64_t default_samples,
                                         const Graph* other = nullptr);

/// Micro-batch for accuracy sweeps; depends on the model's input alone, never on threads.
[[nodiscard]] int sweep_batch(const Graph& graph);

/// Checks that labels fit an output of `classes` scores; the error says what does not.
[[nodiscard]] Status check_labels(const OpenData& data, std::int64_t classes);

/// Checks that an output holds f32 scores, one row for each of `samples`.
[[nodiscard]] Status check_scores(const Tensor& scores, std::size_t samples);

/// Highest resident memory of this process so far, in bytes.
[[nodiscard]] std::int64_t peak_rss_bytes();

/// Rows of a [N, ...] tensor as spans of f32 scores.
[[nodiscard]] std::span<const float> row(const Tensor& tensor, std::int64_t i);

}  // namespace octet

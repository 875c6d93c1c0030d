#include "octet/diagnose.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "analysis/output_comparison.h"
#include "analysis/recipe_probe.h"
#include "analysis/suspects.h"
#include "api/advice_trials.h"
#include "api/commands.h"
#include "api/engine_choice.h"
#include "api/input_match.h"
#include "api/provenance.h"
#include "api/quantize_command.h"
#include "api/quantize_options.h"
#include "api/recipe_cause.h"
#include "core/log.h"
#include "engine/float/float_program.h"
#include "graph/op_schema.h"
#include "passes/float_function.h"
#include "passes/pipeline.h"
#include "passes/target.h"

namespace octet {
namespace {

/// Samples that ranges are taken from, to be compared with the file's; and that recipes are tried
/// on.
constexpr std::int64_t range_samples = 128;
constexpr std::int64_t least_recipe_samples = 128;
constexpr std::int64_t most_recipe_samples = 512;
/// Samples on which the float model and the function that the quantized one stands for are
/// compared.
constexpr std::int64_t function_samples = 8;
constexpr std::size_t least_samples_to_try = 16;

OutputDistanceSummary summary(const TrialError& error) {
  return {error.kl, error.agreement, -10 * std::log10(error.noise)};
}

/// As many as take some seconds: swapped channels cost a robust network little on each sample.
std::int64_t recipe_samples(const Graph& graph) {
  constexpr std::int64_t budget = 50'000'000'000;  // multiply-accumulates for each recipe
  std::int64_t macs = 1;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive) macs += node_macs(graph, node);
  }
  return std::clamp(budget / macs, least_recipe_samples, most_recipe_samples);
}

/// The float model, simplified and fitted as it was before quantization.
Result<Graph> float_graph(const ModelFile& file, const QuantizedGraph& quantized,
                          const std::map<std::string, std::string>& provenance,
                          const std::string& path) {
  Graph graph = file.model.graph;
  OCTET_TRY(simplify(graph));
  QuantizeOptions options;
  options.target = quantized.plan.target;
  const auto it = provenance.find("options");
  if (options.target.empty() && it != provenance.end()) {
    for (const auto& name : target_names()) {
      if (it->second.find("\"target\":\"" + std::string(name) + "\"") != std::string::npos) {
        options.target = std::string(name);
      }
    }
  }
  if (options.target.empty()) options.target = default_target(path);
  if (find_target(options.target) == nullptr) options.target = "onnxruntime";
  OCTET_TRY(fit_target(graph, options));
  return graph;
}

/// At most `limit` samples of a data set, spread evenly over the selection.
SampleSource source_of(const OpenData& data, const DiagnoseRequest& request, std::string task) {
  return [&data, &request, task](const Graph&, std::int64_t limit,
                                 const BatchVisitor& visit) -> Result<std::int64_t> {
    const auto selection = spread_evenly(data.selection, limit);
    LoaderOptions loader;
    loader.batch_size = calibration_batch;
    loader.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
    loader.task = task;
    loader.progress = request.progress;
    OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, selection, loader, visit));
    if (report.samples == 0) {
      return bad_input("{}: no sample could be used", data.dataset->name());
    }
    return report.samples;
  };
}

/// Statistics of the values that the plan quantizes, of samples that lie between those of the
/// diagnosis where there are enough.
Result<Statistics> own_statistics(const QuantizedGraph& model, const OpenData& data,
                                  const std::string& observer, const DiagnoseRequest& request) {
  CalibrationOptions options;
  OCTET_ASSIGN(options.observer, parse_observer(observer == "auto" ? "mse" : observer));
  if (options.observer == ObserverKind::moving_average) options.observer = ObserverKind::minmax;
  const auto all = static_cast<std::int64_t>(data.selection.size());
  const auto count = std::min(all, range_samples);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = std::min(i * all / count + all / count / 2, all - 1);
    options.selection.push_back(data.selection[static_cast<std::size_t>(at)]);
  }
  options.selection.erase(std::unique(options.selection.begin(), options.selection.end()),
                          options.selection.end());
  options.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  options.progress = request.progress;
  std::vector<ValueId> values;
  for (const auto& [id, q] : model.plan.values) {
    const auto& value = model.graph.value(id);
    if (!value.is_constant() && (value.dtype == DType::f32 || value.dtype == DType::undefined)) {
      values.push_back(id);
    }
  }
  return calibrate(model.graph, values, *data.dataset, options);
}

class Diagnoser {
 public:
  explicit Diagnoser(const DiagnoseRequest& request) : request_(request) {}

  Result<Diagnosis> run() {
    OCTET_TRY(open());
    OCTET_TRY(measure());
    OCTET_TRY(probe_recipe());
    OCTET_TRY(judge());
    judge_recipe();
    OCTET_TRY(try_advice());
    list_layers();
    return std::move(out_);
  }

 private:
  Status open() {
    OCTET_ASSIGN(first_, open_model(request_.model));
    OCTET_ASSIGN(second_, open_model(request_.quantized));
    if (is_quantized(first_) || !is_quantized(second_)) {
      return fail(ErrorKind::usage, "a diagnosis needs a float model and one quantized from it");
    }
    provenance_ = read_provenance(second_.model.graph);
    OCTET_ASSIGN(original_, float_graph(first_, second_.model, provenance_, request_.quantized));
    std::vector<std::string> unmatched;
    const auto recipe = request_from_provenance(provenance_);
    OCTET_ASSIGN(model_, float_function(second_.model, original_, unmatched,
                                        recipe.absorb_bias.value_or(false)));
    if (!unmatched.empty()) {
      out_.notes.push_back(fmt::format(
          "the float weights of {} layers were not found by name (first: {}); the error of their "
          "weights does not show",
          unmatched.size(), unmatched.front()));
    }
    OCTET_ASSIGN(const auto match, InputMatch::make(first_.model.graph, model_.graph));
    for (std::size_t i = 0; i < model_.graph.inputs.size(); ++i) {
      if (match.turned(i) || match.in_first(i) != i) {
        return bad_input(
            "{} and {} take their inputs in other order or axes; diagnose a model that "
            "was quantized without changing them",
            request_.model, request_.quantized);
      }
    }
    OCTET_ASSIGN(data_, open_data(request_.data, first_.model.graph, 0, &second_.model.graph));
    obstacle_ = AdviceTrials::obstacle(first_, second_);
    if (data_.selection.size() < least_samples_to_try) obstacle_ = "there are too few samples";
    return {};
  }

  /// What the diagnosis calls float should be what the float model computes.
  Status check_function() {
    OCTET_ASSIGN(const auto expected, compile_float(original_));
    OCTET_ASSIGN(const auto found, compile_float(model_.graph));
    std::mutex one_at_a_time;
    OutputComparison difference(pair_outputs(original_, model_.graph));
    OCTET_TRY(source_of(data_, request_, "float function")(
        original_, function_samples, [&](int, const Batch& batch) -> Status {
          const std::lock_guard lock(one_at_a_time);
          OCTET_ASSIGN(const auto a, expected->session());
          OCTET_ASSIGN(const auto b, found->session());
          OCTET_ASSIGN(const auto x, a->run(batch.inputs));
          OCTET_ASSIGN(const auto y, b->run(batch.inputs));
          difference.add(x, y, 1);
          return {};
        }));
    constexpr double close_db = 20;
    if (const double db = difference.total().sqnr_db(); db < close_db) {
      out_.notes.push_back(fmt::format(
          "the weights that were found are not quite those the codes were made from: in float they "
          "give the float model's outputs at {:.1f} dB; gains are against that",
          db));
    }
    return {};
  }

  Status measure() {
    OCTET_TRY(check_function());
    OCTET_ASSIGN(layers_, integer_layers(model_));
    ValueErrorCollector collector(model_);
    OCTET_ASSIGN(sensitivity_,
                 measure_sensitivity(model_, source_of(data_, request_, "layers one by one"),
                                     request_.samples,
                                     [&](int worker, const Batch& batch, const BaseValues& values) {
                                       return collector.visit(worker, batch, values);
                                     }));
    errors_ = collector.errors();
    OCTET_ASSIGN(
        statistics_,
        own_statistics(model_, data_, request_from_provenance(provenance_).observer, request_));
    out_.samples = sensitivity_.samples;
    out_.measure = sensitivity_.quantized.kl ? "kl" : "noise";
    out_.quantized = summary(sensitivity_.quantized);
    return {};
  }

  Status probe_recipe() {
    if (!data_.dataset->holds_images()) return {};
    auto others = usual_recipes(data_.recipe);
    const auto stored = stored_recipe(second_.model.graph);
    if (stored && !(*stored == data_.recipe)) {
      others.push_back({stored_recipe_name, *stored});
    }
    OCTET_ASSIGN(probe_, probe_recipes(original_, data_.recipe, others,
                                       source_of(data_, request_, "recipes"),
                                       recipe_samples(original_), data_.dataset->labels()));
    return {};
  }

  void complete(Cause& cause, const std::string& recipe) const {
    auto request = request_from_provenance(provenance_);
    apply_advice(cause.advice.options, request);
    request.model = request_.model;
    request.output = request_.quantized;
    request.data.path =
        cause.cause == "calibration_set" ? "<data of all classes, as these>" : "<calibration data>";
    request.data.recipe = recipe;
    cause.advice.command = quantize_command(request);
  }

  Cause to_cause(const Suspect& suspect, const std::optional<TrialError>& after) const {
    Cause cause{suspect.cause,
                suspect.layer,
                suspect.text,
                suspect.evidence,
                {suspect.options, "", {}},
                {}};
    if (after) cause.advice.expected = summary(*after);
    complete(cause, request_.data.recipe);
    return cause;
  }

  Status judge() {
    const bool calibrated = provenance_.count("statistics") > 0 || provenance_.empty() ||
                            !second_.model.plan.values.empty();
    const DiagnosisInput input{model_,    layers_, errors_, statistics_, data_.dataset->labels(),
                               calibrated};
    OCTET_ASSIGN(auto suspects, weight_suspects(input));
    OCTET_ASSIGN(auto of_ranges, range_suspects(input));
    suspects.insert(suspects.end(), of_ranges.begin(), of_ranges.end());
    judge_coverage(suspects);
    const auto faults = suspects.size();
    const auto recipe = request_from_provenance(provenance_);
    const auto* target = find_target(recipe.target.empty() ? "onnxruntime" : recipe.target);
    const bool wide =
        second_.model.plan.rule == Rule::onnx && target != nullptr && target->wide_values;
    OCTET_ASSIGN(auto more, improvements(model_, sensitivity_, wide));
    suspects.insert(suspects.end(), more.begin(), more.end());
    std::vector<PlanTrial> trials;
    for (const auto& suspect : suspects) {
      if (suspect.remedy) trials.push_back(*suspect.remedy);
    }
    OCTET_ASSIGN(
        const auto errors,
        run_trials(model_, trials, source_of(data_, request_, "remedies"), request_.samples));
    const double now = errors.quantized.error();
    std::vector<std::pair<double, Cause>> causes;
    std::vector<std::pair<double, Cause>> improvements;
    std::size_t trial = 0;
    for (std::size_t i = 0; i < suspects.size(); ++i) {
      std::optional<TrialError> after;
      if (suspects[i].remedy) after = errors.trials[trial++];
      const double gain = after ? now - after->error() : 0;
      auto cause = to_cause(suspects[i], after);
      if (i >= faults) {
        // What another rounding makes of it shows where advice is tried.
        if (gain > 0 || obstacle_.empty()) improvements.emplace_back(gain, std::move(cause));
      } else if (suspects[i].certain || is_cause(now, gain) ||
                 (after && is_uncovered(suspects[i], errors.quantized, *after))) {
        causes.emplace_back(gain, std::move(cause));
      } else if (gain > least_improvement * now) {
        improvements.emplace_back(gain, std::move(cause));
      }
    }
    const auto by_gain = [](const auto& a, const auto& b) { return a.first > b.first; };
    std::stable_sort(causes.begin(), causes.end(), by_gain);
    std::stable_sort(improvements.begin(), improvements.end(), by_gain);
    for (auto& [gain, cause] : causes) out_.causes.push_back(std::move(cause));
    for (auto& [gain, cause] : improvements) out_.improvements.push_back(std::move(cause));
    return {};
  }

  /// A recipe is wrong before anything that is calibrated by it.
  void judge_recipe() {
    if (!probe_) return;
    auto cause = recipe_cause(*probe_, data_.recipe, stored_recipe(second_.model.graph));
    if (!cause) return;
    const bool known = probe_->given_is_best() && !request_.data.recipe.empty();
    complete(*cause, known ? request_.data.recipe : "<recipe.json, as above>");
    out_.causes.insert(out_.causes.begin(), std::move(*cause));
  }

  /// Advice is tried where that is possible: what does not help is not given.
  Status try_advice() {
    if (out_.causes.empty() && out_.improvements.empty()) return {};
    if (!obstacle_.empty()) {
      out_.notes.push_back("what advice gives is simulated: " + obstacle_);
      return {};
    }
    OCTET_ASSIGN(const auto trials, AdviceTrials::make(request_, second_));
    out_.quantized = trials->now().distance;
    out_.advice_samples = trials->samples();
    std::vector<Cause> kept;
    for (auto& cause : out_.causes) {
      OCTET_ASSIGN(const bool keep, try_remedy(*trials, cause));
      if (keep) kept.push_back(std::move(cause));
    }
    out_.causes = std::move(kept);
    return try_improvements(*trials);
  }

  /// nullopt, and a note, where the model cannot be made so.
  Result<std::optional<AdviceOutcome>> outcome_of(AdviceTrials& trials, const Advice& advice) {
    auto outcome = trials.run(advice.options);
    if (outcome) return std::optional(std::move(*outcome));
    if (outcome.error().kind == ErrorKind::cancelled) return tl::unexpected(outcome.error());
    out_.notes.push_back(fmt::format("no model can be made with {}: {}", shell_text(advice.options),
                                     outcome.error().message));
    return std::nullopt;
  }

  /// Options are advice only where they help. False: samples that were held back make no better
  /// model, so those of the calibration were no cause.
  Result<bool> try_remedy(AdviceTrials& trials, Cause& cause) {
    const bool recipe = cause.cause == "recipe";
    if (recipe ? !probe_->given_is_best() : !cause.advice.expected) return true;
    OCTET_ASSIGN(const auto tried, outcome_of(trials, cause.advice));
    cause.advice.expected.reset();
    if (!tried) {
      withdraw(cause.advice);
      return true;
    }
    const auto& outcome = *tried;
    if (gain_interval(trials.now(), outcome).low > 0) {
      cause.advice.expected = outcome.distance;
      return true;
    }
    constexpr double half_the_noise_db = 3;
    const double gained_db = outcome.distance.sqnr_db - trials.now().distance.sqnr_db;
    if (cause.cause == "calibration_set") return thin_calibration_ || gained_db > half_the_noise_db;
    if (cause.advice.options.empty()) return true;
    cause.evidence.push_back(
        fmt::format("quantized anew with {} it is no better", shell_text(cause.advice.options)));
    withdraw(cause.advice);
    return true;
  }

  static void withdraw(Advice& advice) {
    advice.options.clear();
    advice.command.clear();
  }

  /// They must be better than the model, and than one that is made anew as it was.
  Status try_improvements(AdviceTrials& trials) {
    auto tried = std::move(out_.improvements);
    out_.improvements.clear();
    if (tried.empty()) return {};
    OCTET_ASSIGN(const auto anew, trials.run({}));
    std::vector<std::pair<double, Cause>> ranked;
    for (auto& cause : tried) {
      OCTET_ASSIGN(const auto trial, outcome_of(trials, cause.advice));
      if (!trial) continue;
      const auto& outcome = *trial;
      const auto gain = gain_interval(trials.now(), outcome);
      if (gain.low <= 0 || gain_interval(anew, outcome).low <= 0) continue;
      cause.advice.expected = outcome.distance;
      ranked.emplace_back(gain.low + gain.high, std::move(cause));
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [gain, cause] : ranked) out_.improvements.push_back(std::move(cause));
    return {};
  }

  /// Few samples or classes to calibrate on are a risk, whatever these samples show.
  void judge_coverage(std::vector<Suspect>& suspects) {
    const auto classes = number_from_provenance(provenance_, "classes");
    const auto samples = number_from_provenance(provenance_, "samples");
    const auto here = classes_of(data_);
    constexpr std::int64_t least_samples = 8;
    constexpr std::int64_t few = 2;  // times more classes could have been
    const bool few_samples =
        samples > 0 && samples < std::min(least_samples, std::ssize(data_.selection));
    const bool few_classes = classes > 0 && few * classes < std::min(samples, here);
    thin_calibration_ = few_samples || few_classes;
    if (!thin_calibration_) return;
    auto found = std::find_if(suspects.begin(), suspects.end(),
                              [](const auto& s) { return s.cause == "calibration_set"; });
    if (found == suspects.end()) {
      suspects.push_back({"calibration_set", "", "", {}, {}, {}});
      found = std::prev(suspects.end());
    }
    found->certain = true;
    found->text = few_samples ? "the calibration samples are too few to cover any data"
                              : "the calibration samples do not cover the classes of these data";
    found->evidence.push_back(
        few_samples ? fmt::format("{} calibration samples", samples)
                    : fmt::format("{} calibration samples of {} of at least {} classes", samples,
                                  classes, here));
  }

  /// A suspicion is a cause where the model has an error worth speaking of, and the remedy takes a
  /// good part of it.
  [[nodiscard]] bool is_cause(double error, double gain) const {
    constexpr double least_kl = 0.002;
    constexpr double least_noise = 0.003;
    constexpr double least_part = 0.3;
    const double least = out_.measure == "kl" ? least_kl : least_noise;
    return error > least && gain > least_part * error;
  }
  static constexpr double least_improvement = 0.05;

  /// Samples that do not cover the data will do harm on some, if not on these: half of the noise is
  /// enough.
  static bool is_uncovered(const Suspect& suspect, const TrialError& now, const TrialError& after) {
    return suspect.cause == "calibration_set" && after.noise < now.noise / 2;
  }

  void list_layers() {
    for (const auto& layer : sensitivity_.layers) {
      LayerDiagnosis row;
      row.name = layer.layer.name;
      row.op = layer.layer.op;
      row.alone_error = layer.alone_quantized_error;
      row.float_gain = layer.left_float_gain;
      if (layer.layer.output != ValueId::none) {
        row.value = model_.graph.value(layer.layer.output).name;
      }
      if (const auto it = errors_.find(layer.layer.output); it != errors_.end()) {
        const auto& e = it->second;
        const double signal = e.signal > 0 ? e.signal : 1;
        row.sqnr_db = e.sqnr_db();
        row.clipping = e.clipping / signal;
        row.rounding = e.rounding / signal;
        row.mean_shift = e.mean_shift / signal;
        row.outside = e.outside;
        row.channel_ratio = e.channel_ratio();
      } else {
        row.sqnr_db = std::numeric_limits<double>::quiet_NaN();
      }
      out_.layers.push_back(std::move(row));
    }
    std::stable_sort(out_.layers.begin(), out_.layers.end(),
                     [](const LayerDiagnosis& a, const LayerDiagnosis& b) {
                       return a.float_gain > b.float_gain;
                     });
  }

  const DiagnoseRequest& request_;
  ModelFile first_;
  ModelFile second_;
  std::map<std::string, std::string> provenance_;
  Graph original_;
  QuantizedGraph model_;
  OpenData data_;
  std::vector<IntegerLayer> layers_;
  Sensitivity sensitivity_;
  std::map<ValueId, ValueErrors> errors_;
  Statistics statistics_;
  std::optional<RecipeProbe> probe_;
  std::string obstacle_;           ///< to trying advice, "": none
  bool thin_calibration_ = false;  ///< few samples or classes
  Diagnosis out_;
};

}  // namespace

Result<Diagnosis> diagnose(const DiagnoseRequest& request) { return Diagnoser(request).run(); }

}  // namespace octet

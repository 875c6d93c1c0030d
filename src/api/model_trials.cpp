#include "api/model_trials.h"

#include <filesystem>

#include "api/clock.h"
#include "api/latency.h"
#include "api/layer_effects.h"
#include "api/quantize_options.h"
#include "api/quantizing.h"
#include "api/random_inputs.h"
#include "api/samples_hash.h"
#include "api/trial_requests.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/parallel.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr double latency_seconds = 0.2;

/// FOLDER/STEM + middle + SUFFIX.
std::string beside(const std::string& output, const std::string& middle) {
  const fs::path path(output);
  return (path.parent_path() / (path.stem().string() + middle + path.extension().string()))
      .string();
}

TrialResult result_of(const TuneTrial& trial) {
  TrialResult result;
  result.value = trial.value;
  result.drop = trial.drop;
  if (trial.drop_low && trial.drop_high) result.interval = {*trial.drop_low, *trial.drop_high};
  result.error = trial.output_error;
  result.bytes = trial.bytes;
  result.milliseconds = trial.median_ms;
  return result;
}

/// Removes a file that only this run needs.
class ScratchFile {
 public:
  explicit ScratchFile(std::string path) : path_(std::move(path)) {}
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

Result<double> median_latency(const Side& side) {
  OCTET_ASSIGN(const auto inputs, random_inputs(side.file.model.graph, 1));
  OCTET_ASSIGN(const auto bench, measure_latency(*side.engine.program, inputs,
                                                 {latency_seconds, thread_count(), false}));
  return bench.median_ms;
}

ModelTrials::ModelTrials(const TrialSetting& setting,
                         std::function<void(const TuneTrial&)> on_trial)
    : setting_(setting), on_trial_(std::move(on_trial)) {}

Result<std::string> ModelTrials::key_of(const TrialPlan& plan) {
  auto text = setting_.key + trial_command(setting_.request, plan, setting_.samples, "");
  if (!plan.train) return hash_of(text);
  if (training_hash_.empty()) {
    const auto request = train_request(setting_.request, plan, setting_.samples, "");
    OCTET_ASSIGN(const auto data,
                 open_data(request.data, setting_.judge.float_side().file.model.graph, 0));
    OCTET_ASSIGN(training_hash_, samples_hash(data));
  }
  return hash_of(text + training_hash_);
}

std::string ModelTrials::path_of_trial() const {
  return beside(setting_.request.quantization.output, ".trial");
}

std::string ModelTrials::path_of_command() const {
  return beside(setting_.request.quantization.output, fmt::format("_{}", trials_.size() + 1));
}

Result<std::optional<TrialResult>> ModelTrials::run(const TrialPlan& plan) {
  OCTET_ASSIGN(const auto key, key_of(plan));
  if (const auto it = known_.find(key); it != known_.end()) {
    const auto& trial = trials_[it->second];
    return trial.error.empty() ? std::optional(result_of(trial)) : std::nullopt;
  }
  OCTET_TRY(check_cancel());
  TuneTrial trial;
  const auto* logged = setting_.log.find(key);
  // What failed may have failed for a passing reason.
  const bool usable = logged != nullptr && logged->error.empty() &&
                      (logged->median_ms || !setting_.measure_latency);
  if (usable) {
    trial = *logged;
    trial.resumed = true;
  } else {
    OCTET_ASSIGN(trial, carry_out(plan, key));
  }
  take(plan, trial);
  return trial.error.empty() ? std::optional(result_of(trial)) : std::nullopt;
}

Result<TuneTrial> ModelTrials::carry_out(const TrialPlan& plan, const std::string& key) {
  const auto start = Clock::now();
  TuneTrial trial;
  trial.key = key;
  trial.step = name(plan.step);
  trial.command = trial_command(setting_.request, plan, setting_.samples, path_of_command());
  const ScratchFile file(path_of_trial());
  auto status = make(plan, file.path());
  if (status) status = measure(file.path(), trial);
  if (!status) {
    if (status.error().kind == ErrorKind::cancelled) return tl::unexpected(status.error());
    if (!first_error_) first_error_ = status.error();
    trial.error = status.error().message;
  }
  trial.seconds = seconds_since(start);
  if (leads(trial)) {
    OCTET_ASSIGN(const auto model, FileView::open(file.path()));
    OCTET_TRY(write_file(setting_.request.quantization.output, model.bytes()));
  }
  OCTET_TRY(setting_.log.add(trial));
  return trial;
}

Status ModelTrials::make(const TrialPlan& plan, const std::string& output) {
  if (!plan.train) {
    return quantize_sharing(quantize_request(setting_.request, plan, output), &setting_.calibration)
        .map([](const QuantizeSummary&) {});
  }
  auto request = train_request(setting_.request, plan, setting_.samples, output);
  // A checkpoint belongs to one trial.
  OCTET_ASSIGN(const auto key, key_of(plan));
  request.checkpoint =
      fmt::format("{}.{}.checkpoint", setting_.request.quantization.output, key.substr(0, 8));
  request.resume = setting_.request.resume;
  OCTET_TRY(train(request, {}));
  const ScratchFile done(request.checkpoint);
  return {};
}

Status ModelTrials::measure(const std::string& path, TuneTrial& trial) {
  OCTET_ASSIGN(const auto file, FileView::open(path));
  trial.hash = content_hash(file.bytes());
  trial.bytes = file.bytes().size();
  OCTET_ASSIGN(const auto side, open_side(path, "", ""));
  OCTET_ASSIGN(const auto verdict, setting_.judge.judge(side));
  trial.value = verdict.value;
  trial.drop = verdict.drop;
  if (verdict.interval) {
    trial.drop_low = verdict.interval->low;
    trial.drop_high = verdict.interval->high;
  }
  trial.output_error = verdict.error;
  if (!setting_.measure_latency) return {};
  OCTET_ASSIGN(trial.median_ms, median_latency(side));
  return {};
}

bool ModelTrials::leads(const TuneTrial& trial) const {
  if (!trial.error.empty() || best_is_final_) return false;
  return !best_ || better(setting_.goal, result_of(trial), result_of(trials_[*best_]));
}

void ModelTrials::take(const TrialPlan& plan, TuneTrial trial) {
  const auto at = trials_.size();
  known_[trial.key] = at;
  if (leads(trial)) best_ = at;
  if (on_trial_) on_trial_(trial);
  trials_.push_back(std::move(trial));
  plans_.push_back(plan);
}

const TuneTrial* ModelTrials::best() const { return best_ ? &trials_[*best_] : nullptr; }

bool ModelTrials::reached() const {
  return best_ && reaches(setting_.goal, result_of(trials_[*best_]));
}

Status ModelTrials::write_best() {
  const auto& output = setting_.request.quantization.output;
  const auto& best = trials_[*best_];
  std::error_code error;
  if (fs::exists(output, error)) {
    OCTET_ASSIGN(const auto file, FileView::open(output));
    if (content_hash(file.bytes()) == best.hash) return {};
  }
  const ScratchFile again(path_of_trial());
  OCTET_TRY(make(plans_[*best_], again.path()));
  OCTET_ASSIGN(const auto file, FileView::open(again.path()));
  if (content_hash(file.bytes()) != best.hash) {
    return internal_error("the trial of the log was not made again: {}", best.command);
  }
  return write_file(output, file.bytes());
}

Result<std::vector<LayerEffect>> ModelTrials::layers(const TrialPlan& plan) {
  OCTET_ASSIGN(const auto own, key_of(plan));
  const auto key =
      hash_of(fmt::format("layers {} {} {}", own, setting_.measure_latency, setting_.study_narrow));
  if (const auto* logged = setting_.log.find_layers(key)) return *logged;
  OCTET_TRY(check_cancel());
  auto effects = study(plan);
  if (!effects) {
    if (effects.error().kind == ErrorKind::cancelled) return effects;
    log_warning("no mixed precision: {}", effects.error().message);
    return std::vector<LayerEffect>();
  }
  OCTET_TRY(setting_.log.add_layers(key, *effects));
  return effects;
}

Result<std::vector<LayerEffect>> ModelTrials::study(const TrialPlan& plan) {
  const auto& original = setting_.judge.float_side();
  const ScratchFile file(path_of_trial());
  auto plain = plan;
  // What best adds moves all layers alike, and takes long.
  if (plain.optimize == "best") plain.optimize = "fast";
  auto request = quantize_request(setting_.request, plain, file.path());
  request.learn_rounding = false;
  request.rounding_scope.clear();
  request.input_layout.clear();
  OCTET_ASSIGN(const auto options, parse_options(request));
  OCTET_TRY(quantize_sharing(request, &setting_.calibration));
  OCTET_ASSIGN(const auto model, open_side(file.path(), "", ""));
  OCTET_ASSIGN(const auto* data,
               setting_.calibration.open(request.data, original.file.model.graph));
  std::optional<Side> narrow;
  if (setting_.study_narrow) {
    request.narrow = {"*"};
    OCTET_TRY(quantize_sharing(request, &setting_.calibration));
    OCTET_ASSIGN(narrow, open_side(file.path(), "", ""));
  }
  return study_layers({original, model, narrow ? &*narrow : nullptr, *data, options.target,
                       setting_.measure_latency});
}

}  // namespace octet

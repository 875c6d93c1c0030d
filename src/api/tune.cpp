#include "octet/tune.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/clock.h"
#include "api/deadline.h"
#include "api/model_trials.h"
#include "api/samples_hash.h"
#include "api/shared_calibration.h"
#include "api/trial_requests.h"
#include "core/file.h"
#include "core/hash.h"
#include "tuning/mixed_precision.h"
#include "tuning/pareto.h"
#include "tuning/search.h"

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t layers_named = 3;

std::string log_path(const TuneRequest& request) {
  return request.log.empty() ? request.quantization.output + ".trials.jsonl" : request.log;
}

/// What is written must not be what is read, nor two things one file.
Status check_files_differ(const TuneRequest& request) {
  namespace fs = std::filesystem;
  const auto& q = request.quantization;
  std::vector<std::pair<std::string, std::string>> files = {
      {"the model", q.model}, {"-o", q.output}, {"--log", log_path(request)}};
  if (!request.pareto.empty()) files.emplace_back("--pareto", request.pareto);
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t k = i + 1; k < files.size(); ++k) {
      std::error_code ignored;
      const auto& [a, first] = files[i];
      const auto& [b, second] = files[k];
      const bool same =
          fs::weakly_canonical(first, ignored) == fs::weakly_canonical(second, ignored);
      if (same || fs::equivalent(first, second, ignored)) {
        return fail(ErrorKind::usage, "{}: {} and {} are the same file", second, a, b);
      }
    }
  }
  return {};
}

Status check_request(const TuneRequest& request) {
  const auto& q = request.quantization;
  if (q.data.path.empty() || request.validation.path.empty()) {
    return fail(ErrorKind::usage, "tuning needs --data to calibrate on and --val to judge by");
  }
  if (q.output.empty()) return fail(ErrorKind::usage, "-o OUT is missing");
  if (!std::isfinite(request.max_drop)) {
    return fail(ErrorKind::usage, "--max-drop {}: a number of points", request.max_drop);
  }
  OCTET_TRY(check_files_differ(request));
  OCTET_TRY(check_model_suffix(q.output));
  OCTET_TRY(check_writable(q.output));
  if (!request.pareto.empty()) OCTET_TRY(check_writable(request.pareto));
  return {};
}

struct Ending {
  bool reached = false;
  bool out_of_time = false;
  std::vector<LayerEffect> layers;
};

/// The layers whose float form takes most off the error.
std::string worst_layers(const std::vector<LayerEffect>& layers) {
  const auto gaining = by_float_gain(layers, {});
  double all = 0;
  for (const auto& layer : gaining) all += layer.float_gain;
  auto worst = gaining;
  std::stable_sort(worst.begin(), worst.end(), [](const LayerEffect& a, const LayerEffect& b) {
    return a.float_gain > b.float_gain;
  });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(layers_named, worst.size()); ++i) {
    names.push_back(fmt::format("{} ({:.0f} %)", worst[i].node, 100 * worst[i].float_gain / all));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

/// What keeps the search from its target.
std::string limit_of(const TuneRequest& request, const Ending& ending, const TuneTrial& best) {
  std::vector<std::string> reasons;
  const auto& budget = request.budget;
  if (budget.bytes && best.bytes > *budget.bytes) {
    reasons.push_back(fmt::format("size: no model within {} bytes was found, the smallest has {}",
                                  *budget.bytes, best.bytes));
  }
  if (budget.milliseconds && best.median_ms.value_or(0) > *budget.milliseconds) {
    reasons.push_back(
        fmt::format("latency: no model within {} ms was found, the fastest takes {:.4g}",
                    *budget.milliseconds, *best.median_ms));
  }
  if (ending.out_of_time) {
    reasons.push_back(
        fmt::format("time: {:g} s were over before all steps were tried", *budget.seconds));
  }
  if (best.drop > request.max_drop) {
    auto text = fmt::format("accuracy: the drop is {:.4g} at best ({}), {:g} was asked for",
                            best.drop, best.step, request.max_drop);
    if (best.drop_low && *best.drop_low <= request.max_drop) {
      text += ", which its confidence interval holds: more validation samples would say more";
    }
    if (const auto worst = worst_layers(ending.layers); !worst.empty()) {
      text += fmt::format("; layers that lose most: {}", worst);
    }
    reasons.push_back(text);
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

/// The front of the trials by a cost that they have.
template <class Cost>
std::vector<TuneTrial> front_of(const std::vector<TuneTrial>& trials, const Cost& cost) {
  std::vector<TuneTrial> made;
  std::vector<ParetoPoint> points;
  for (const auto& trial : trials) {
    if (!trial.error.empty() || !cost(trial)) continue;
    made.push_back(trial);
    points.push_back({*cost(trial), trial.drop});
  }
  std::vector<TuneTrial> front;
  for (const auto i : pareto_front(points)) front.push_back(made[i]);
  return front;
}

TuneFronts fronts_of(const std::vector<TuneTrial>& trials) {
  return {front_of(trials,
                   [](const TuneTrial& t) { return std::optional(static_cast<double>(t.bytes)); }),
          front_of(trials, [](const TuneTrial& t) { return t.median_ms; })};
}

Status write_fronts(const TuneRequest& request, const TuneSummary& summary) {
  const auto list = [](const std::vector<TuneTrial>& trials) {
    Json points = Json::array();
    for (const auto& trial : trials) points.push_back(Json::parse(log_line(trial)));
    return points;
  };
  const Json json = {{"metric", summary.metric},
                     {"float_value", summary.float_value},
                     {"count", summary.count},
                     {"size", list(summary.fronts->by_size)},
                     {"latency", list(summary.fronts->by_latency)}};
  return write_file(request.pareto, std::string_view(json.dump(2) + "\n"));
}

/// Cancelled because the time is up: that ends the search, not the command.
Result<bool> ended_by_time(const Status& status, const Deadline& deadline) {
  if (status) return false;
  if (status.error().kind != ErrorKind::cancelled || !deadline.expired()) {
    return tl::unexpected(status.error());
  }
  clear_cancel();
  return true;
}

Status run_search(const TuneRequest& request, const SearchSpace& space, const Goal& goal,
                  const Deadline& deadline, ModelTrials& trials, Ending& ending) {
  const auto search_all = [&]() -> Status {
    OCTET_ASSIGN(auto outcome, search(space, goal, trials));
    ending.layers = std::move(outcome.layers);
    return {};
  };
  OCTET_ASSIGN(ending.out_of_time, ended_by_time(search_all(), deadline));
  if (ending.out_of_time && trials.best() == nullptr) {
    // The cheapest model is made whatever the time.
    OCTET_TRY(trials.run(TrialPlan{}));
  }
  ending.reached = trials.reached();
  if (request.pareto.empty() || ending.out_of_time) return {};
  trials.keep_best();
  OCTET_TRY(ended_by_time(explore(space, trials), deadline));
  return {};
}

Error interrupted(const Error& error, const ModelTrials& trials, const TrialLog& log) {
  if (error.kind != ErrorKind::cancelled || trials.best() == nullptr) return error;
  return {
      error.kind,
      fmt::format("interrupted; the output holds the best of {} trials ({}, drop {:.4g}), and "
                  "--resume goes on from {}",
                  trials.trials().size(), trials.best()->step, trials.best()->drop, log.path())};
}

std::string setting_key(const TuneRequest& request, const PairedJudge& judge,
                        const std::string& calibration) {
  return hash_of(fmt::format("{} {} {} {} {} {}", version(), judge.float_side().file.hash,
                             calibration, judge.fingerprint(), name(judge.metric()),
                             is_tflite_path(request.quantization.output)));
}

Result<TuneSummary> summary_of(const TuneRequest& request, const Ending& ending,
                               const PairedJudge& judge, const ModelTrials& trials) {
  TuneSummary summary;
  summary.output = request.quantization.output;
  summary.reached = ending.reached;
  summary.metric = name(judge.metric());
  summary.float_value = judge.float_value();
  summary.count = judge.count();
  summary.best = *trials.best();
  summary.trials = trials.trials();
  if (!summary.reached) summary.limit = limit_of(request, ending, summary.best);
  if (!summary.best.median_ms) {
    OCTET_ASSIGN(const auto side, open_side(summary.output, "", ""));
    OCTET_ASSIGN(summary.best.median_ms, median_latency(side));
  }
  if (request.pareto.empty()) return summary;
  summary.fronts = fronts_of(summary.trials);
  OCTET_TRY(write_fronts(request, summary));
  return summary;
}

struct BudgetUnit {
  std::string_view name;
  double factor = 1;
  char of = 't';  ///< time of the search, bytes, latency
};

constexpr BudgetUnit budget_units[] = {
    {"s", 1, 't'},    {"min", 60, 't'}, {"h", 3600, 't'}, {"B", 1, 'b'},     {"kB", 1e3, 'b'},
    {"KB", 1e3, 'b'}, {"MB", 1e6, 'b'}, {"GB", 1e9, 'b'}, {"us", 1e-3, 'l'}, {"ms", 1, 'l'}};

}  // namespace

Status add_budget(const std::string& text, TuneBudget& budget) {
  double number = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const auto& known : budget_units) {
    const double amount = number * known.factor;
    constexpr double most = 1e15;
    const double least = known.of == 'b' ? 1 : 0;
    const bool possible = amount > 0 && amount >= least && amount <= most;  // no NaN either
    if (error != std::errc() || !possible || unit != known.name) continue;
    if (known.of == 't') budget.seconds = amount;
    if (known.of == 'b') budget.bytes = static_cast<std::uint64_t>(amount);
    if (known.of == 'l') budget.milliseconds = amount;
    return {};
  }
  return fail(ErrorKind::usage,
              "--budget {}: a time of the search (s, min, h), a size (B, kB, MB, GB) or a latency "
              "(us, ms), as in 10min, 3MB, 1.5ms",
              text);
}

Result<TuneSummary> tune(const TuneRequest& request,
                         const std::function<void(const TuneTrial&)>& on_trial) {
  const auto start = Clock::now();
  OCTET_TRY(check_request(request));
  OCTET_ASSIGN(const auto space, search_space(request));
  const auto& q = request.quantization;
  OCTET_ASSIGN(auto log, TrialLog::open(log_path(request), request.resume));
  const Goal goal{request.max_drop, request.budget.bytes, request.budget.milliseconds};
  OCTET_ASSIGN(const auto judge,
               PairedJudge::make(q.model, request.validation, request.metric, request.progress));
  SharedCalibration calibration;
  OCTET_ASSIGN(const auto* data, calibration.open(q.data, judge->float_side().file.model.graph));
  OCTET_ASSIGN(const auto data_hash, samples_hash(*data));
  ModelTrials trials(
      {request, goal, *judge, calibration, log, setting_key(request, *judge, data_hash),
       data->dataset->size(), goal.milliseconds.has_value() || !request.pareto.empty(),
       space.narrow && (goal.bytes.has_value() || !request.pareto.empty())},
      on_trial);
  Ending ending;
  Deadline deadline(request.budget.seconds, start);
  auto status = run_search(request, space, goal, deadline, trials, ending);
  deadline.stop();
  if (deadline.expired()) clear_cancel();
  if (!status) return tl::unexpected(interrupted(status.error(), trials, log));
  if (trials.best() == nullptr) {
    if (trials.first_error()) return tl::unexpected(*trials.first_error());
    return internal_error("no trial was made");
  }
  OCTET_TRY(trials.write_best());
  OCTET_ASSIGN(auto summary, summary_of(request, ending, *judge, trials));
  summary.seconds = seconds_since(start);
  return summary;
}

}  // namespace octet

#include "tuning/search.h"

#include <algorithm>
#include <span>

#include "tuning/mixed_precision.h"

namespace octet {
namespace {

/// Share of the multiply-accumulates that mixed precision may leave in float: beyond it the model
/// is hardly an integer model any more.
constexpr double most_in_float = 0.5;

bool contains(const std::vector<std::string>& all, std::string_view wanted) {
  return std::find(all.begin(), all.end(), wanted) != all.end();
}

/// A plan that was carried out.
struct Tried {
  TrialPlan plan;
  TrialResult result;
};

class Search {
 public:
  Search(const SearchSpace& space, const Goal& goal, TrialRunner& runner)
      : space_(space), goal_(goal), runner_(runner), observer_(space.observers.front()) {}

  Result<SearchOutcome> run() {
    using Stage = Status (Search::*)();
    for (const Stage stage :
         {&Search::try_plain, &Search::try_levels, &Search::try_mixed, &Search::try_training}) {
      OCTET_TRY((this->*stage)());
      if (ended()) break;
    }
    return std::move(outcome_);
  }

 private:
  /// Carries a plan out and takes note of it; nullopt when that fails.
  Result<std::optional<TrialResult>> attempt(const TrialPlan& plan) {
    OCTET_ASSIGN(const auto result, runner_.run(plan));
    if (!result) return std::optional<TrialResult>();
    if (!best_ || better(goal_, *result, best_->result)) best_ = Tried{plan, *result};
    outcome_.reached = outcome_.reached || reaches(goal_, *result);
    return result;
  }

  [[nodiscard]] TrialPlan plan_of(TuneStep step, std::string_view level) const {
    TrialPlan plan;
    plan.step = step;
    plan.observer = observer_;
    plan.optimize = level;
    plan.narrow = narrow_;
    return plan;
  }

  [[nodiscard]] bool too_large(const TrialResult& result) const {
    return goal_.bytes && result.bytes > *goal_.bytes && space_.narrow;
  }

  /// The same, with weights of 4 bits in as many more layers as it takes for the file to fit; those
  /// that lose least for what they save.
  Result<std::optional<TrialResult>> attempt_fitting(TrialPlan plan) {
    OCTET_ASSIGN(auto result, attempt(plan));
    if (!result || !too_large(*result)) return result;
    if (narrow_order_.empty()) {
      OCTET_ASSIGN(const auto layers, runner_.layers(plan));
      narrow_order_ = by_narrow_loss(layers);
    }
    plan.step = TuneStep::mixed;
    while (result && too_large(*result)) {
      const auto taken = static_cast<std::ptrdiff_t>(narrow_.size());
      const Layers rest(narrow_order_.begin() + taken, narrow_order_.end());
      cannot_fit_ = rest.empty();
      if (cannot_fit_) break;
      const auto more = layers_to_save(rest, result->bytes - *goal_.bytes).value_or(rest.size());
      for (std::size_t i = 0; i < more; ++i) narrow_.push_back(rest[i].node);
      plan.narrow = narrow_;
      OCTET_ASSIGN(result, attempt(plan));
    }
    return result;
  }

  [[nodiscard]] bool ended() const { return outcome_.reached || cannot_fit_; }

  /// No optimization: by each observer, of which the one with the smallest error stays.
  Status try_plain() {
    if (!contains(space_.levels, "none")) return {};
    std::optional<double> least_error;
    const std::string usual = observer_;
    for (const auto& observer : space_.observers) {
      auto plan = plan_of(observer == usual ? TuneStep::none : TuneStep::observers, "none");
      plan.observer = observer;
      OCTET_ASSIGN(const auto result, attempt_fitting(plan));
      if (ended()) return {};
      if (!result || (least_error && result->error >= *least_error)) continue;
      least_error = result->error;
      observer_ = observer;
    }
    return {};
  }

  Status try_levels() {
    OCTET_TRY(try_fast());
    if (ended() || !contains(space_.levels, "best")) return {};
    OCTET_TRY(attempt_fitting(plan_of(TuneStep::best, "best")));
    if (ended() || !space_.round_weights || !narrow_.empty()) return {};
    auto plan = plan_of(TuneStep::best, "best");
    plan.round_weights = true;
    OCTET_TRY(attempt_fitting(plan));
    return {};
  }

  /// The usual observer first: errors without corrections say little of those with them.
  Status try_fast() {
    if (!contains(space_.levels, "fast")) return {};
    const auto& first = space_.observers.front();
    auto plan = plan_of(TuneStep::fast, "fast");
    plan.observer = first;
    OCTET_ASSIGN(const auto usual, attempt_fitting(plan));
    if (ended() || observer_ == first) return {};
    OCTET_ASSIGN(const auto other, attempt_fitting(plan_of(TuneStep::fast, "fast")));
    if (usual && (!other || usual->error <= other->error)) observer_ = first;
    return {};
  }

  Status try_mixed() {
    if (!best_) return {};
    const Tried start = *best_;
    TrialPlan plan = start.plan;
    plan.step = TuneStep::mixed;
    if (space_.wide_activations) {
      auto wide = plan;
      wide.wide_activations = true;
      OCTET_TRY(attempt(wide));
      if (outcome_.reached) return {};
    }
    OCTET_ASSIGN(outcome_.layers, runner_.layers(plan));
    const auto gaining = by_float_gain(outcome_.layers, goal_);
    return widen({plan, start.result}, up_to_share(gaining, outcome_.layers, most_in_float));
  }

  /// Leaves layers in float, or gives them 16-bit activations, in growing groups; a group stays if
  /// the output error really falls.
  Status widen(Tried current, const Layers& ordered) {
    std::size_t group = 1;
    for (std::size_t i = 0; i < ordered.size(); i += group, group *= 2) {
      const std::span next(ordered.data() + i, std::min(group, ordered.size() - i));
      const auto plan = widened(current, next);
      OCTET_ASSIGN(const auto result, attempt(plan));
      if (outcome_.reached) return fewest(current, next);
      if (result && result->error < current.result.error && within_budget(goal_, *result)) {
        current = {plan, *result};
      }
    }
    return {};
  }

  /// Of layers that reach the goal together, the first that do so.
  Status fewest(const Tried& current, std::span<const LayerEffect> group) {
    std::size_t too_few = 0;
    std::size_t enough = group.size();
    while (enough - too_few > 1) {
      const auto middle = (too_few + enough) / 2;
      OCTET_ASSIGN(const auto result, attempt(widened(current, group.first(middle))));
      (result && reaches(goal_, *result) ? enough : too_few) = middle;
    }
    return {};
  }

  /// In float as far as there is room for the bytes and the time, else with 16-bit activations,
  /// which take no bytes, else as it is.
  [[nodiscard]] TrialPlan widened(const Tried& current, std::span<const LayerEffect> group) const {
    TrialPlan plan = current.plan;
    auto bytes = current.result.bytes;
    auto milliseconds = current.result.milliseconds.value_or(0);
    for (const auto& layer : group) {
      if (contains(plan.narrow, layer.node)) continue;
      const auto later = milliseconds + layer.float_ms - layer.integer_ms;
      if (goal_.milliseconds && later > *goal_.milliseconds) continue;
      milliseconds = later;
      if (!goal_.bytes || bytes + bytes_added(layer) <= *goal_.bytes) {
        bytes += bytes_added(layer);
        plan.keep_float.push_back(layer.node);
      } else if (space_.wide_values) {
        plan.wide.push_back(layer.input);
        plan.wide.push_back(layer.node);
      }
    }
    return plan;
  }

  Status try_training() {
    if (!space_.training) return {};
    const auto level = contains(space_.levels, "fast") ? "fast" : space_.levels.back();
    auto plan = plan_of(TuneStep::training, level);
    plan.train = true;
    OCTET_TRY(attempt(plan));
    return {};
  }

  const SearchSpace& space_;
  const Goal& goal_;
  TrialRunner& runner_;
  std::string observer_;
  std::vector<std::string> narrow_;
  Layers narrow_order_;
  bool cannot_fit_ = false;  ///< no step makes the file smaller
  std::optional<Tried> best_;
  SearchOutcome outcome_;
};

/// Plans with the first 1, 2, 4 ... of the layers, the last of them with all.
template <class Change>
Status try_prefixes(const TrialPlan& base, const Layers& ordered, TrialRunner& runner,
                    const Change& change) {
  auto plan = base;
  std::size_t next = 1;
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    change(plan, ordered[i]);
    if (i + 1 != next && i + 1 != ordered.size()) continue;
    next *= 2;
    OCTET_TRY(runner.run(plan));
  }
  return {};
}

}  // namespace

Result<SearchOutcome> search(const SearchSpace& space, const Goal& goal, TrialRunner& runner) {
  return Search(space, goal, runner).run();
}

Status explore(const SearchSpace& space, TrialRunner& runner) {
  TrialPlan base;
  base.step = TuneStep::pareto;
  base.observer = space.observers.front();
  base.optimize = contains(space.levels, "fast") ? "fast" : space.levels.back();
  OCTET_TRY(runner.run(base));
  OCTET_ASSIGN(const auto layers, runner.layers(base));
  if (space.narrow) {
    OCTET_TRY(try_prefixes(
        base, by_narrow_loss(layers), runner,
        [](TrialPlan& plan, const LayerEffect& layer) { plan.narrow.push_back(layer.node); }));
  }
  const auto gaining = up_to_share(by_float_gain(layers, {}), layers, most_in_float);
  OCTET_TRY(try_prefixes(base, gaining, runner, [](TrialPlan& plan, const LayerEffect& layer) {
    plan.keep_float.push_back(layer.node);
  }));
  if (!space.wide_values) return {};
  return try_prefixes(base, gaining, runner, [](TrialPlan& plan, const LayerEffect& layer) {
    plan.wide.push_back(layer.input);
    plan.wide.push_back(layer.node);
  });
}

}  // namespace octet

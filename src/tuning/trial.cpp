#include "tuning/trial.h"

#include <array>
#include <tuple>

namespace octet {
namespace {

constexpr std::array<std::string_view, 7> step_names = {"none",  "observers", "fast",  "best",
                                                        "mixed", "training",  "pareto"};

}  // namespace

std::string_view name(TuneStep step) { return step_names[static_cast<std::size_t>(step)]; }

std::optional<TuneStep> step_from_name(std::string_view text) {
  for (std::size_t i = 0; i < step_names.size(); ++i) {
    if (step_names[i] == text) return static_cast<TuneStep>(i);
  }
  return std::nullopt;
}

bool within_budget(const Goal& goal, const TrialResult& result) {
  if (goal.bytes && result.bytes > *goal.bytes) return false;
  return !goal.milliseconds || result.milliseconds.value_or(0) <= *goal.milliseconds;
}

bool reaches(const Goal& goal, const TrialResult& result) {
  return result.drop <= goal.max_drop && within_budget(goal, result);
}

bool better(const Goal& goal, const TrialResult& a, const TrialResult& b) {
  const bool within = within_budget(goal, a);
  if (within != within_budget(goal, b)) return within;
  const bool reached = reaches(goal, a);
  if (reached != reaches(goal, b)) return reached;
  if (reached) return std::tie(a.bytes, a.drop, a.error) < std::tie(b.bytes, b.drop, b.error);
  if (within) return std::tie(a.drop, a.error, a.bytes) < std::tie(b.drop, b.error, b.bytes);
  if (goal.bytes) return std::tie(a.bytes, a.drop, a.error) < std::tie(b.bytes, b.drop, b.error);
  return std::tie(a.milliseconds, a.drop) < std::tie(b.milliseconds, b.drop);
}

}  // namespace octet

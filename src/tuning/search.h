#pragma once
// The search: from the cheapest way to quantize to the dearest, until the goal is reached.

#include "tuning/trial.h"

namespace octet {

/// What may be tried. What the user has fixed is not in it.
struct SearchSpace {
  std::vector<std::string> observers;  ///< the usual one first
  std::vector<std::string> levels;     ///< of optimization, cheapest first
  bool round_weights = true;           ///< `best` does not reconstruct the rounding by itself
  bool wide_activations = false;       ///< the target has 16-bit activations throughout
  bool wide_values = false;            ///< the target has single 16-bit values
  bool narrow = true;                  ///< weights of 4 bits
  bool training = true;
};

struct SearchOutcome {
  bool reached = false;
  /// Of the plan that mixed precision started from, where the search came to that.
  std::vector<LayerEffect> layers;
};

/// Tries step after step, and stops at the first plan that reaches the goal; the runner sees every
/// plan, and keeps the best. What is too large at first gets weights of 4 bits, in as many layers
/// as it takes, before anything else is tried.
[[nodiscard]] Result<SearchOutcome> search(const SearchSpace& space, const Goal& goal,
                                           TrialRunner& runner);

/// Tries plans between weights of 4 bits and layers in float, for fronts of size and latency
/// against accuracy.
[[nodiscard]] Status explore(const SearchSpace& space, TrialRunner& runner);

}  // namespace octet

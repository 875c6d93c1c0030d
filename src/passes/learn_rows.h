#pragma once
// The last step of rounding a layer: learned rounding, and the choice between what was found.

#include "passes/round_layer.h"
#include "passes/soft_rounding.h"

namespace octet {

/// Rows of one group without their means.
struct CenteredRows {
  RoundingRows inputs;
  std::int64_t channels = 0;
  std::span<const float> outputs;       ///< [rows][channels]
  std::span<const float> addends;       ///< likewise, or empty
  std::span<const double> output_means; ///< empty: none were taken out
};

/// What each output channel may become, and its mean square error behind the activation.
struct RowChoice {
  std::vector<RoundedRow> nearest;
  std::vector<RoundedRow> found;
  std::vector<std::vector<float>> continuous;  ///< by channel, weights without rounding
};

struct ChosenRows {
  std::vector<RoundedRow> rows;
  double nearest_error = 0;
  double error = 0;
};

/// Takes for each channel what errs least behind the activation: nearest codes, those that were
/// found, or those that AdaRound makes of them where the problem asks for that.
[[nodiscard]] Result<ChosenRows> choose_rows(const LayerProblem& problem, const CenteredRows& rows,
                                             RowChoice choice);

}  // namespace octet

#pragma once
// What class scores say.

#include <cstdint>
#include <span>
#include <vector>

namespace octet {

/// Index of the largest element; the first among equals; NaN never wins. 0 when empty.
[[nodiscard]] std::size_t arg_max(std::span<const float> scores);

/// Whether `label` is among the k largest scores. Ties count against the label only when the equal
/// score has a lower index, so that k = 1 agrees with arg_max.
[[nodiscard]] bool in_top_k(std::span<const float> scores, std::size_t label, std::size_t k);

/// Class probabilities: the scores themselves when they already are (non-negative, sum within 0.05
/// of 1), normalised to sum 1; else their softmax. Clipped to [1e-8, 1].
[[nodiscard]] std::vector<double> class_probabilities(std::span<const float> scores);

/// KL(p || q) = sum p ln(p / q), in nats.
[[nodiscard]] double kl_divergence(std::span<const double> p, std::span<const double> q);

}  // namespace octet

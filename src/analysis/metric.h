#pragma once
// The metrics by which models are judged, by name.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octet {

enum class Metric : std::uint8_t {
  top1,       ///< share of samples whose label has the largest score
  top5,       ///< share of samples whose label is among the five largest scores
  agreement,  ///< share of positions where both models have the same largest score
  kl,         ///< mean KL(reference || model) of the class probabilities, in nats
  sqnr,       ///< 10 log10(sum reference^2 / sum (reference - model)^2), in dB
  mse,        ///< mean (reference - model)^2; without a reference (input - output)^2
  cosine,     ///< mean over samples of the cosine between reference and model
  auc,        ///< area under the ROC curve of the score against labels 0 and 1
};

[[nodiscard]] std::string_view name(Metric metric);
[[nodiscard]] std::optional<Metric> metric_from_name(std::string_view name);
/// "top1, top5, ..." for messages.
[[nodiscard]] std::string metric_names();

[[nodiscard]] bool needs_labels(Metric metric);
/// Whether it compares with a second model; mse may do without one.
[[nodiscard]] bool takes_reference(Metric metric);
/// Whether more is better; less is better for kl and mse.
[[nodiscard]] bool larger_is_better(Metric metric);

}  // namespace octet

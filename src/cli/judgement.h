#pragma once
// What eval and compare share: metrics and errors of outputs as text and JSON.

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace octet::cli {

inline constexpr const char* metric_help = "top1|top5|agreement|kl|sqnr|mse|cosine|auc";
inline constexpr const char* engine_help = "float|simulate|integer";

/// For commands that cannot do without --data.
extern const Error missing_data;

[[nodiscard]] Json number_or_null(const std::optional<double>& number);
/// The value with the metric's unit, "-" when there is none.
[[nodiscard]] std::string metric_text(const std::string& metric,
                                      const std::optional<double>& value);
[[nodiscard]] Json outputs_json(const std::vector<OutputError>& outputs);
/// One line for each output.
[[nodiscard]] std::string outputs_text(const std::vector<OutputError>& outputs);
[[nodiscard]] std::string output_text(const OutputError& output);

}  // namespace octet::cli

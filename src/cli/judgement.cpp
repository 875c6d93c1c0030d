#include "cli/judgement.h"

#include <fmt/format.h>

namespace octet::cli {

const Error missing_data{ErrorKind::usage,
                         "--data is missing (on the command line or in --config)"};

Json number_or_null(const std::optional<double>& number) {
  return number ? finite_or_null(*number) : Json(nullptr);
}

std::string metric_text(const std::string& metric, const std::optional<double>& value) {
  if (!value) return "-";
  if (metric == "top1" || metric == "top5" || metric == "agreement") return percent(*value);
  if (metric == "sqnr") return fmt::format("{:.2f} dB", *value);
  if (metric == "auc") return fmt::format("{:.5f}", *value);
  return fmt::format("{:.6g}", *value);
}

Json outputs_json(const std::vector<OutputError>& outputs) {
  Json list = Json::array();
  for (const auto& output : outputs) {
    list.push_back({{"name", output.name},
                    {"sqnr_db", number_or_null(output.sqnr_db)},
                    {"mse", number_or_null(output.mse)},
                    {"cosine", number_or_null(output.cosine)}});
  }
  return list;
}

std::string output_text(const OutputError& output) {
  if (!output.mse) return "cannot be compared";
  return fmt::format("SQNR {}, MSE {}, cosine {}", metric_text("sqnr", output.sqnr_db),
                     metric_text("mse", output.mse), metric_text("cosine", output.cosine));
}

std::string outputs_text(const std::vector<OutputError>& outputs) {
  std::string text;
  for (const auto& output : outputs) {
    text += fmt::format("  output {}: {}\n", one_line(output.name), output_text(output));
  }
  return text;
}

}  // namespace octet::cli

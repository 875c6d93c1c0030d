#include "analysis/metric.h"

#include <array>

namespace octet {
namespace {

struct MetricEntry {
  Metric metric;
  std::string_view name;
};

constexpr std::array<MetricEntry, 8> metrics = {{
    {Metric::top1, "top1"},
    {Metric::top5, "top5"},
    {Metric::agreement, "agreement"},
    {Metric::kl, "kl"},
    {Metric::sqnr, "sqnr"},
    {Metric::mse, "mse"},
    {Metric::cosine, "cosine"},
    {Metric::auc, "auc"},
}};

}  // namespace

std::string_view name(Metric metric) {
  for (const auto& entry : metrics) {
    if (entry.metric == metric) return entry.name;
  }
  return "";
}

std::optional<Metric> metric_from_name(std::string_view text) {
  for (const auto& entry : metrics) {
    if (entry.name == text) return entry.metric;
  }
  return std::nullopt;
}

std::string metric_names() {
  std::string names;
  for (const auto& entry : metrics) {
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

bool needs_labels(Metric metric) {
  return metric == Metric::top1 || metric == Metric::top5 || metric == Metric::auc;
}

bool takes_reference(Metric metric) { return !needs_labels(metric); }

bool larger_is_better(Metric metric) { return metric != Metric::kl && metric != Metric::mse; }

}  // namespace octet

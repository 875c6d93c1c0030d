#include "api/shared_calibration.h"

#include <algorithm>

#include "core/hash.h"
#include "data/held_dataset.h"
#include "graph/dump.h"

namespace octet {
namespace {

constexpr std::int64_t default_samples = 512;
/// Bytes of undecoded samples that are kept where there is more than one sweep over them.
constexpr std::size_t held_bytes = std::size_t{64} << 20;

/// Observers of histograms share what they saw; the others keep something of their own.
std::string what_is_seen(ObserverKind observer) {
  const bool histogram =
      observer != ObserverKind::minmax && observer != ObserverKind::moving_average;
  return histogram ? "histogram" : std::string(name(observer));
}

}  // namespace

Result<OpenData> open_calibration_data(const DataSource& source, const Graph& graph, bool hold) {
  OCTET_ASSIGN(auto data, open_data(source, graph, default_samples));
  if (!hold) return data;
  OCTET_ASSIGN(data.dataset, hold_samples(std::move(data.dataset), data.selection, held_bytes));
  return data;
}

Result<const OpenData*> SharedCalibration::open(const DataSource& source, const Graph& graph) {
  if (!opened_) {
    OCTET_ASSIGN(opened_, open_calibration_data(source, graph, true));
  }
  return &*opened_;
}

std::string graph_hash(const Graph& graph) {
  std::string text = dump({graph, {}});
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto* constant = graph.constant(static_cast<ValueId>(i));
    if (constant == nullptr || constant->dtype() == DType::string) continue;
    text += content_hash({constant->raw(), constant->bytes()});
  }
  return content_hash(std::as_bytes(std::span(text)));
}

Result<Statistics> SharedCalibration::statistics(const Graph& graph,
                                                 const std::vector<ValueId>& values,
                                                 ObserverKind observer,
                                                 const CalibrationSweeper& sweep) {
  auto& known = known_[graph_hash(graph) + what_is_seen(observer)];
  std::vector<ValueId> missing;
  for (const auto id : values) {
    if (!known.values.contains(graph.value(id).name)) missing.push_back(id);
  }
  if (!missing.empty()) {
    OCTET_ASSIGN(auto seen, sweep(missing));
    seen.values.merge(std::move(known.values));
    known = std::move(seen);
  }
  auto all = known;
  all.observer = observer;
  all.values.clear();
  for (const auto id : values) {
    const auto& value = graph.value(id).name;
    all.values.emplace(value, known.values.at(value));
  }
  return all;
}

}  // namespace octet

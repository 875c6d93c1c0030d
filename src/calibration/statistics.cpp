#include "calibration/statistics.h"

#include <algorithm>

#include "core/hash.h"

namespace octet {

void merge_into(ValueStatistics& into, const ValueStatistics& other) {
  if (into.histogram.total() == 0) {
    into.average_minimum = other.average_minimum;
    into.average_maximum = other.average_maximum;
  } else if (other.histogram.total() > 0) {
    into.average_minimum = std::min(into.average_minimum, other.average_minimum);
    into.average_maximum = std::max(into.average_maximum, other.average_maximum);
  }
  into.histogram.merge(other.histogram);
  into.means.merge(other.means);
}

Result<Statistics> merge(const Statistics& a, const Statistics& b) {
  if (a.observer != b.observer) {
    return bad_input("statistics of observer {} do not merge with those of observer {}",
                     name(a.observer), name(b.observer));
  }
  if (a.observer == ObserverKind::moving_average) {
    return bad_input("moving averages depend on the order of the samples and do not merge");
  }
  if (a.model_hash != b.model_hash) {
    return bad_input("the statistics are of different models (hash {} and {})", a.model_hash,
                     b.model_hash);
  }
  if (a.recipe != b.recipe) {
    return bad_input("the statistics were made with different recipes: {} and {}", a.recipe,
                     b.recipe);
  }
  Statistics merged = a;
  merged.data_fingerprint = add_hashes(a.data_fingerprint, b.data_fingerprint);
  merged.samples += b.samples;
  for (const auto& [value, seen] : b.values) {
    const auto it = merged.values.find(value);
    if (it == merged.values.end()) {
      return bad_input("value {} is in one of the statistics only", value);
    }
    merge_into(it->second, seen);
  }
  for (const auto& entry : a.values) {
    if (!b.values.contains(entry.first)) {
      return bad_input("value {} is in one of the statistics only", entry.first);
    }
  }
  return merged;
}

}  // namespace octet

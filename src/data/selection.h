#pragma once
#include <algorithm>

#include "data/dataset.h"

namespace octet {

/// Whether a selection is sorted, without repeats and within the data set.
[[nodiscard]] inline Status check_selection(const std::vector<std::int64_t>& selection,
                                            std::int64_t size) {
  const bool sorted = std::adjacent_find(selection.begin(), selection.end(),
                                         std::greater_equal<>()) == selection.end();
  const bool inside = selection.empty() || (selection.front() >= 0 && selection.back() < size);
  if (!sorted || !inside) return internal_error("a selection of samples is not sorted or outside");
  return {};
}

}  // namespace octet

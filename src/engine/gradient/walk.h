#pragma once
// Walks over arrays of which some are broadcast, or lie in another order in memory than the others.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/float/vector_clones.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {

/// One axis, with the step in memory that each array takes along it (0 where it is broadcast).
template <std::size_t arrays>
struct WalkAxis {
  std::int64_t extent = 1;
  std::array<std::int64_t, arrays> steps{};
};

template <std::size_t arrays>
struct Walk {
  std::vector<WalkAxis<arrays>> axes;  ///< outermost first; at least one
  std::array<std::int64_t, arrays> start{};

  [[nodiscard]] const WalkAxis<arrays>& last() const { return axes.back(); }
};

/// `steps`: of each array, by axis of `extents`. The walk is in the order in memory of the first
/// array; axes that all arrays walk through evenly become one.
template <std::size_t arrays>
Walk<arrays> make_walk(const Shape& extents,
                       const std::array<std::vector<std::int64_t>, arrays>& steps) {
  std::vector<std::size_t> order(extents.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return steps[0][i] > steps[0][j]; });
  Walk<arrays> walk;
  for (const auto i : order) {
    WalkAxis<arrays> axis{extents[i], {}};
    if (axis.extent == 1) continue;
    for (std::size_t k = 0; k < arrays; ++k) axis.steps[k] = steps[k][i];
    const auto continues = [&](const WalkAxis<arrays>& outer) {
      for (std::size_t k = 0; k < arrays; ++k) {
        if (outer.steps[k] != axis.steps[k] * axis.extent) return false;
      }
      return true;
    };
    if (!walk.axes.empty() && continues(walk.axes.back())) {
      axis.extent *= walk.axes.back().extent;
      walk.axes.back() = axis;
    } else {
      walk.axes.push_back(axis);
    }
  }
  if (walk.axes.empty()) walk.axes.push_back({});
  return walk;
}

/// Calls fn(offsets of the arrays) for every run along the last axis.
template <std::size_t arrays, class Fn>
OCTET_INLINE void for_each_run(const Walk<arrays>& walk, const Fn& fn) {
  const auto outer = walk.axes.size() - 1;
  std::int64_t runs = 1;
  for (std::size_t i = 0; i < outer; ++i) runs *= walk.axes[i].extent;
  auto at = walk.start;
  std::vector<std::int64_t> position(outer, 0);
  for (std::int64_t n = 0; n < runs; ++n) {
    fn(at);
    for (std::size_t i = outer; i-- > 0;) {
      const auto& axis = walk.axes[i];
      for (std::size_t k = 0; k < arrays; ++k) at[k] += axis.steps[k];
      if (++position[i] < axis.extent) break;
      for (std::size_t k = 0; k < arrays; ++k) at[k] -= axis.extent * axis.steps[k];
      position[i] = 0;
    }
  }
}

}  // namespace octet::gradient

#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace octet {

struct ParetoPoint {
  double cost = 0;
  double loss = 0;
};

/// Indices of the points that no other equals or beats in both, by rising cost; of equal points the
/// first.
[[nodiscard]] std::vector<std::size_t> pareto_front(std::span<const ParetoPoint> points);

}  // namespace octet

#include "tuning/pareto.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace octet {

std::vector<std::size_t> pareto_front(std::span<const ParetoPoint> points) {
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tie(points[a].cost, points[a].loss, a) <
           std::tie(points[b].cost, points[b].loss, b);
  });
  std::vector<std::size_t> front;
  for (const auto i : order) {
    if (front.empty() || points[i].loss < points[front.back()].loss) front.push_back(i);
  }
  return front;
}

}  // namespace octet

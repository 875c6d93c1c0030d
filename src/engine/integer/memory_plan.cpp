#include "engine/integer/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace octet::integer {
namespace {
constexpr std::size_t granule = 64;
std::size_t rounded(std::size_t bytes) { return (bytes + granule - 1) / granule * granule; }
}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes) {
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lifetimes[a].bytes > lifetimes[b].bytes;
  });
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<std::size_t> placed;  // by offset
  for (const auto current : order) {
    const Lifetime& wanted = lifetimes[current];
    const std::size_t bytes = rounded(wanted.bytes);
    std::size_t offset = 0;
    for (const auto other : placed) {
      const Lifetime& there = lifetimes[other];
      if (there.last < wanted.first || wanted.last < there.first) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + rounded(there.bytes));
    }
    plan.offsets[current] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + bytes);
    const auto after = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](std::size_t value, std::size_t other) { return value < plan.offsets[other]; });
    placed.insert(after, current);
  }
  plan.arena_bytes += overread_bytes;
  return plan;
}

}  // namespace octet::integer

#include "engine/integer/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace octet::integer {
namespace {

TEST(MemoryPlan, BuffersThatLiveTogetherDoNotOverlap) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 40; ++i) {
      const int first = static_cast<int>(random() % 30);
      lifetimes.push_back({random() % 5000 + 1, first, first + static_cast<int>(random() % 6)});
    }
    const auto plan = plan_memory(lifetimes);
    for (std::size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % 64, 0U);
      EXPECT_LE(plan.offsets[i] + lifetimes[i].bytes + overread_bytes, plan.arena_bytes);
      for (std::size_t j = 0; j < i; ++j) {
        if (lifetimes[i].last < lifetimes[j].first || lifetimes[j].last < lifetimes[i].first) {
          continue;
        }
        EXPECT_TRUE(plan.offsets[i] + lifetimes[i].bytes <= plan.offsets[j] ||
                    plan.offsets[j] + lifetimes[j].bytes <= plan.offsets[i]);
      }
    }
  }
}

TEST(MemoryPlan, AChainNeedsTwoBuffers) {
  std::vector<Lifetime> lifetimes;
  for (int i = 0; i < 20; ++i) lifetimes.push_back({6400, i, i + 1});
  EXPECT_EQ(plan_memory(lifetimes).arena_bytes, 2 * 6400 + overread_bytes);
}

}  // namespace
}  // namespace octet::integer

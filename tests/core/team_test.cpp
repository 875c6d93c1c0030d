// A team does every item of every loop once, whatever its size and however short the loops are.

#include "core/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "core/parallel.h"

namespace octet {
namespace {

/// How often each item was done.
std::vector<int> counts(std::int64_t items) {
  std::vector<std::atomic<int>> done(static_cast<std::size_t>(items));
  parallel_for(items, [&](std::int64_t i) { done[static_cast<std::size_t>(i)] += 1; });
  return {done.begin(), done.end()};
}

TEST(Team, DoesEveryItemOfManyLoopsOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    Team team(threads);
    team.gather([] {
      for (int loop = 0; loop < 2000; ++loop) {
        const std::int64_t items = loop % 12;
        const auto done = counts(items);
        ASSERT_EQ(done, std::vector<int>(static_cast<std::size_t>(items), 1)) << loop;
      }
    });
  }
}

TEST(Team, KeepsAnItemOnItsThread) {
  Team team(2);
  team.gather([] {
    for (int loop = 0; loop < 100; ++loop) {
      std::vector<int> threads(2, -1);
      std::vector<std::thread::id> ids(2);
      const bool ran = Team::run(2, [&](int thread, std::int64_t i) {
        threads[static_cast<std::size_t>(i)] = thread;
        ids[static_cast<std::size_t>(i)] = std::this_thread::get_id();
      });
      ASSERT_TRUE(ran);
      EXPECT_EQ(threads[0], 0);
      // OpenMP may give no second thread.
      EXPECT_EQ(threads[1], ids[0] == ids[1] ? 0 : 1);
    }
  });
}

TEST(Team, IsOnlyThereWhileGathered) {
  const auto ignored = [](int, std::int64_t) {};
  EXPECT_FALSE(Team::run(2, ignored));
  Team team(2);
  for (int again = 0; again < 3; ++again) {
    team.gather([&] { EXPECT_TRUE(Team::run(2, ignored)); });
    EXPECT_FALSE(Team::run(2, ignored));
  }
}

TEST(Team, OfOneThreadOrInAnotherRegionRunsTheBodyAlone) {
  int runs = 0;
  Team(1).gather([&] {
    ++runs;
    EXPECT_FALSE(Team::run(2, [](int, std::int64_t) {}));
  });
  EXPECT_EQ(runs, 1);
  std::atomic<int> inner{0};
  parallel_for(2, [&](std::int64_t) {
    Team team(2);
    team.gather([&] { inner += 1; });
  });
  EXPECT_EQ(inner, 2);
}

TEST(Team, PassesOnWhatItsBodyThrows) {
  for (const int threads : {1, 2}) {
    Team team(threads);
    const auto fail = [] {
      EXPECT_EQ(counts(2), (std::vector<int>{1, 1}));
      throw std::bad_alloc();
    };
    EXPECT_THROW(team.gather(fail), std::bad_alloc);
    team.gather([] { EXPECT_EQ(counts(2), (std::vector<int>{1, 1})); });
  }
}

TEST(Team, LoopsInsideALoopAreSerial) {
  Team team(2);
  team.gather([] {
    std::atomic<int> done{0};
    parallel_for(4, [&](std::int64_t) {
      for (const int count : counts(5)) done += count;
    });
    EXPECT_EQ(done, 20);
  });
}

}  // namespace
}  // namespace octet

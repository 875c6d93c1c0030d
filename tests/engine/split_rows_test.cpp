// Steps are split over threads only where each gets enough to do, and every row is done once.

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/integer/step.h"

namespace octet::integer {
namespace {

struct Chunk {
  int index;
  std::int64_t first, last;
};

std::vector<Chunk> split(std::int64_t rows, int threads, double nanoseconds) {
  std::mutex mutex;
  std::vector<Chunk> chunks;
  split_rows(rows, threads, nanoseconds, [&](int index, std::int64_t first, std::int64_t last) {
    const std::scoped_lock lock(mutex);
    chunks.push_back({index, first, last});
  });
  std::sort(chunks.begin(), chunks.end(),
            [](const Chunk& a, const Chunk& b) { return a.index < b.index; });
  return chunks;
}

TEST(SplitRows, CoversEveryRowOnceInOrder) {
  for (const std::int64_t rows : {0, 1, 2, 7, 64}) {
    for (const int threads : {1, 2, 3, 8}) {
      for (const double nanoseconds : {0.0, 3e4, 9e4, 1e18}) {
        std::int64_t next = 0;
        int index = 0;
        for (const auto& chunk : split(rows, threads, nanoseconds)) {
          EXPECT_EQ(chunk.index, index++);
          EXPECT_EQ(chunk.first, next);
          next = chunk.last;
        }
        EXPECT_EQ(next, rows);
        EXPECT_LE(index, threads);
      }
    }
  }
}

TEST(SplitRows, BlocksCoverEachChunkInOrder) {
  for (const std::int64_t block : {1, 3, 64, 1000}) {
    std::mutex mutex;
    std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> chunks(4);
    split_blocks(100, block, 4, 1e9, [&](int chunk, std::int64_t first, std::int64_t last) {
      const std::lock_guard lock(mutex);
      chunks[static_cast<std::size_t>(chunk)].emplace_back(first, last);
    });
    std::int64_t next = 0;
    for (const auto& blocks : chunks) {
      const std::int64_t rows = blocks.back().second - blocks.front().first;
      EXPECT_EQ(std::ssize(blocks), (rows + block - 1) / block);
      for (const auto& [first, last] : blocks) {
        EXPECT_EQ(first, next);
        EXPECT_LE(last - first, block);
        next = last;
      }
    }
    EXPECT_EQ(next, 100);
  }
}

TEST(SplitRows, EveryThreadGetsThreeMicrosecondsOfWork) {
  EXPECT_EQ(split(64, 2, 4e3).size(), 1U);
  EXPECT_EQ(split(64, 2, 5.5e3).size(), 1U);
  EXPECT_EQ(split(64, 2, 6.5e3).size(), 2U);
  EXPECT_EQ(split(64, 8, 16e3).size(), 5U);
  EXPECT_EQ(split(64, 8, 1e9).size(), 8U);
  EXPECT_EQ(split(3, 8, 1e9).size(), 3U) << "no more chunks than rows";
}

}  // namespace
}  // namespace octet::integer

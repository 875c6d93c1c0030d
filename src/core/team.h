#pragma once
// Threads kept awake over many short parallel loops: handing a loop to threads that wait inside
// one parallel region costs a fraction of opening a region for each (bench/kernels_bench.cpp).

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/function_ref.h"

namespace octet {

class Team {
 public:
  using Loop = FunctionRef<void(int thread, std::int64_t item)>;

  /// At most `threads` threads, the calling one among them.
  explicit Team(int threads);
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Runs `body` on the calling thread while the others, taken from OpenMP's pool, wait for the
  /// loops that it starts with parallel_for and its siblings. Loops must not throw; what `body`
  /// throws between them is passed on. It must not enter OpenMP's regions itself: they would run on
  /// one thread. Runs `body` alone where the team is one thread or the caller is itself part of a
  /// parallel region.
  void gather(FunctionRef<void()> body);

  /// Calls loop(thread, i) for i in [0, count) on the team that the calling thread has gathered;
  /// false, and no call, when there is none. Item i of the first ones runs on thread i, so that a
  /// loop finds in a core's cache what the loop before left there.
  [[nodiscard]] static bool run(std::int64_t count, Loop loop);

 private:
  // What one thread writes and another spins on has a cache line of its own, and a loop travels in
  // that of the word which announces it: lines that move between cores are what a loop costs.
  struct alignas(64) Shared {
    std::atomic<std::uint64_t> value{0};
  };
  struct alignas(64) Post {
    std::atomic<std::uint64_t> value{0};  ///< see team.cpp
    std::optional<Loop> loop;
    std::int64_t count = 0;
  };

  void post(std::int64_t count, const Loop& loop);
  void serve(int thread);
  void take_items(int thread, int threads);

  int size_ = 1;  ///< threads that OpenMP gave
  int spins_ = 0;
  std::uint64_t ticket_ = 0;
  Post posted_;
  Shared next_;                  ///< item that nobody has taken, where items outnumber the threads
  std::vector<Shared> reports_;  ///< by thread: the last loop it has finished
};

}  // namespace octet

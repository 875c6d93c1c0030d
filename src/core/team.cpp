#include "core/team.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <thread>

namespace octet {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins, and then gives way.
template <class Ready>
void wait_until(int spins, Ready ready) {
  for (int i = 0; !ready(); ++i) {
    if (i < spins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

/// What is posted: the number of a loop and of the threads that take part in it besides the first,
/// in one word, so that a thread that comes late cannot mistake one loop for another.
constexpr int helper_bits = 16;
constexpr std::uint64_t dismissed = ~std::uint64_t{0};

std::uint64_t ticket_of(std::uint64_t post) { return post >> helper_bits; }
int helpers_of(std::uint64_t post) {
  return static_cast<int>(post & ((std::uint64_t{1} << helper_bits) - 1));
}

/// Of this thread, while it is free to start a loop.
thread_local Team* current_team = nullptr;

class CurrentTeam {
 public:
  explicit CurrentTeam(Team* team) : before_(current_team) { current_team = team; }
  CurrentTeam(const CurrentTeam&) = delete;
  CurrentTeam& operator=(const CurrentTeam&) = delete;
  ~CurrentTeam() { current_team = before_; }

 private:
  Team* before_;
};

}  // namespace

Team::Team(int threads) : reports_(static_cast<std::size_t>(std::clamp(threads, 1, 1 << 15))) {}

void Team::gather(FunctionRef<void()> body) {
  const auto wanted = static_cast<int>(reports_.size());
  if (wanted == 1 || omp_in_parallel() != 0) {
    body();
    return;
  }
  // With a core for each thread, giving way would hand it to another program for milliseconds. With
  // fewer cores it is what lets the others of the team get there.
  spins_ = wanted <= omp_get_num_procs() ? 1 << 16 : 0;
  posted_.value.store(0, std::memory_order_relaxed);
  std::exception_ptr thrown;
#pragma omp parallel num_threads(wanted)
  {
    if (const int thread = omp_get_thread_num(); thread != 0) {
      serve(thread);
    } else {
      size_ = omp_get_num_threads();
      const CurrentTeam scope(this);
      try {
        body();
      } catch (...) {
        // Memory that ran out, say: it must not leave the region.
        thrown = std::current_exception();
      }
      posted_.value.store(dismissed, std::memory_order_release);
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

bool Team::run(std::int64_t count, Loop loop) {
  Team* const team = current_team;
  if (team == nullptr) return false;
  // What the loop itself starts runs serially.
  const CurrentTeam busy(nullptr);
  team->post(count, loop);
  return true;
}

void Team::post(std::int64_t count, const Loop& loop) {
  const auto helpers =
      static_cast<std::uint64_t>(std::clamp<std::int64_t>(count - 1, 0, size_ - 1));
  const auto threads = static_cast<int>(helpers) + 1;
  if (count > threads) next_.value.store(helpers + 1, std::memory_order_relaxed);
  ticket_ += 1;
  posted_.loop = loop;
  posted_.count = count;
  posted_.value.store(ticket_ << helper_bits | helpers, std::memory_order_release);
  take_items(0, threads);
  for (std::size_t thread = 1; thread <= helpers; ++thread) {
    const auto& report = reports_[thread].value;
    wait_until(spins_, [&] { return report.load(std::memory_order_acquire) == ticket_; });
  }
}

void Team::serve(int thread) {
  std::uint64_t seen = 0;
  while (true) {
    std::uint64_t now = seen;
    wait_until(spins_, [&] {
      now = posted_.value.load(std::memory_order_acquire);
      return now != seen;
    });
    if (now == dismissed) return;
    seen = now;
    // Whoever is not waited for must not look at the loop: it may be over.
    if (thread > helpers_of(now)) continue;
    take_items(thread, helpers_of(now) + 1);
    reports_[static_cast<std::size_t>(thread)].value.store(ticket_of(now),
                                                           std::memory_order_release);
  }
}

void Team::take_items(int thread, int threads) {
  const Loop loop = *posted_.loop;
  const std::int64_t count = posted_.count;
  if (thread < count) loop(thread, thread);
  if (count <= threads) return;
  const auto take = [this] {
    return static_cast<std::int64_t>(next_.value.fetch_add(1, std::memory_order_relaxed));
  };
  for (std::int64_t i = take(); i < count; i = take()) loop(thread, i);
}

}  // namespace octet

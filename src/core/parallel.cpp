#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "core/team.h"

namespace octet {
namespace {
std::atomic<int> requested_threads{0};
}  // namespace

void set_thread_count(int threads) {
  requested_threads = std::max(threads, 0);
  omp_set_num_threads(thread_count());
}

int thread_count() {
  const int threads = requested_threads;
  return threads > 0 ? threads : std::max(1, omp_get_num_procs());
}

void parallel_for(std::int64_t count, FunctionRef<void(std::int64_t)> fn) {
  parallel_for_workers(count, [&fn](int, std::int64_t i) { fn(i); });
}

void parallel_for_workers(std::int64_t count, FunctionRef<void(int, std::int64_t)> fn) {
  if (count > 1 && Team::run(count, fn)) return;
  if (count <= 1 || thread_count() == 1 || omp_in_parallel() != 0) {
    for (std::int64_t i = 0; i < count; ++i) fn(0, i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(thread_count())
  for (std::int64_t i = 0; i < count; ++i) fn(omp_get_thread_num(), i);
}

Status parallel_try(std::int64_t count, FunctionRef<Status(int, std::int64_t)> fn) {
  std::vector<Status> results(static_cast<std::size_t>(count));
  parallel_for_workers(count, [&](int worker, std::int64_t i) {
    results[static_cast<std::size_t>(i)] = fn(worker, i);
  });
  for (auto& result : results) OCTET_TRY(result);
  return {};
}

}  // namespace octet

#pragma once
// One thread pool for everything: OpenMP's, which oneDNN uses too.

#include <cstdint>

#include "core/function_ref.h"
#include "core/result.h"
#include "octet/runtime.h"

namespace octet {

/// Calls fn(i) for i in [0, count), each once, from several threads, items handed out in order.
/// fn must not throw. Inside a parallel region it runs serially, on a gathered Team (team.h) there.
void parallel_for(std::int64_t count, FunctionRef<void(std::int64_t)> fn);

/// Calls fn(worker, i): `worker` in [0, thread_count()) is the same for all calls on one thread, so
/// it can index per-worker state.
void parallel_for_workers(std::int64_t count, FunctionRef<void(int, std::int64_t)> fn);

/// The same for work that can fail: all items are tried, and the error of the first by number is
/// returned.
[[nodiscard]] Status parallel_try(std::int64_t count,
                                  FunctionRef<Status(int worker, std::int64_t i)> fn);

}  // namespace octet

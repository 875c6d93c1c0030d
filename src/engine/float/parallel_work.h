#pragma once
// parallel_for where there is enough to do: waking the threads costs more than small tensors do.

#include "core/parallel.h"

namespace octet::float_engine {

/// Calls fn(i) for i in [0, count), each once; `work` is about how many element operations all of
/// them are together.
template <class Fn>
void parallel_work(std::int64_t count, std::int64_t work, const Fn& fn) {
  constexpr std::int64_t least_work = std::int64_t{1} << 16;
  if (count > 1 && work >= least_work) {
    parallel_for(count, fn);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) fn(i);
}

}  // namespace octet::float_engine

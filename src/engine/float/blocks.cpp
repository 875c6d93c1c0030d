#include "engine/float/blocks.h"

#include <omp.h>

#include <algorithm>

namespace octet::float_engine {

void for_blocks(std::int64_t count, std::int64_t grain,
                const std::function<void(std::int64_t, std::int64_t)>& fn) {
  if (count <= 0) return;
  const std::int64_t blocks = (count - 1) / grain + 1;
  const auto run = [&](std::int64_t block) {
    fn(block * grain, std::min(count, (block + 1) * grain));
  };
  if (blocks == 1 || omp_get_max_threads() == 1 || omp_in_parallel() != 0) {
    for (std::int64_t block = 0; block < blocks; ++block) run(block);
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t block = 0; block < blocks; ++block) run(block);
}

}  // namespace octet::float_engine

#pragma once
#include <vector>

#include "engine/program.h"
#include "octet/run.h"

namespace octet {

struct LatencyOptions {
  double seconds = 2.0;
  int threads = 1;
  bool layers = false;
};

/// Runs `inputs` again and again: the first run apart, then until `seconds` have passed (at least 5
/// runs). Fills the times of a BenchSummary.
[[nodiscard]] Result<BenchSummary> measure_latency(const Program& program,
                                                   const std::vector<Tensor>& inputs,
                                                   const LatencyOptions& options);

}  // namespace octet

#pragma once
#include <vector>

#include "engine/program.h"
#include "octet/run.h"

namespace octet {

/// Inputs for a graph at this batch size: floats random from a fixed seed, uniform in [-1, 1];
/// integers 0, but 1 where their name or type says that they are a mask.
[[nodiscard]] Result<std::vector<Tensor>> random_inputs(const Graph& graph, int batch);

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

#pragma once
// Many samples through a model whose batch is fixed at 1, as most .tflite files have it.

#include <span>
#include <vector>

#include "engine/program.h"

namespace octet {

/// How many samples `inputs` hold for a graph whose every input has a fixed batch of 1: their
/// common first extent, all others as the graph states them. 1 where that is not so: they are one
/// batch.
[[nodiscard]] std::int64_t sample_count(const Graph& graph, std::span<const Tensor> inputs);

/// Runs them one by one; the results lie behind each other along the first dimension. Fails where
/// an output has no first dimension of 1.
[[nodiscard]] Result<std::vector<Tensor>> run_samples(Session& session,
                                                      std::span<const Tensor> inputs,
                                                      std::int64_t samples);

}  // namespace octet

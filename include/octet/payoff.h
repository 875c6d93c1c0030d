#pragma once
// Whether int8 will be faster than float here, layer by layer, before anything is quantized.

#include <cstdint>
#include <string>
#include <vector>

#include "octet/result.h"

namespace octet {

struct LayerPayoff {
  std::string name;  ///< of the node
  std::string op;
  std::vector<std::string> nodes;  ///< it, and the activation that is computed with it
  std::int64_t macs = 0;           ///< one sample
  double float_ms = 0;             ///< predicted, one sample
  double integer_ms = 0;
  [[nodiscard]] bool pays() const { return integer_ms < float_ms; }
};

/// What was measured of the machine.
struct MachineSummary {
  int threads = 1;
  double float_gmacs = 0;  ///< a second, of a large matrix product
  double integer_gmacs = 0;
  double bytes_per_ns = 0;  ///< GB/s of memory
};

struct Payoff {
  MachineSummary machine;
  std::vector<LayerPayoff> layers;  ///< that would run in integers, in execution order
  double float_ms = 0;              ///< sums over these
  double integer_ms = 0;
};

/// Predicts for a float model, quantized for `target` ("": as in inspect()), from rates that are
/// measured on the engines' own kernels, memory bandwidth and the layers' sizes at batch 1
/// (docs/algorithms.md). Extents that the model leaves open count as 1.
[[nodiscard]] Result<Payoff> predict_payoff(const std::string& model,
                                            const std::string& target = {});

}  // namespace octet

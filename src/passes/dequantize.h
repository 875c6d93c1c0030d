#pragma once
#include "graph/plan.h"

namespace octet {

/// The float model that a quantized one stands for, so that it can be quantized anew: constants
/// become what their codes stand for, and the plan is dropped. Where the saturation of codes did
/// the work of a Relu or Clip that had been absorbed (the output of an operator that can give
/// negative values has a range that starts at 0), a Clip to that range takes its place.
[[nodiscard]] Result<Graph> dequantize_model(QuantizedGraph model);

}  // namespace octet

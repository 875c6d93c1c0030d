#pragma once
// The activation functions that recurrent operators name in attributes.

#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {

struct GateFunction {
  loops::UnaryF32 loop = nullptr;
  float alpha = 0;
  float beta = 0;

  void operator()(const float* x, float* out, std::int64_t n) const {
    loop(x, out, n, alpha, beta);
  }
};

/// `count` functions from the attributes activations, activation_alpha and activation_beta, or
/// `defaults` repeated. A function that has an alpha (beta) takes the next of the list, or its own
/// default when the list has ended: as ONNX Runtime reads them. Names in any case.
[[nodiscard]] Result<std::vector<GateFunction>> gate_functions(
    const Node& node, const std::vector<std::string>& defaults, std::size_t count);

}  // namespace octet::float_engine

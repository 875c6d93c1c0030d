#pragma once
// The integer engine: a quantized graph lowered to integer kernels, float ops where the plan says
// so.

#include <memory>

#include "engine/program.h"
#include "graph/plan.h"

namespace octet {

struct IntegerOptions {
  /// "" picks by CPU and OCTET_KERNELS; else reference, avx2 or avx512vnni.
  std::string kernels;
};

/// Lowers and prepares a quantized model. Inputs and outputs of the graph keep their graph types
/// (f32 in, f32 out); quantization of inputs happens inside.
[[nodiscard]] Result<std::unique_ptr<Program>> compile_integer(const QuantizedGraph& model,
                                                               const IntegerOptions& options = {});

}  // namespace octet

#pragma once
// Lowering: a quantized graph becomes a list of steps over buffers.

#include "engine/integer/integer_program.h"
#include "engine/integer/step.h"

namespace octet::integer {

/// A value that taps can see: right after step `step` (-1: before the first), in `buffer`.
struct TapPoint {
  ValueId value = ValueId::none;
  int buffer = -1;
  int step = -1;
};

struct Lowered {
  Graph
      graph;  ///< with inferred shapes; quantized constants of float nodes are what codes stand for
  std::vector<Buffer> buffers;
  std::vector<StepPointer> steps;
  std::vector<int> inputs;   ///< float buffers, in the order of the graph's inputs; -1: a constant
  std::vector<int> outputs;  ///< float buffers, in the order of the graph's outputs
  std::vector<TapPoint> taps;
};

[[nodiscard]] Result<Lowered> lower(const QuantizedGraph& model, kernels::Isa isa);

}  // namespace octet::integer

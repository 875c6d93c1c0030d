#pragma once
// The simulation: the quantized model on the float engine, convolving integer-valued f32.
//
// A layer whose worst-case |sum| of products (from its real weight codes) stays below 2^24 is
// exact: the simulation gives the same codes as the integer engine. The other layers are counted
// and named.

#include <memory>
#include <string>
#include <vector>

#include "engine/program.h"
#include "graph/plan.h"

namespace octet {

struct SimulatedLayer {
  std::string node;
  std::int64_t accumulator_bound = 0;  ///< max over channels of sum |w| * max|q - zp|; the
                                       ///< bias is added in integers and does not count
  bool exact = true;                   ///< accumulator_bound < 2^24
};

struct Simulation {
  std::unique_ptr<Program> program;
  std::vector<SimulatedLayer> layers;  ///< Conv, Gemm and MatMul layers that run in integers
};

[[nodiscard]] Result<Simulation> compile_simulation(const QuantizedGraph& model);

}  // namespace octet

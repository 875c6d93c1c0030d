#pragma once
// Tape: a graph compiled for training on micro-batches of one size.
//
// Nodes whose inputs are all constants (fake-quant of weights) run once a step, in update(); the
// others run in a session for each micro-batch. Sessions are independent of one another; what they
// compute does not depend on how many there are. What no trained constant reaches may have any type
// and operator: the float engine computes it.

#include <map>
#include <memory>

#include "core/tensor.h"
#include "engine/gradient/gradient_op.h"
#include "engine/gradient/normalization_gradient.h"

namespace octet::gradient {

/// f32 numbers by name of a constant: the parameters that are trained, or their gradients.
using Parameters = std::map<ValueId, Tensor>;

class TapeSession {
 public:
  TapeSession() = default;
  TapeSession(const TapeSession&) = delete;
  TapeSession& operator=(const TapeSession&) = delete;
  virtual ~TapeSession() = default;

  /// `inputs` in the order of the graph's inputs, row-major as the graph states their shapes.
  /// Returns the outputs asked for in TapeOptions, row-major, valid until the next call.
  [[nodiscard]] virtual Result<std::vector<Tensor>> forward(std::span<const Tensor> inputs) = 0;
  /// From the gradients of those outputs (row-major) to those of the leaves: constants that are
  /// trained, and what update() computed. Overwrites `leaves`, laid out as Tape::leaf_count says.
  [[nodiscard]] virtual Status backward(std::span<const Tensor> output_gradients,
                                        std::span<float> leaves) = 0;
  /// By BatchNormalization node: what it saw since the last call.
  [[nodiscard]] virtual std::map<NodeId, BatchMoments> take_moments() = 0;
};

struct TapeOptions {
  std::vector<std::optional<Shape>> shapes;  ///< of all values, static, by value slot
  std::vector<ValueId> trained;              ///< constants
  std::vector<ValueId> outputs;
  Mode mode = Mode::training;
  /// Keep only what segments of the graph hand on, and compute the rest again for the backward pass
  /// (Chen et al. 2016, with about sqrt(steps) segments): the same gradients, to the bit.
  bool recompute = false;
};

class Tape {
 public:
  Tape() = default;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  virtual ~Tape() = default;

  /// The graph is copied. Errors name the node that cannot be trained.
  [[nodiscard]] static Result<std::unique_ptr<Tape>> compile(const Graph& graph,
                                                             const TapeOptions& options);

  /// Takes new values of trained constants, and computes what depends on constants alone. No
  /// session may run meanwhile.
  [[nodiscard]] virtual Status update(const Parameters& parameters) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<TapeSession>> session() const = 0;
  /// Floats that a session's backward() fills.
  [[nodiscard]] virtual std::size_t leaf_count() const = 0;
  /// Gradients of the trained constants from the sums over all micro-batches of a step.
  [[nodiscard]] virtual Result<Parameters> gradients(std::span<const float> leaves) = 0;
};

}  // namespace octet::gradient

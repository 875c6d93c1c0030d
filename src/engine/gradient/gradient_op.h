#pragma once
// GradientOp: one node that runs forward on a micro-batch and, from the gradient of its output,
// backward. Single-threaded: data parallelism is across micro-batches (engine/gradient/tape.h).
//
// Memory order: a computed value of rank 4, [N,C,H,W] in the graph, lies as N,H,W,C; every other
// value, and every parameter whatever its rank, lies row-major. All values are f32; what an
// operator reads of other types (indices, conditions) is handed over as such numbers.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/result.h"
#include "graph/graph.h"

namespace octet::gradient {

/// Where a gradient goes. data nullptr: nobody wants it.
struct Target {
  float* data = nullptr;
  bool add = false;  ///< add to what is there, instead of overwriting it

  explicit operator bool() const { return data != nullptr; }
};

/// Per-session mutable state of an op (scratch memory, what backward needs of forward).
class OpState {
 public:
  OpState() = default;
  OpState(const OpState&) = delete;
  OpState& operator=(const OpState&) = delete;
  virtual ~OpState() = default;
};

/// What one call of an op reads and writes; inputs that are absent are nullptr.
struct ForwardCall {
  std::span<const float* const> inputs;
  float* output = nullptr;
  OpState* state = nullptr;
  bool again = false;  ///< the same as the last call, whose output was dropped meanwhile
};
struct BackwardCall {
  std::span<const float* const> inputs;
  const float* output = nullptr;
  const float* output_gradient = nullptr;
  std::span<const Target> input_gradients;
  OpState* state = nullptr;
};

class GradientOp {
 public:
  GradientOp() = default;
  GradientOp(const GradientOp&) = delete;
  GradientOp& operator=(const GradientOp&) = delete;
  virtual ~GradientOp() = default;

  [[nodiscard]] virtual std::unique_ptr<OpState> make_state() const { return nullptr; }
  /// Takes new values of the parameters among the inputs (nullptr where an input is computed), once
  /// a step, while no session runs. Ops that pack their weights do it here.
  [[nodiscard]] virtual Status update(std::span<const float* const> parameters) {
    (void)parameters;
    return {};
  }
  [[nodiscard]] virtual Status forward(const ForwardCall& call) const = 0;
  [[nodiscard]] virtual Status backward(const BackwardCall& call) const = 0;
};

/// Inference: BatchNormalization takes its own statistics, and there is no backward pass.
enum class Mode : std::uint8_t { training, inference };

/// A node with all that is known of it when it is compiled.
struct OpSource {
  const Graph& graph;
  const Node& node;
  std::vector<Shape> inputs;     ///< static; empty where absent
  std::vector<bool> parameters;  ///< the input is a constant (or computed from constants alone)
  Shape output;                  ///< static
  std::vector<std::optional<Shape>> output_shapes;  ///< of all of the node's outputs
  bool output_parameter = false;                    ///< all inputs are parameters
  std::size_t output_index = 0;                     ///< which of the outputs is computed
  Mode mode = Mode::training;

  [[nodiscard]] const Tensor* constant(std::size_t input) const {
    return graph.constant(node.input(input));
  }
  [[nodiscard]] bool has(std::size_t input) const { return node.input(input) != ValueId::none; }
  /// As strides_of, of an input and of the output.
  [[nodiscard]] std::vector<std::int64_t> strides(std::size_t input) const;
  [[nodiscard]] std::vector<std::int64_t> output_strides() const;
};

using MadeOp = Result<std::unique_ptr<GradientOp>>;

struct OpEntry {
  std::string_view op;
  MadeOp (*make)(const OpSource& source) = nullptr;
};

[[nodiscard]] std::span<const OpEntry> convolution_entries();
[[nodiscard]] std::span<const OpEntry> product_entries();
[[nodiscard]] std::span<const OpEntry> activation_entries();
[[nodiscard]] std::span<const OpEntry> arithmetic_entries();
[[nodiscard]] std::span<const OpEntry> pool_entries();
[[nodiscard]] std::span<const OpEntry> reduction_entries();
[[nodiscard]] std::span<const OpEntry> resample_entries();
[[nodiscard]] std::span<const OpEntry> selection_entries();
[[nodiscard]] std::span<const OpEntry> movement_entries();
[[nodiscard]] std::span<const OpEntry> normalization_entries();
[[nodiscard]] std::span<const OpEntry> fake_quant_entries();

/// Whether octet can train through this operator.
[[nodiscard]] bool has_gradient(const Node& node);
/// Whether an input that is not f32 is handed over, too.
[[nodiscard]] bool reads_numbers(const Node& node, std::size_t input);
/// Prepares a node; fails, naming it, where it has no gradient here.
[[nodiscard]] MadeOp make_gradient_op(const OpSource& source);

/// Distance in memory between neighbours along each axis of a value's logical shape. `parameter`
/// decides the order in memory (see above).
[[nodiscard]] std::vector<std::int64_t> strides_of(const Shape& shape, bool parameter);

/// Whether that order is row-major.
[[nodiscard]] bool is_row_major(const Shape& shape, bool parameter);

/// Steps of an input along the axes of the output: 0 where it is broadcast.
[[nodiscard]] std::vector<std::int64_t> broadcast_steps(const OpSource& source, std::size_t input);
/// Fails unless all inputs broadcast to the output.
[[nodiscard]] Status check_broadcast(const OpSource& source);

/// Runs `op`, which was made for row-major values, on values in the order of `source`: those of
/// rank 4 are put into row-major order before, and what comes out of it back.
[[nodiscard]] std::unique_ptr<GradientOp> in_row_major(const OpSource& source,
                                                       std::unique_ptr<GradientOp> op);

/// target[i] = or += source[i].
void deliver(const Target& target, const float* source, std::int64_t count);

}  // namespace octet::gradient

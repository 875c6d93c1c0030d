#pragma once
// FloatOp: one node ready to run in float. The float engine is a list of them; the integer engine
// uses single ones for nodes that stay float, and constant folding for nodes whose inputs are
// known.

#include <memory>
#include <span>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"
#include "graph/graph.h"

namespace octet {

/// A tensor at run time: logical shape as the graph states it, with the order in memory beside it.
struct Activation {
  Tensor tensor;               ///< tensor.shape() is always the logical shape
  bool channels_last = false;  ///< rank-4 logical [N,C,H,W] stored N,H,W,C (f32 only)
};

/// The same activation in plain row-major order of its logical shape (no copy if it is already).
[[nodiscard]] Activation to_plain(const Activation& activation);
/// The same in channels-last order (rank 4 only).
[[nodiscard]] Activation to_channels_last(const Activation& activation);

class FloatOp {
 public:
  FloatOp() = default;
  FloatOp(const FloatOp&) = delete;
  FloatOp& operator=(const FloatOp&) = delete;
  virtual ~FloatOp() = default;

  /// Per-session mutable state (compiled primitives by shape, scratch memory).
  class State {
   public:
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    virtual ~State() = default;
  };
  [[nodiscard]] virtual std::unique_ptr<State> make_state() const { return nullptr; }

  /// Computes the node's outputs. `inputs[i]` is nullptr for an absent optional input; constants
  /// that were known when the op was made may be passed or not. Thread-safe given distinct states.
  [[nodiscard]] virtual Result<std::vector<Activation>> run(
      std::span<const Activation* const> inputs, State* state) const = 0;
};

/// Prepares a node: reads its attributes and constant inputs, reorders weights once. Fails, naming
/// node and op, when the op is not supported or its attributes are not.
[[nodiscard]] Result<std::unique_ptr<FloatOp>> make_float_op(const Graph& graph, NodeId node);

/// Whether make_float_op knows the operator at all.
[[nodiscard]] bool float_op_supported(const Node& node);

/// Runs a node whose inputs are all constants once, in plain order; for constant folding.
[[nodiscard]] Result<std::vector<Tensor>> evaluate_constant_node(const Graph& graph, NodeId node);

}  // namespace octet

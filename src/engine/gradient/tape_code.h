#pragma once
// What a graph is compiled to: the steps of a tape and what is known of its values.

#include <memory>

#include "engine/gradient/tape.h"
#include "engine/program.h"

namespace octet::gradient {

constexpr std::int64_t no_leaf = -1;

/// One output of one node.
struct Step {
  std::shared_ptr<GradientOp> op;
  NodeId node = NodeId::none;
  std::vector<ValueId> inputs;  ///< ValueId::none where absent
  ValueId output = ValueId::none;
};

/// What is known of a value once the graph is compiled.
struct ValueFacts {
  Shape shape;
  std::int64_t count = 0;       ///< elements; 0 where the shape is not known
  bool parameter = false;       ///< a constant, or computed from constants alone
  bool wants_gradient = false;  ///< depends on a trained constant
  std::int64_t leaf = no_leaf;  ///< offset of its gradient among the leaves
};

struct Code {
  Graph graph;
  std::vector<ValueFacts> values;
  std::vector<Step> once;  ///< run in update()
  std::vector<Step> body;
  std::vector<ValueId> outputs;
  std::size_t leaf_count = 0;
  /// Current numbers of parameters, by value slot; empty for others.
  std::vector<Tensor> parameters;

  /// Values that no trained constant reaches and that are not f32 or come from operators without a
  /// gradient (masks, positions): the float engine computes them before the steps run.
  std::shared_ptr<const Program> prologue;  ///< its outputs are `prepared`
  std::vector<ValueId> prepared;

  /// Where segments of `body` begin whose values are dropped and computed again for the backward
  /// pass; all of it is one segment, which is kept, without recomputation.
  std::vector<std::size_t> segments = {0};

  [[nodiscard]] const ValueFacts& facts(ValueId id) const { return values[index(id)]; }
};

[[nodiscard]] Result<Code> compile_code(const Graph& graph, const TapeOptions& options);

/// `code` must outlive it.
[[nodiscard]] Result<std::unique_ptr<TapeSession>> make_tape_session(const Code& code);

/// What a step reads. `computed`: by value slot; may be empty, and what is not a parameter is
/// nullptr then.
[[nodiscard]] std::vector<const float*> pointers(const Code& code, const Step& step,
                                                 const std::vector<Tensor>& computed);

/// An error in a step names its node.
[[nodiscard]] Status in_node(const Code& code, const Step& step, Status status);

}  // namespace octet::gradient

#pragma once
// A block of a quantized model as a graph to differentiate: from its entry to its exit, in f32,
// with FakeQuant (engine/gradient) behind every value that the plan quantizes.

#include <map>
#include <memory>

#include "engine/gradient/tape.h"
#include "graph/plan.h"
#include "passes/blocks.h"

namespace octet {

/// Values and nodes keep their ids. Constants with codes are what the codes stand for. The exit is
/// not quantized: what its own rounding adds is not the block's error.
class BlockGraph {
 public:
  [[nodiscard]] static Result<BlockGraph> make(const QuantizedGraph& model, const Block& block);

  [[nodiscard]] const Graph& graph() const { return graph_; }
  /// A tape from the entry, `entry_shape` with `samples` along the first axis, to the exit. Fails
  /// where an operator has no gradient, or the exit has not the samples along its first axis.
  [[nodiscard]] Result<std::unique_ptr<gradient::Tape>> tape(
      Shape entry_shape, std::int64_t samples, const std::vector<ValueId>& trained) const;

 private:
  BlockGraph(Graph plain, const Block& block)
      : plain_(std::move(plain)), graph_(plain_), block_(block) {}
  void quantize_values(const QuantPlan& plan);
  /// What FakeQuant makes of a value.
  ValueId fake_quant_of(ValueId value, const Quantization& quantization);

  Graph plain_;  ///< without FakeQuant: shapes are inferred in it
  Graph graph_;
  Block block_;
  std::map<ValueId, ValueId> like_;  ///< by value that was added: one of its shape
};

}  // namespace octet

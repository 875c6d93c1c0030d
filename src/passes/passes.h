#pragma once
// The passes of the pipeline and the state they hand on.

#include <map>

#include "passes/placement.h"

namespace octet {

struct PassContext {
  QuantizedGraph model;
  const QuantizeOptions& options;
  const TargetProfile& target;
  const StatisticsSource& source;
  QuantizeReport& report;
  Placement placement;  ///< from `place` on; indexes the graph as it was then
  /// By value: mean per channel over the calibration data, from `calibrate` on.
  std::map<ValueId, ChannelMeans> means;

  /// The target's scheme for activations, with the options' width.
  [[nodiscard]] QuantScheme activation_scheme() const;
  [[nodiscard]] DType activation_storage() const;
  /// The target's scheme for the weights of `node`, with the options' width and granularity.
  [[nodiscard]] QuantScheme weight_scheme(const Node& node) const;
  /// Integer Conv, Gemm and MatMul nodes, in id order.
  [[nodiscard]] std::vector<NodeId> accumulate_nodes() const;
};

namespace passes {

/// Decides which nodes run in integers.
[[nodiscard]] Status place(PassContext& context);
/// Gets the statistics and gives every source value its params, one set for a group of values that
/// must share: their statistics are merged.
[[nodiscard]] Status calibrate(PassContext& context);
/// Hands params on to values that take them over: outputs of pooling, reshape and Concat, constant
/// inputs of Concat, and values that an activation limits.
[[nodiscard]] Status share_params(PassContext& context);
/// Params and codes of weights and of constant operands; see make_accumulator_room.
[[nodiscard]] Status quantize_weights(PassContext& context);
/// Moves each bias by the mean error that rounding the weights causes on the calibration data.
[[nodiscard]] Status correct_bias(PassContext& context);
/// Bias = input scale * weight scale in int32.
[[nodiscard]] Status derive_bias(PassContext& context);
/// Removes a Relu or Clip whose effect the saturation of its output's codes has anyway.
[[nodiscard]] Status absorb_activations(PassContext& context);

}  // namespace passes

/// The constant that this use reads, for it alone: a copy when somebody else reads it too.
[[nodiscard]] ValueId own_constant(Graph& graph, const Use& use);

/// Raises the weight scales of a node's output channels, and notes it, where the bias or the worst
/// sum of products and bias would overflow int32 or come within `reserve` of that.
[[nodiscard]] Status make_accumulator_room(PassContext& context, NodeId id, double reserve);

}  // namespace octet

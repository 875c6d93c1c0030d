#pragma once
// What rule openvino decides from the graph: OpenVINO fuses and rewrites nodes by their neighbours,
// and where that changes bits, so must we. Read off its low precision transformations (version
// 2026.4) and confirmed by experiment.

#include "arithmetic/openvino.h"
#include "engine/integer/placement.h"

namespace octet {

/// How an accumulating node makes codes.
[[nodiscard]] openvino::LayerForm openvino_layer_form(const Graph& graph, const Node& node,
                                                      bool biased);

/// Whether the node is an Add of one real operand to one that has codes, both of the output's
/// shape.
[[nodiscard]] bool is_openvino_sum(const QuantizedGraph& model, NodeId node);

/// The operand of an Add that is taken to the units of the other.
struct MovedOperand {
  int input = 0;
  /// It is quantized for this Add alone, right where it is made (moved_own_code).
  bool own_code = false;
};
[[nodiscard]] MovedOperand openvino_moved_operand(const QuantizedGraph& model, NodeId add);

/// Whether a convolution or matrix product, with its activations, makes the value: the Add of
/// is_openvino_sum is then computed by that kernel.
[[nodiscard]] bool comes_from_layer(const Graph& graph, ValueId value);

/// What rule openvino makes of a real bound, as a signed code.
[[nodiscard]] std::int32_t openvino_bound(float bound, const Quantization& output);

}  // namespace octet

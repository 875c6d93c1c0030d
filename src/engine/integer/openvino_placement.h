#pragma once
// What rule openvino decides from the graph: OpenVINO fuses and rewrites nodes by their neighbours,
// and where that changes bits, so must we. Read off its low precision transformations (version
// 2026.4) and confirmed by experiment.

#include "engine/integer/placement.h"

namespace octet {

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

/// What rule openvino makes of a real bound, as a signed code.
[[nodiscard]] std::int32_t openvino_bound(float bound, const Quantization& output);

}  // namespace octet

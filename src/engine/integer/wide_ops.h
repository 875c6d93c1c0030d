#pragma once
// Operators on 16-bit codes by rules tflite and xnnpack that do not accumulate. Their inputs and
// outputs are images (wide_values.h), so that both engines run them as float operators.

#include "engine/float/float_op.h"
#include "engine/integer/wide_placement.h"

namespace octet {

/// A node of Role::wide. `graph` is the model's with the constants of float nodes being what their
/// codes stand for (fake_constants.h).
[[nodiscard]] Result<std::unique_ptr<FloatOp>> make_wide_op(const QuantizedGraph& model,
                                                            const Graph& graph, NodeId node,
                                                            const NodePlacement& placement);

}  // namespace octet

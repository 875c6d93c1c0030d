#pragma once
// What a node must look like to run in integers, operator by operator.

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "passes/target.h"

namespace octet {

/// How the target takes the operator, or nullptr when it stays float there.
[[nodiscard]] const IntegerOp* find_integer_op(const TargetProfile& target, const Node& node);

/// Positions of the inputs that carry values (not weights, shapes or bounds).
[[nodiscard]] std::vector<int> data_inputs(const Node& node);

/// Why this node cannot run in integers although the target has the operator; "" when it can.
[[nodiscard]] std::string float_reason(const Graph& graph, const Node& node);

/// Axis of a Conv, Gemm or MatMul weight that counts output channels.
[[nodiscard]] int output_channel_axis(const Node& node);

/// Bounds of a Relu, or of a Clip whose bounds are constant; nullopt for everything else.
struct ActivationBounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};
[[nodiscard]] std::optional<ActivationBounds> activation_bounds(const Graph& graph,
                                                                const Node& node);

}  // namespace octet

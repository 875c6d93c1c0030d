#pragma once
// What a node must look like to run in integers, role by role. Internal to placement.

#include <limits>

#include "engine/integer/placement.h"

namespace octet {

/// Bounds of a Relu, or of a Clip whose bounds are constants; nullopt for other nodes.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};
[[nodiscard]] std::optional<Bounds> activation_bounds(const Graph& graph, const Node& node);

/// Fills role, input, form and reason, as far as the node and its inputs decide.
void propose_role(const QuantizedGraph& model, NodeId id, NodePlacement& placement);

/// Whether `add` adds to its input `value` a constant that is one number for each of the last
/// axis's `channels`, so that it can be a bias; the position of the constant, or nullopt.
[[nodiscard]] std::optional<int> bias_input(const QuantizedGraph& model, const Node& add,
                                            ValueId value, std::int64_t channels);

}  // namespace octet

#pragma once
// The node that simulates codes in a graph that is differentiated (octet's own domain).

#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/plan.h"

namespace octet::gradient {

[[nodiscard]] inline bool is_fake_quant(const Node& node) {
  return node.domain == "octet" && node.op == "FakeQuant";
}

/// FakeQuant of the value `name`: inputs are the value, its scales (f32, constant) and, where it is
/// learned, the offset. Its output is still to be added.
[[nodiscard]] Node fake_quant_node(const std::string& name, std::vector<ValueId> inputs,
                                   const Quantization& quantization);

}  // namespace octet::gradient

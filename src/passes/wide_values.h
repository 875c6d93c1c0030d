#pragma once
// Single values of 16 bits among others of 8.

#include <string>
#include <vector>

#include "passes/placement.h"

namespace octet {

/// Marks the values that globs name (--int16), by themselves or by the nodes that make them, with
/// all that share params with them. Globs that match nothing are noted.
void find_wide(const Graph& graph, const std::vector<std::string>& globs, Placement& placement);

}  // namespace octet

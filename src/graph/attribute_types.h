#pragma once
// Private to the verifier: the type that each attribute of a known operator must have.

#include <string_view>

#include "graph/graph.h"

namespace octet {

/// Error when an attribute that octet reads has another type than its operator's schema says, or
/// when one that the operator cannot do without is missing. Attributes that octet does not know are
/// left alone. The message does not name the node.
[[nodiscard]] Status check_attributes(const Node& node);

}  // namespace octet

#pragma once
// Arguments for the inputs of a graph: "NAME=TEXT", or "TEXT" for the input after the last one.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace octet {

struct NamedArgument {
  std::size_t input = 0;  ///< position among the graph's inputs
  std::string_view text;  ///< behind "NAME="
};

/// In the order given; refers to `arguments`. Fails when there is no input for one.
[[nodiscard]] Result<std::vector<NamedArgument>> named_arguments(
    std::span<const std::string> arguments, const Graph& graph);

}  // namespace octet

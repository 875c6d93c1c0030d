#pragma once
// Blocks of layers: parts of a graph between two values through which all paths lead.

#include <set>
#include <vector>

#include "graph/graph.h"

namespace octet {

struct Block {
  ValueId entry = ValueId::none;  ///< the only computed value that the nodes read from outside
  ValueId exit = ValueId::none;   ///< the only one of theirs that is read outside
  std::vector<NodeId> nodes;      ///< in the order in which they compute
  std::vector<NodeId> layers;     ///< those of them that were asked for
};

/// Blocks of at least two of `layers` (those whose weights are to be decided together), in the
/// order in which they compute; none share a node. Nodes between two neighbouring cuts, values
/// through which all paths lead, stay together: what lies behind a branch up to where it is joined,
/// as in a residual block. Cuts that follow one another, as in a chain, make a block of two layers.
/// It ends behind the activation that limits its result. Parts of more than most_block_layers
/// layers (whole networks without cuts) are no blocks.
[[nodiscard]] std::vector<Block> find_blocks(const Graph& graph, const std::vector<NodeId>& order,
                                             const std::set<NodeId>& layers);

inline constexpr std::size_t most_block_layers = 8;

}  // namespace octet

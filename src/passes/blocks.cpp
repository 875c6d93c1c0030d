#include "passes/blocks.h"

#include "passes/integer_rules.h"

namespace octet {
namespace {

/// Layers of a block that is made of parts which follow one another.
constexpr std::size_t chain_layers = 2;

/// What lies between two neighbouring cuts.
struct Part {
  ValueId exit = ValueId::none;
  std::vector<NodeId> nodes;
  std::vector<NodeId> layers;
};

struct Cuts {
  ValueId first = ValueId::none;  ///< the graph's input; none where it has several
  std::vector<Part> parts;
};

/// By value slot: readers that have not computed yet; an output of the graph has one more.
std::vector<std::size_t> count_readers(const Graph& graph) {
  std::vector<std::size_t> readers(graph.value_slots(), 0);
  const auto uses = graph.uses();
  for (std::size_t slot = 0; slot < uses.size(); ++slot) readers[slot] = uses[slot].size();
  for (const auto output : graph.outputs) ++readers[index(output)];
  return readers;
}

/// A value is a cut where, behind the node that makes it, nothing else is still to be read.
Cuts find_cuts(const Graph& graph, const std::vector<NodeId>& order,
               const std::set<NodeId>& layers) {
  auto readers = count_readers(graph);
  std::set<ValueId> alive;
  for (const auto input : graph.inputs) {
    if (readers[index(input)] > 0) alive.insert(input);
  }
  Cuts cuts;
  if (alive.size() == 1) cuts.first = *alive.begin();
  Part part;
  for (const auto id : order) {
    const Node& node = graph.node(id);
    for (const auto input : node.inputs) {
      if (input == ValueId::none || graph.constant(input) != nullptr) continue;
      if (--readers[index(input)] == 0) alive.erase(input);
    }
    for (const auto output : node.outputs) {
      if (output != ValueId::none && readers[index(output)] > 0) alive.insert(output);
    }
    part.nodes.push_back(id);
    if (layers.contains(id)) part.layers.push_back(id);
    if (alive.size() != 1) continue;
    part.exit = *alive.begin();
    cuts.parts.push_back(std::exchange(part, {}));
  }
  return cuts;
}

/// Joins parts in turn.
class Joiner {
 public:
  Joiner(const Graph& graph, ValueId first) : graph_(graph), end_(first) {}

  void add(const Part& part) {
    const bool limits =
        part.nodes.size() == 1 && activation_limits(graph_, graph_.node(part.nodes[0]));
    if (part.layers.empty()) {
      waiting_.push_back(part);
      if (limits && waiting_.size() == 1) take_waiting();
    } else {
      if (block_.layers.size() + part.layers.size() > chain_layers) close();
      if (block_.layers.empty()) {
        waiting_.clear();
        block_.entry = end_;
      }
      waiting_.push_back(part);
      take_waiting();
    }
    end_ = part.exit;
  }

  std::vector<Block> finish() {
    close();
    return std::move(blocks_);
  }

 private:
  void take_waiting() {
    if (block_.entry == ValueId::none) {
      waiting_.clear();
      return;
    }
    for (const auto& part : waiting_) {
      block_.nodes.insert(block_.nodes.end(), part.nodes.begin(), part.nodes.end());
      block_.layers.insert(block_.layers.end(), part.layers.begin(), part.layers.end());
      block_.exit = part.exit;
    }
    waiting_.clear();
  }

  void close() {
    const auto layers = block_.layers.size();
    if (layers >= 2 && layers <= most_block_layers) blocks_.push_back(std::move(block_));
    block_ = {};
    waiting_.clear();
  }

  const Graph& graph_;
  ValueId end_;  ///< of the parts that were added
  Block block_;
  std::vector<Part> waiting_;  ///< behind the block: in it if another of its layers follows
  std::vector<Block> blocks_;
};

}  // namespace

std::vector<Block> find_blocks(const Graph& graph, const std::vector<NodeId>& order,
                               const std::set<NodeId>& layers) {
  const auto cuts = find_cuts(graph, order, layers);
  Joiner joiner(graph, cuts.first);
  for (const auto& part : cuts.parts) joiner.add(part);
  return joiner.finish();
}

}  // namespace octet

#pragma once
// What the rewrites that recognise several nodes as one operator share.

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace octet::simplification {

/// factor * term * term * ..., as Mul, Div by a constant and Neg make it of inner values that
/// nothing else reads.
struct Product {
  double factor = 1;
  std::vector<ValueId> terms;
  std::set<NodeId> nodes;

  [[nodiscard]] bool is(double wanted_factor, std::size_t count) const;
};

/// A view of a graph for matching; any edit of the graph outdates it.
class Pattern {
 public:
  explicit Pattern(const Graph& graph)
      : graph_(graph), producers_(graph.producers()), uses_(graph.uses()) {}

  /// The node of this standard operator that makes the value, or NodeId::none.
  [[nodiscard]] NodeId maker(ValueId value, std::string_view op) const;
  /// An f32 constant of one element that broadcasts without adding dimensions to vectors.
  [[nodiscard]] std::optional<double> scalar(ValueId value) const;
  /// x of x + constant or constant + x; ValueId::none when `value` is something else.
  [[nodiscard]] ValueId added_to(ValueId value, double constant) const;
  /// x of Clip(x, low, high).
  [[nodiscard]] ValueId clipped(ValueId value, double low, double high) const;
  /// What the value is a product of; itself when nothing is multiplied.
  [[nodiscard]] Product product(ValueId value) const;
  /// Whether nothing outside `nodes` reads what they make, but for the outputs of `root`.
  [[nodiscard]] bool closed(const std::set<NodeId>& nodes, NodeId root) const;
  [[nodiscard]] const std::vector<Use>& uses(ValueId value) const { return uses_[index(value)]; }
  [[nodiscard]] bool same_shape(ValueId a, ValueId b) const;
  [[nodiscard]] const Graph& graph() const { return graph_; }

 private:
  void multiply(ValueId value, bool root, int depth, Product& product) const;

  const Graph& graph_;
  std::vector<NodeId> producers_;
  std::vector<std::vector<Use>> uses_;
};

/// Calls `rewrite` on every node that makes an f32 value, producers first, with a view of the graph
/// as it is then; `rewrite` says whether it changed anything. The number of changes.
using NodeRewrite = bool (*)(Graph& graph, const Pattern& pattern, NodeId id);
[[nodiscard]] Result<int> rewrite_each(Graph& graph, NodeRewrite rewrite);

/// Equal to about f32 precision.
[[nodiscard]] bool is_about(double value, double wanted);

/// Whether the graph's opset has the operator: graphs with ops that octet does not know keep old
/// ones.
[[nodiscard]] bool allows(const Graph& graph, std::int64_t since);

/// Axes of a reduction, non-negative and sorted; nullopt when they are not constant or the rank is
/// unknown. No axes means all.
[[nodiscard]] std::optional<std::vector<int>> reduced_axes(const Graph& graph, const Node& node);

}  // namespace octet::simplification

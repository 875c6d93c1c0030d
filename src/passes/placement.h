#pragma once
// Placement: which nodes of a graph run in integers on a target, and which values are quantized.

#include <optional>
#include <string>
#include <vector>

#include "passes/pipeline.h"

namespace octet {

struct Placement {
  /// By node slot: how the node takes part in integer execution; nullopt when it stays float.
  std::vector<std::optional<IntegerKind>> kinds;
  /// By node slot: why a live node stays float, else empty.
  std::vector<std::string> reasons;
  /// By value slot: computed values and graph inputs that are quantized, fused ones not.
  std::vector<bool> quantized;
  /// By value slot: an integer node's output that only a Relu or Clip reads need no codes of its
  /// own; this is the output of that activation, else ValueId::none.
  std::vector<ValueId> fused_into;
  /// By value slot: representative of the values that must share one set of params; the value
  /// itself when it shares with none.
  std::vector<ValueId> group;
  /// By value slot: it, or what it is fused into, shares params of 16 bits.
  std::vector<bool> wide;
  /// By value slot: a quantized value that exists as floats where it is made and that something
  /// reads as floats, too: only the integer readers see it quantized.
  std::vector<bool> float_readers;
  /// Quantized values whose statistics decide the params, in id order: all but the outputs of nodes
  /// that only move values around.
  std::vector<ValueId> sources;
  /// Quantized values of which only the means are of use: what a Transpose gives a Conv, with the
  /// channels where the Conv has them.
  std::vector<ValueId> turned;
  std::vector<std::string> notes;

  /// Takes up an Identity that was added since, which gives `value` params of its own.
  void add_requantized(NodeId node, ValueId value);

  [[nodiscard]] bool integer(NodeId id) const { return kinds[index(id)].has_value(); }
  /// Sources and turned values.
  [[nodiscard]] std::vector<ValueId> observed() const;
};

/// Decides for a simplified graph with inferred shapes. Fails when nothing can run in integers,
/// saying why, and on a cycle.
[[nodiscard]] Result<Placement> place(const Graph& graph, const TargetProfile& target,
                                      const QuantizeOptions& options);

/// By node slot: whether a --keep-float glob names the node. Globs that match no node are noted.
[[nodiscard]] std::vector<bool> kept_in_float(const Graph& graph,
                                              const std::vector<std::string>& globs,
                                              std::vector<std::string>& notes);

/// Whether the node computes with a value of 16 bits, or makes one, where others have 8: such an
/// operator has no integer form.
[[nodiscard]] bool touches_wide(const Graph& graph, const Placement& placement, NodeId id);

/// Computes floating-point values, or values of unknown type?
[[nodiscard]] bool computes_floats(const Graph& graph, const Node& node);

/// Fills report.float_nodes and report.integer_mac_share.
void describe_placement(const Graph& graph, const Placement& placement, QuantizeReport& report);

}  // namespace octet

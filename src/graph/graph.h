#pragma once
// Graph: the float model, format-independent. Values and nodes live in vectors indexed by ids that
// stay valid while passes add and remove; a removed node leaves a dead slot.
//
// Operators carry the names, inputs and attributes of the canonical ONNX opset (21). Absent
// optional inputs are ValueId::none.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"
#include "core/shape.h"
#include "core/tensor.h"

namespace octet {

enum class ValueId : std::int32_t { none = -1 };
enum class NodeId : std::int32_t { none = -1 };

[[nodiscard]] constexpr std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }
[[nodiscard]] constexpr std::size_t index(NodeId id) { return static_cast<std::size_t>(id); }

/// Bytes of an attribute that octet does not interpret (sub-graphs, sparse tensors, types), kept as
/// the format's own encoding so that writing gives them back unchanged.
struct OpaqueAttribute {
  std::string bytes;
  friend bool operator==(const OpaqueAttribute&, const OpaqueAttribute&) = default;
};

using Attribute =
    std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                 std::vector<std::string>, Tensor, OpaqueAttribute>;

/// Per-channel distribution that a folded BatchNormalization states for its output (before any
/// activation): mean = beta, stddev = |gamma|. Lets data-free passes work after folding.
struct ChannelMoments {
  std::vector<float> mean;
  std::vector<float> stddev;
};

/// An edge of the graph.
struct Value {
  std::string name;  ///< unique within the graph, never empty
  DType dtype = DType::undefined;
  std::optional<Shape> shape;          ///< nullopt: rank unknown; dynamic_dim: extent unknown
  std::vector<std::string> dim_names;  ///< symbolic names of dynamic dimensions ("N"), or empty
  std::optional<Tensor> constant;      ///< weights, and everything that folds to a constant
  std::optional<ChannelMoments> moments;

  [[nodiscard]] bool is_constant() const { return constant.has_value(); }
};

struct Node {
  std::string op;      ///< "Conv"
  std::string domain;  ///< "" is the standard ONNX domain
  std::string name;    ///< unique, never empty
  std::map<std::string, Attribute, std::less<>> attributes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  bool alive = true;

  /// Standard-domain operator of this name?
  [[nodiscard]] bool is(std::string_view op_name) const { return domain.empty() && op == op_name; }

  /// The input, or ValueId::none when it is absent or beyond the list.
  [[nodiscard]] ValueId input(std::size_t i) const {
    return i < inputs.size() ? inputs[i] : ValueId::none;
  }
  [[nodiscard]] ValueId output(std::size_t i = 0) const {
    return i < outputs.size() ? outputs[i] : ValueId::none;
  }

  /// Attribute as T, or nullptr when absent or of another type.
  template <class T>
  [[nodiscard]] const T* attribute(std::string_view key) const {
    const auto it = attributes.find(key);
    return it == attributes.end() ? nullptr : std::get_if<T>(&it->second);
  }
  [[nodiscard]] std::int64_t int_attribute(std::string_view key, std::int64_t fallback) const {
    const auto* value = attribute<std::int64_t>(key);
    return value ? *value : fallback;
  }
  [[nodiscard]] float float_attribute(std::string_view key, float fallback) const {
    const auto* value = attribute<float>(key);
    return value ? *value : fallback;
  }
  [[nodiscard]] std::string string_attribute(std::string_view key,
                                             std::string_view fallback) const {
    const auto* value = attribute<std::string>(key);
    return value ? *value : std::string(fallback);
  }
  [[nodiscard]] std::vector<std::int64_t> ints_attribute(
      std::string_view key, const std::vector<std::int64_t>& fallback = {}) const {
    const auto* value = attribute<std::vector<std::int64_t>>(key);
    return value ? *value : fallback;
  }
};

/// Where a value is read.
struct Use {
  NodeId node = NodeId::none;
  int input = 0;
  friend auto operator<=>(const Use&, const Use&) = default;
};

class Graph {
 public:
  std::string name;
  std::vector<ValueId> inputs;  ///< what a caller feeds; initializers are not among them
  std::vector<ValueId> outputs;
  std::map<std::string, std::string> metadata;  ///< free key/value pairs that the file carries
  std::map<std::string, std::int64_t> opsets;   ///< domain -> version; "" is the ONNX domain
  std::string producer;
  /// What only the source format knows (encoded), given back to its writer unchanged.
  std::map<std::string, std::string> format_extra;

  /// Adds a value; an empty or taken name is made unique.
  ValueId add_value(Value value);
  ValueId add_constant(std::string_view name_hint, Tensor tensor);
  /// Adds a node at the end; an empty or taken name is made unique.
  NodeId add_node(Node node);
  void remove_node(NodeId id) { nodes_[index(id)].alive = false; }

  [[nodiscard]] Value& value(ValueId id) { return values_[index(id)]; }
  [[nodiscard]] const Value& value(ValueId id) const { return values_[index(id)]; }
  [[nodiscard]] Node& node(NodeId id) { return nodes_[index(id)]; }
  [[nodiscard]] const Node& node(NodeId id) const { return nodes_[index(id)]; }

  /// Slots, dead ones included: for arrays indexed by id.
  [[nodiscard]] std::size_t value_slots() const { return values_.size(); }
  [[nodiscard]] std::size_t node_slots() const { return nodes_.size(); }

  [[nodiscard]] ValueId find_value(std::string_view value_name) const;

  /// The constant of a value, or nullptr (also for ValueId::none).
  [[nodiscard]] const Tensor* constant(ValueId id) const;

  /// Live nodes so that producers come first; among free choices, by id. Fails on a cycle, naming a
  /// node on it.
  [[nodiscard]] Result<std::vector<NodeId>> topological_order() const;

  /// For every value slot: the node that makes it, or NodeId::none.
  [[nodiscard]] std::vector<NodeId> producers() const;
  /// For every value slot: where it is read by live nodes, in node id order.
  [[nodiscard]] std::vector<std::vector<Use>> uses() const;

  [[nodiscard]] bool is_input(ValueId id) const;
  [[nodiscard]] bool is_output(ValueId id) const;

  /// Makes every reader of `from` (and the graph's outputs) read `to`.
  void replace_uses(ValueId from, ValueId to);

  /// Removes nodes whose outputs nobody reads.
  void remove_dead_nodes();

  [[nodiscard]] std::string unique_value_name(std::string_view hint) const;

 private:
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::map<std::string, ValueId, std::less<>> value_names_;
  std::map<std::string, NodeId, std::less<>> node_names_;

 public:
  /// Renames a value; fails when the name is taken.
  [[nodiscard]] Status rename_value(ValueId id, const std::string& new_name);
};

}  // namespace octet

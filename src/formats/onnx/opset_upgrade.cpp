#include "formats/onnx/opset_upgrade.h"

#include "formats/onnx/onnx.h"
#include "formats/onnx/opset_rewrites.h"
#include "graph/op_schema.h"

namespace octet::onnx {
namespace {

/// One attribute that a later opset made an input.
struct MovedAttribute {
  std::string_view op;
  std::int64_t since;  ///< opset in which it is an input
  std::string_view attribute;
  std::size_t input;
};

constexpr MovedAttribute moved_attributes[] = {
    {"Clip", 11, "min", 1},
    {"Clip", 11, "max", 2},
    {"Pad", 11, "pads", 1},
    {"Pad", 11, "value", 2},
    {"Slice", 10, "starts", 1},
    {"Slice", 10, "ends", 2},
    {"Slice", 10, "axes", 3},
    {"Squeeze", 13, "axes", 1},
    {"Unsqueeze", 13, "axes", 1},
    {"Split", 13, "split", 1},
    {"TopK", 10, "k", 1},
    {"Dropout", 12, "ratio", 1},
    {"ReduceSum", 13, "axes", 1},
    {"ReduceMean", 18, "axes", 1},
    {"ReduceMax", 18, "axes", 1},
    {"ReduceMin", 18, "axes", 1},
    {"ReduceProd", 18, "axes", 1},
    {"ReduceL1", 18, "axes", 1},
    {"ReduceL2", 18, "axes", 1},
    {"ReduceLogSum", 18, "axes", 1},
    {"ReduceLogSumExp", 18, "axes", 1},
    {"ReduceSumSquare", 18, "axes", 1},
};

/// The attribute as a constant of the type the input takes, or nullopt when it is of another kind.
std::optional<Tensor> as_tensor(const Node& node, std::string_view attribute, DType data_type) {
  if (const auto* ints = node.attribute<std::vector<std::int64_t>>(attribute)) {
    return Tensor::from<std::int64_t>(*ints, {static_cast<std::int64_t>(ints->size())});
  }
  if (const auto* number = node.attribute<std::int64_t>(attribute)) {
    return Tensor::from<std::int64_t>({*number}, {1});
  }
  if (const auto* number = node.attribute<float>(attribute)) {
    if (data_type == DType::f64) return Tensor::from<double>({static_cast<double>(*number)}, {});
    return Tensor::from<float>({*number}, {});
  }
  return std::nullopt;
}

Status move_attribute(Graph& graph, NodeId id, const MovedAttribute& moved) {
  const auto data = graph.node(id).input(0);
  const auto type = data == ValueId::none ? DType::undefined : graph.value(data).dtype;
  const auto it = graph.node(id).attributes.find(moved.attribute);
  if (it == graph.node(id).attributes.end()) return {};
  const auto& node = graph.node(id);
  if (node.inputs.size() > moved.input) {
    return bad_input("node {} ({}) has both the attribute {} and the input that replaces it",
                     node.name, node.op, moved.attribute);
  }
  auto tensor = as_tensor(node, moved.attribute, type);
  if (!tensor) {
    return bad_input("attribute {} of node {} ({}) has the wrong type", moved.attribute, node.name,
                     node.op);
  }
  const auto constant =
      graph.add_constant(fmt::format("{}_{}", node.name, moved.attribute), std::move(*tensor));
  auto& changed = graph.node(id);
  changed.attributes.erase(it);
  changed.inputs.resize(moved.input, ValueId::none);
  changed.inputs.push_back(constant);
  return {};
}

Status upgrade_node(Graph& graph, NodeId id, std::int64_t version) {
  for (const auto& moved : moved_attributes) {
    if (version < moved.since && graph.node(id).op == moved.op) {
      OCTET_TRY(move_attribute(graph, id, moved));
    }
  }
  auto& node = graph.node(id);
  if (version < 11 && node.is("Scatter")) node.op = "ScatterElements";
  if (version < 14 && node.is("BatchNormalization")) {
    OCTET_TRY(upgrade_batch_normalization(node));
  }
  if (version < 18 && node.is("Split") && node.input(1) == ValueId::none) {
    node.attributes.insert_or_assign("num_outputs", static_cast<std::int64_t>(node.outputs.size()));
  }
  if (version < 13 && (node.is("Upsample") || node.is("Resize"))) {
    return upgrade_resize(graph, id, version);
  }
  if (version < 21 && node.is("GroupNormalization")) upgrade_group_normalization(graph, id);
  return {};
}

}  // namespace

bool can_upgrade(const Graph& graph) {
  const auto opset = graph.opsets.find("");
  const auto version = opset == graph.opsets.end() ? canonical_opset : opset->second;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || find_schema(node) != nullptr) continue;
    if (!is_retired_operator(node, version)) return false;
  }
  return true;
}

Status upgrade_opset(Graph& graph) {
  const auto found = graph.opsets.find("");
  if (found == graph.opsets.end() || found->second >= canonical_opset) return {};
  const auto version = found->second;
  // Nodes that the upgrade adds are in today's form already.
  const auto count = graph.node_slots();
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive || !graph.node(id).domain.empty()) continue;
    OCTET_TRY(upgrade_node(graph, id, version));
  }
  found->second = canonical_opset;
  if (version < 13) OCTET_TRY(upgrade_softmaxes(graph));
  return {};
}

}  // namespace octet::onnx

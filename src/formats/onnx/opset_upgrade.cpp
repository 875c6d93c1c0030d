#include "formats/onnx/opset_upgrade.h"

#include <limits>

#include "formats/onnx/onnx.h"
#include "graph/shape_inference.h"

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

/// Before opset 14 the extra outputs meant training.
Status upgrade_batch_normalization(Node& node) {
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != ValueId::none) {
      return bad_input(
          "node {} (BatchNormalization) is in training mode; export the model for "
          "inference",
          node.name);
    }
  }
  node.outputs.resize(std::min<std::size_t>(node.outputs.size(), 1));
  node.attributes.erase("spatial");
  return {};
}

/// Before opset 13, Softmax worked on the input flattened to two dimensions at `axis` (default 1).
/// Where that axis is the last it is today's Softmax; else Shape, Flatten and Reshape go around it.
void upgrade_softmax(Graph& graph, NodeId id, const Graph& inferred) {
  const auto axis = graph.node(id).int_attribute("axis", 1);
  const auto data = graph.node(id).input(0);
  const auto result = graph.node(id).output(0);
  graph.node(id).attributes.insert_or_assign("axis", std::int64_t{-1});
  if (axis == -1 || data == ValueId::none || result == ValueId::none) return;
  const auto& shape = inferred.value(data).shape;
  if (shape && axis == static_cast<std::int64_t>(shape->size()) - 1) return;

  const auto add = [&](std::string_view op, std::vector<ValueId> inputs, ValueId output) {
    Node node;
    node.op = op;
    node.name = fmt::format("{}_{}", graph.node(id).name, op);
    node.inputs = std::move(inputs);
    node.outputs = {output};
    return graph.add_node(std::move(node));
  };
  const auto temporary = [&](std::string_view suffix) {
    Value value;
    value.name = fmt::format("{}_{}", graph.value(result).name, suffix);
    return graph.add_value(std::move(value));
  };
  const auto dims = temporary("shape");
  const auto flat = temporary("flat");
  const auto flat_result = temporary("rows");
  add("Shape", {data}, dims);
  const auto flatten = add("Flatten", {data}, flat);
  graph.node(flatten).attributes.emplace("axis", axis);
  graph.node(id).inputs[0] = flat;
  graph.node(id).outputs[0] = flat_result;
  add("Reshape", {flat_result, dims}, result);
}

Status upgrade_softmaxes(Graph& graph) {
  std::vector<NodeId> nodes;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive && (node.is("Softmax") || node.is("LogSoftmax") || node.is("Hardmax"))) {
      nodes.push_back(static_cast<NodeId>(i));
    }
  }
  if (nodes.empty()) return {};
  // Ranks are only a shortcut here: where inference fails, the general form stands. A copy, because
  // the caller infers (and reports errors) later.
  Graph inferred = graph;
  static_cast<void>(infer_shapes(inferred).has_value());
  for (const auto id : nodes) upgrade_softmax(graph, id, inferred);
  return {};
}

}  // namespace

Status upgrade_opset(Graph& graph) {
  const auto found = graph.opsets.find("");
  if (found == graph.opsets.end() || found->second >= canonical_opset) return {};
  const auto version = found->second;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.node(id).alive || !graph.node(id).domain.empty()) continue;
    for (const auto& moved : moved_attributes) {
      if (version < moved.since && graph.node(id).op == moved.op) {
        OCTET_TRY(move_attribute(graph, id, moved));
      }
    }
    auto& node = graph.node(id);
    if (version < 14 && node.is("BatchNormalization")) {
      OCTET_TRY(upgrade_batch_normalization(node));
    }
    if (version < 18 && node.is("Split") && node.input(1) == ValueId::none) {
      node.attributes.insert_or_assign("num_outputs",
                                       static_cast<std::int64_t>(node.outputs.size()));
    }
  }
  found->second = canonical_opset;
  if (version < 13) OCTET_TRY(upgrade_softmaxes(graph));
  return {};
}

}  // namespace octet::onnx

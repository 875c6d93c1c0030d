#include "formats/onnx/opset_rewrites.h"

#include <algorithm>
#include <optional>

#include "graph/shape_inference.h"

namespace octet::onnx {
namespace {

/// A node named after `id`.
NodeId add_beside(Graph& graph, NodeId id, std::string_view op, std::vector<ValueId> inputs,
                  ValueId output) {
  Node node;
  node.op = op;
  node.name = fmt::format("{}_{}", graph.node(id).name, op);
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return graph.add_node(std::move(node));
}

ValueId add_temporary(Graph& graph, ValueId near, std::string_view suffix) {
  Value value;
  value.name = fmt::format("{}_{}", graph.value(near).name, suffix);
  return graph.add_value(std::move(value));
}

ValueId add_integers(Graph& graph, NodeId id, std::string_view suffix,
                     std::initializer_list<std::int64_t> values) {
  return graph.add_constant(
      fmt::format("{}_{}", graph.node(id).name, suffix),
      Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())}));
}

void upgrade_softmax(Graph& graph, NodeId id, const Graph& inferred) {
  const auto axis = graph.node(id).int_attribute("axis", 1);
  const auto data = graph.node(id).input(0);
  const auto result = graph.node(id).output(0);
  graph.node(id).attributes.insert_or_assign("axis", std::int64_t{-1});
  if (axis == -1 || data == ValueId::none || result == ValueId::none) return;
  const auto& shape = inferred.value(data).shape;
  if (shape && axis == static_cast<std::int64_t>(shape->size()) - 1) return;

  const auto dims = add_temporary(graph, result, "shape");
  const auto flat = add_temporary(graph, result, "flat");
  const auto flat_result = add_temporary(graph, result, "rows");
  add_beside(graph, id, "Shape", {data}, dims);
  const auto flatten = add_beside(graph, id, "Flatten", {data}, flat);
  graph.node(flatten).attributes.emplace("axis", axis);
  graph.node(id).inputs[0] = flat;
  graph.node(id).outputs[0] = flat_result;
  add_beside(graph, id, "Reshape", {flat_result, dims}, result);
}

/// Scales that shrink alone (the rest 1) and scales that grow alone; nullopt when not constant.
struct SplitScales {
  std::vector<float> shrinking;
  std::vector<float> growing;
  bool any_shrinks = false;
  bool any_grows = false;
};

std::optional<SplitScales> split_scales(const Graph& graph, ValueId scales) {
  const auto* tensor = graph.constant(scales);
  if (tensor == nullptr || tensor->dtype() != DType::f32) return std::nullopt;
  SplitScales split;
  for (const float scale : tensor->values<float>()) {
    split.shrinking.push_back(std::min(scale, 1.0F));
    split.growing.push_back(std::max(scale, 1.0F));
    split.any_shrinks = split.any_shrinks || scale < 1.0F;
    split.any_grows = split.any_grows || scale > 1.0F;
  }
  return split;
}

ValueId add_scales(Graph& graph, NodeId id, std::string_view suffix,
                   const std::vector<float>& scales) {
  return graph.add_constant(
      fmt::format("{}_{}", graph.node(id).name, suffix),
      Tensor::from<float>(scales, {static_cast<std::int64_t>(scales.size())}));
}

/// The nearest mode rounds down on axes that grow and up on axes that shrink; where a node does
/// both, one that shrinks goes before it.
void choose_rounding(Graph& graph, NodeId id) {
  const auto scales = graph.node(id).input(2);
  const auto split = split_scales(graph, scales);
  const bool shrinks = split && split->any_shrinks;
  const bool nearest = graph.node(id).string_attribute("mode", "nearest") == "nearest";
  const auto set = [&](NodeId node, std::string rounding) {
    graph.node(node).attributes.insert_or_assign("nearest_mode", std::move(rounding));
  };
  set(id, shrinks ? "ceil" : "floor");
  if (!nearest || !shrinks || !split->any_grows) return;
  set(id, "floor");
  const auto data = graph.node(id).input(0);
  const auto small = add_temporary(graph, data, "shrunk");
  const auto shrinking = add_scales(graph, id, "shrinking", split->shrinking);
  const auto growing = add_scales(graph, id, "growing", split->growing);
  const auto first = add_beside(graph, id, "Resize", {data, ValueId::none, shrinking}, small);
  graph.node(first).attributes = graph.node(id).attributes;
  set(first, "ceil");
  graph.node(id).inputs[0] = small;
  graph.node(id).inputs[2] = growing;
}

/// Before opset 13, inputs that do not count could be tensors without elements.
void drop_empty_inputs(const Graph& graph, Node& node) {
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    const auto* tensor = graph.constant(node.inputs[i]);
    if (tensor != nullptr && tensor->size() == 0) node.inputs[i] = ValueId::none;
  }
  while (!node.inputs.empty() && node.inputs.back() == ValueId::none) node.inputs.pop_back();
}

Status upgrade_coordinates(Node& node) {
  const auto mode = node.string_attribute("coordinate_transformation_mode", "half_pixel");
  if (mode != "tf_half_pixel_for_nn") return {};
  // floor((x + 0.5) / scale) is floor(half_pixel + 0.5).
  const bool nearest = node.string_attribute("mode", "nearest") == "nearest";
  if (!nearest || node.string_attribute("nearest_mode", "round_prefer_floor") != "floor") {
    return bad_input("node {} (Resize): tf_half_pixel_for_nn without nearest_mode floor",
                     node.name);
  }
  node.attributes.insert_or_assign("coordinate_transformation_mode", std::string("half_pixel"));
  node.attributes.insert_or_assign("nearest_mode", std::string("round_prefer_ceil"));
  return {};
}

}  // namespace

bool is_retired_operator(const Node& node, std::int64_t version) {
  return (node.is("Upsample") && version < 10) || (node.is("Scatter") && version < 11);
}

Status upgrade_resize(Graph& graph, NodeId id, std::int64_t version) {
  if (version >= 11) {
    drop_empty_inputs(graph, graph.node(id));
    return upgrade_coordinates(graph.node(id));
  }
  auto scales = graph.node(id).input(1);
  if (scales == ValueId::none) {
    const auto* list = graph.node(id).attribute<std::vector<float>>("scales");
    if (list == nullptr) {
      return bad_input("node {} ({}) has no scales", graph.node(id).name, graph.node(id).op);
    }
    scales =
        graph.add_constant(graph.node(id).name + "_scales",
                           Tensor::from<float>(*list, {static_cast<std::int64_t>(list->size())}));
  }
  auto& node = graph.node(id);
  node.attributes.erase("scales");
  node.op = "Resize";
  node.inputs.resize(1, ValueId::none);
  node.inputs.push_back(ValueId::none);
  node.inputs.push_back(scales);
  node.attributes.insert_or_assign("coordinate_transformation_mode", std::string("asymmetric"));
  if (node.input(0) != ValueId::none) choose_rounding(graph, id);
  return {};
}

void upgrade_group_normalization(Graph& graph, NodeId id) {
  const auto data = graph.node(id).input(0);
  const auto groups = graph.node(id).int_attribute("num_groups", 0);
  if (data == ValueId::none || groups < 1) return;
  // [groups] -> [groups, 1] -> [groups, channels / groups] -> [channels]
  const auto channels = add_temporary(graph, data, "channels");
  const auto shape = add_beside(graph, id, "Shape", {data}, channels);
  graph.node(shape).attributes.emplace("start", std::int64_t{1});
  graph.node(shape).attributes.emplace("end", std::int64_t{2});
  const auto count = add_integers(graph, id, "groups", {groups});
  const auto each = add_temporary(graph, data, "channels_per_group");
  add_beside(graph, id, "Div", {channels, count}, each);
  const auto table = add_temporary(graph, data, "group_table");
  const auto join = add_beside(graph, id, "Concat", {count, each}, table);
  graph.node(join).attributes.emplace("axis", std::int64_t{0});
  for (std::size_t i = 1; i < 3; ++i) {
    const auto parameter = graph.node(id).input(i);
    if (parameter == ValueId::none) continue;
    const auto column = add_temporary(graph, parameter, "column");
    const auto spread = add_temporary(graph, parameter, "spread");
    const auto flat = add_temporary(graph, parameter, "by_channel");
    add_beside(graph, id, "Unsqueeze", {parameter, add_integers(graph, id, "axis", {1})}, column);
    add_beside(graph, id, "Expand", {column, table}, spread);
    add_beside(graph, id, "Reshape", {spread, add_integers(graph, id, "all", {-1})}, flat);
    graph.node(id).inputs[i] = flat;
  }
}

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
  if (node.int_attribute("spatial", 1) == 0) {
    return bad_input("node {} (BatchNormalization) has statistics by element (spatial = 0)",
                     node.name);
  }
  node.attributes.erase("spatial");
  return {};
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

}  // namespace octet::onnx

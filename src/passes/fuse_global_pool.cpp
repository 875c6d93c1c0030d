#include "passes/pattern.h"
#include "passes/simplify.h"

namespace octet::simplification {

Result<int> fuse_global_pool(Graph& graph) {
  int changes = 0;
  const auto count = graph.node_slots();
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = graph.node(id);
    if (!node.alive || !node.is("ReduceMean")) continue;
    const auto& input = graph.value(node.input(0));
    if (input.dtype != DType::f32 || !input.shape || input.shape->size() != 4) continue;
    if (reduced_axes(graph, node) != std::vector<int>{2, 3}) continue;
    const bool keeps = node.int_attribute("keepdims", 1) != 0;
    const auto output = node.output();
    const auto name = node.name;
    auto& pool = graph.node(id);
    pool.op = "GlobalAveragePool";
    pool.inputs.resize(1);
    pool.attributes.clear();
    ++changes;
    if (keeps) continue;
    Value image;
    image.name = graph.value(output).name + "_image";
    image.dtype = DType::f32;
    const auto middle = graph.add_value(std::move(image));
    graph.node(id).outputs = {middle};
    Node flatten;
    flatten.op = "Flatten";
    flatten.name = name + "_flatten";
    flatten.inputs = {middle};
    flatten.outputs = {output};
    graph.add_node(std::move(flatten));
  }
  return changes;
}

}  // namespace octet::simplification

#pragma once
// Small graphs for tests, one call per value.

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace octet::testing {

using Attributes = std::map<std::string, Attribute, std::less<>>;
using Ints = std::vector<std::int64_t>;

class GraphBuilder {
 public:
  Graph graph;

  ValueId input(const std::string& name, Shape shape, std::vector<std::string> dim_names = {},
                DType dtype = DType::f32) {
    Value value;
    value.name = name;
    value.dtype = dtype;
    value.shape = std::move(shape);
    value.dim_names = std::move(dim_names);
    const auto id = graph.add_value(std::move(value));
    graph.inputs.push_back(id);
    return id;
  }

  ValueId constant(const std::string& name, Tensor tensor) {
    return graph.add_constant(name, std::move(tensor));
  }

  ValueId ints(const std::string& name, const Ints& values) {
    return constant(name,
                    Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())}));
  }

  ValueId scalar(const std::string& name, float value) {
    return constant(name, Tensor::from<float>({value}, {}));
  }

  /// f32 values that differ from element to element, in [-1, 1].
  ValueId weights(const std::string& name, const Shape& shape, int seed = 1) {
    return constant(name, pseudo_random(shape, seed));
  }

  ValueId node(const std::string& op, std::vector<ValueId> inputs, const std::string& output,
               Attributes attributes = {}) {
    Value value;
    value.name = output;
    const auto id = graph.add_value(std::move(value));
    Node node;
    node.op = op;
    node.name = output + "_node";
    node.inputs = std::move(inputs);
    node.outputs = {id};
    node.attributes = std::move(attributes);
    graph.add_node(std::move(node));
    return id;
  }

  void output(ValueId id) { graph.outputs.push_back(id); }

  static Tensor pseudo_random(const Shape& shape, int seed) {
    Tensor tensor(DType::f32, shape);
    auto state = static_cast<std::uint32_t>(seed) * 2654435761U + 12345U;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      state = state * 1664525U + 1013904223U;
      tensor.mutable_data<float>()[i] = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
    }
    return tensor;
  }
};

/// The node that makes a value, by the value's name; fails the program when there is none.
inline const Node& maker_of(const Graph& graph, std::string_view value) {
  return graph.node(graph.producers().at(index(graph.find_value(value))));
}

}  // namespace octet::testing

#include "engine/integer/fake_constants.h"

#include "arithmetic/quantize.h"

namespace octet {

Result<Graph> with_fake_constants(const QuantizedGraph& model,
                                  const std::vector<NodePlacement>& placements) {
  Graph graph = model.graph;
  for (std::size_t slot = 0; slot < placements.size(); ++slot) {
    const auto id = static_cast<NodeId>(slot);
    const Role role = placements[slot].role;
    if (!model.graph.node(id).alive || role == Role::accumulate) continue;
    const Node& node = model.graph.node(id);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Use use{id, static_cast<int>(i)};
      if (model.graph.constant(node.inputs[i]) == nullptr) continue;
      const auto* quantization = model.plan.find(model.graph, use);
      if (quantization == nullptr) continue;
      OCTET_ASSIGN(const auto codes, constant_codes(model, use));
      auto values = dequantize(codes, quantization->params);
      if (!values) return tl::unexpected(values.error().with_context(node.name));
      const auto value = graph.add_constant(model.graph.value(node.inputs[i]).name, *values);
      graph.node(id).inputs[i] = value;
    }
  }
  return graph;
}

}  // namespace octet

#include "passes/block_graph.h"

#include "arithmetic/quantize.h"
#include "engine/gradient/fake_quant.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

/// The block alone. Its constants become what their codes stand for.
Result<Graph> cut_out(const QuantizedGraph& model, const Block& block) {
  Graph graph = model.graph;
  const auto producer = graph.producers()[index(block.entry)];
  if (producer != NodeId::none) {
    for (auto& output : graph.node(producer).outputs) {
      if (output == block.entry) output = ValueId::none;
    }
  }
  graph.inputs = {block.entry};
  graph.outputs = {block.exit};
  graph.remove_dead_nodes();
  // Those of one sample: any number of them goes through here.
  for (std::size_t slot = 0; slot < graph.value_slots(); ++slot) {
    graph.value(static_cast<ValueId>(slot)).shape.reset();
  }
  for (const auto id : block.nodes) {
    for (const auto input : graph.node(id).inputs) {
      if (input == ValueId::none) continue;
      const auto codes = model.plan.payloads.find(input);
      if (codes == model.plan.payloads.end()) continue;
      OCTET_ASSIGN(graph.value(input).constant,
                   dequantize(codes->second, model.plan.values.at(input).params));
    }
  }
  return graph;
}

}  // namespace

Result<BlockGraph> BlockGraph::make(const QuantizedGraph& model, const Block& block) {
  OCTET_ASSIGN(auto plain, cut_out(model, block));
  BlockGraph result(std::move(plain), block);
  result.quantize_values(model.plan);
  return result;
}

void BlockGraph::quantize_values(const QuantPlan& plan) {
  const auto uses = plain_.uses();
  for (std::size_t slot = 0; slot < uses.size(); ++slot) {
    const auto value = static_cast<ValueId>(slot);
    if (plain_.constant(value) != nullptr || value == block_.exit || uses[slot].empty()) continue;
    const auto* own = plan.find(value);
    const auto read = own == nullptr ? value : fake_quant_of(value, *own);
    for (const auto& use : uses[slot]) {
      const auto other = plan.overrides.find(use);
      const bool narrowed = other != plan.overrides.end() && !is_dynamic(other->second);
      // What has codes of its own is read through them, as the integer engine does.
      graph_.node(use.node).inputs[static_cast<std::size_t>(use.input)] =
          narrowed ? fake_quant_of(read, other->second) : read;
    }
  }
}

ValueId BlockGraph::fake_quant_of(ValueId value, const Quantization& quantization) {
  const std::string name = graph_.value(value).name;  // values move when some are added
  const auto& scales = quantization.params.scale;
  const auto scale = graph_.add_constant(
      name + "_scale", Tensor::from<float>(scales, {static_cast<std::int64_t>(scales.size())}));
  Value image;
  image.name = name + "_fake";
  image.dtype = DType::f32;
  auto node = gradient::fake_quant_node(name, {value, scale}, quantization);
  const auto output = graph_.add_value(std::move(image));
  const auto known = like_.find(value);
  like_[output] = known == like_.end() ? value : known->second;
  node.outputs = {output};
  graph_.add_node(std::move(node));
  return output;
}

Result<std::unique_ptr<gradient::Tape>> BlockGraph::tape(
    Shape entry_shape, std::int64_t samples, const std::vector<ValueId>& trained) const {
  entry_shape[0] = samples;
  gradient::TapeOptions options;
  OCTET_ASSIGN(options.shapes, infer_shapes_for(plain_, {{block_.entry, entry_shape}}));
  const auto& exit = options.shapes[index(block_.exit)];
  if (!exit || exit->empty() || exit->front() != samples) {
    return bad_input("value {} does not hold its samples along the first axis",
                     plain_.value(block_.exit).name);
  }
  options.shapes.resize(graph_.value_slots());
  for (const auto& [added, known] : like_) {
    options.shapes[index(added)] = options.shapes[index(known)];
  }
  options.trained = trained;
  options.outputs = {block_.exit};
  return gradient::Tape::compile(graph_, options);
}

}  // namespace octet

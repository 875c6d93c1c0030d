#include <limits>

#include "arithmetic/quantize.h"
#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

/// Writes one Clip of a model anew.
class Limits {
 public:
  Limits(QuantizedGraph& model, NodeId id)
      : model_(model),
        graph_(model.graph),
        id_(id),
        output_(graph_.node(id).output()),
        name_(graph_.value(output_).name),
        quantization_(model.plan.values.at(output_)) {}

  /// Requantized first, then limited on the sides that need it; the last step keeps the output.
  void state() {
    const auto bounds = *activation_limits(graph_, graph_.node(id_));
    auto& node = graph_.node(id_);
    node.op = "Identity";
    node.attributes.clear();
    node.inputs.resize(1);
    const float everything = std::numeric_limits<float>::infinity();
    const bool below = !saturates_within(bounds.low, everything, quantization_);
    const bool above = !saturates_within(-everything, bounds.high, quantization_);
    if (!below && !above) return;
    auto value = add_value(name_ + "_unlimited");
    graph_.node(id_).outputs = {value};
    if (below) {
      const auto limited = above ? add_value(name_ + "_from") : output_;
      add_limit("Max", value, bounds.low, limited);
      value = limited;
    }
    if (above) add_limit("Min", value, bounds.high, output_);
  }

 private:
  ValueId add_value(std::string name) {
    Value value = graph_.value(output_);
    value.name = std::move(name);
    const auto id = graph_.add_value(std::move(value));
    model_.plan.values[id] = shared();
    return id;
  }
  [[nodiscard]] Quantization shared() const {
    auto quantization = quantization_;
    quantization.origin = Origin::shared;
    return quantization;
  }
  /// By comparing codes: value, limit and result have the same params.
  void add_limit(std::string_view op, ValueId value, float bound, ValueId result) {
    const auto limit = graph_.add_constant(name_ + "_bound", Tensor::from<float>({bound}, {}));
    const auto& scheme = quantization_.scheme;
    const auto code = quantize_value(
        bound, quantization_.params.scale[0], quantization_.params.zero_point[0],
        static_cast<std::int32_t>(scheme.qmin()), static_cast<std::int32_t>(scheme.qmax()));
    model_.plan.values[limit] = shared();
    model_.plan.payloads[limit] =
        code_type(scheme) == DType::i8
            ? Tensor::from<std::int8_t>({static_cast<std::int8_t>(code)}, {})
            : Tensor::from<std::int16_t>({static_cast<std::int16_t>(code)}, {});
    Node node;
    node.op = op;
    node.name = graph_.value(result).name;
    node.inputs = {value, limit};
    node.outputs = {result};
    graph_.add_node(std::move(node));
  }

  QuantizedGraph& model_;
  Graph& graph_;
  NodeId id_;
  ValueId output_;
  std::string name_;
  Quantization quantization_;
};

}  // namespace

Status state_limits(PassContext& context) {
  if (!context.target.litert) return {};
  QuantizedGraph& model = context.model;
  const auto slots = model.graph.node_slots();
  for (std::size_t i = 0; i < slots; ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = model.graph.node(id);
    if (!node.alive || !node.is("Clip") || is_litert_activation(model.graph, node)) continue;
    const bool coded = model.plan.find(model.graph, {id, 0}) != nullptr &&
                       model.plan.find(node.output()) != nullptr;
    if (coded && activation_limits(model.graph, node)) Limits(model, id).state();
  }
  return {};
}

}  // namespace octet::passes

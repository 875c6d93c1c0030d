#include "passes/input_layout.h"

#include "graph/shape_inference.h"

namespace octet {
namespace {

using Perm = std::vector<std::int64_t>;

/// One input on its way to another order.
class Turner {
 public:
  Turner(QuantizedGraph& model, ValueId input, AxisOrder order)
      : model_(model),
        graph_(model.graph),
        input_(input),
        back_(order == AxisOrder::channels_last ? to_channels_first() : to_channels_last()),
        there_(order == AxisOrder::channels_last ? to_channels_last() : to_channels_first()) {}

  void turn() {
    const auto readers = graph_.uses()[index(input_)];
    const auto inner = add_inner();
    for (const auto& use : readers) {
      if (!is_turn(graph_.node(use.node))) {
        graph_.node(use.node).inputs[static_cast<std::size_t>(use.input)] = inner;
        needed_ = true;
      } else if (!skip(use.node)) {
        graph_.node(use.node).inputs[0] = inner;
        needed_ = true;
      }
    }
    auto& value = graph_.value(input_);
    value.shape = turned(*value.shape);
    if (value.dim_names.size() == 4) value.dim_names = turned(value.dim_names);
    value.moments.reset();
    if (!needed_) {
      graph_.remove_node(turn_);
      model_.plan.values.erase(inner);
    }
  }

 private:
  /// What the readers expect, made from the input.
  ValueId add_inner() {
    Value value = graph_.value(input_);
    value.name += back_ == to_channels_first() ? "_nchw" : "_nhwc";
    const auto inner = graph_.add_value(std::move(value));
    Node node;
    node.op = "Transpose";
    node.name = graph_.value(inner).name;
    node.attributes["perm"] = back_;
    node.inputs = {input_};
    node.outputs = {inner};
    turn_ = graph_.add_node(std::move(node));
    if (const auto* quantization = model_.plan.find(input_)) {
      auto shared = *quantization;
      model_.plan.values[inner] = std::move(shared);
    }
    return inner;
  }

  /// A Transpose that makes of the old input what the new one is.
  [[nodiscard]] bool is_turn(const Node& node) const {
    return node.is("Transpose") && node.ints_attribute("perm") == there_;
  }

  /// Lets the readers of such a Transpose read the input itself, quantized as they saw it.
  bool skip(NodeId id) {
    const auto output = graph_.node(id).output();
    if (graph_.is_output(output)) return false;
    const auto* of_output = model_.plan.find(output);
    const auto* of_input = model_.plan.find(input_);
    const bool alike = (of_output == nullptr) == (of_input == nullptr) &&
                       (of_output == nullptr || of_output->params == of_input->params);
    if (!alike && of_output == nullptr) return false;
    const auto readers = graph_.uses()[index(output)];
    for (const auto& use : readers) {
      graph_.node(use.node).inputs[static_cast<std::size_t>(use.input)] = input_;
      if (!alike) model_.plan.overrides.try_emplace(use, *of_output);
    }
    graph_.remove_node(id);
    model_.plan.overrides.erase({id, 0});
    model_.plan.values.erase(output);
    return true;
  }

  template <class List>
  [[nodiscard]] List turned(const List& list) const {
    List out(list.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = list[static_cast<std::size_t>(there_[i])];
    return out;
  }

  QuantizedGraph& model_;
  Graph& graph_;
  ValueId input_;
  Perm back_;   ///< of the new input, to the old order
  Perm there_;  ///< of the old input, to the new order
  NodeId turn_ = NodeId::none;
  bool needed_ = false;
};

}  // namespace

Result<int> set_input_layout(QuantizedGraph& model, AxisOrder order) {
  int inputs = 0;
  bool changed = false;
  for (const auto input : model.graph.inputs) {
    const auto shown = shown_axis_order(model.graph, input);
    if (!shown) continue;
    ++inputs;
    if (*shown == order || model.graph.is_output(input)) continue;
    Turner(model, input, order).turn();
    changed = true;
  }
  if (!changed) return inputs;
  OCTET_TRY(infer_shapes(model.graph));
  return inputs;
}

}  // namespace octet

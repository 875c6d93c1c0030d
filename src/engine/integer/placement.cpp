#include "engine/integer/placement.h"

#include "arithmetic/quantize.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/openvino_placement.h"
#include "engine/integer/placement_rules.h"
#include "engine/integer/wide_values.h"
#include "graph/litert_attributes.h"

namespace octet {
namespace {

class Placer {
 public:
  explicit Placer(const QuantizedGraph& model)
      : model_(model), graph_(model.graph), uses_(graph_.uses()), result_(graph_.node_slots()) {}

  Result<std::vector<NodePlacement>> run() {
    OCTET_ASSIGN(const auto order, graph_.topological_order());
    for (const auto id : order) {
      auto& placement = result_[index(id)];
      if (placement.role == Role::absorbed) continue;
      placement.output = graph_.node(id).output();
      propose_role(model_, id, placement);
      if (placement.role != Role::floating) settle(id, placement);
    }
    return std::move(result_);
  }

 private:
  /// Fuses what follows and gives the role up where the output has no codes.
  void settle(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    const bool accumulates = placement.role == Role::accumulate || placement.role == Role::product;
    if (accumulates && is_litert(model_.plan.rule)) {
      if (placement.input == InputForm::wide) return settle_wide(id, placement);
      if (placement.input == InputForm::dynamic) {
        placement.hybrid = litert_hybrid_form(model_, id);
      } else {
        placement.scaling = litert_layer_form(model_, id);
      }
    }
    if (placement.role == Role::wide) return settle_wide(id, placement);
    if (is_litert(model_.plan.rule) && follow(id, placement)) return;
    if (placement.form == OutputForm::codes) {
      const bool may_fuse = accumulates || placement.role == Role::binary ||
                            placement.role == Role::sum || placement.role == Role::average;
      if (may_fuse && fuse_activation(id, placement)) return;
      const auto* output = model_.plan.find(node.output());
      if (is_coded(output)) {
        placement.low = static_cast<std::int32_t>(output->scheme.qmin());
        placement.high = static_cast<std::int32_t>(output->scheme.qmax());
        return;
      }
      if (!accumulates) {
        placement.role = Role::floating;
        placement.reason = output == nullptr ? "its output is not quantized"
                                             : "its output is not 8-bit per-tensor";
        return;
      }
      placement.form = OutputForm::floats;
      if (placement.role == Role::accumulate && has_zero_points(id, placement)) {
        placement.role = Role::floating;
        placement.reason = "its weight has zero points and its output is not quantized to 8 bits";
        return;
      }
    }
    if (placement.role == Role::accumulate) fuse_bias(id, placement);
  }

  /// Lets one operator of LiteRT's that the graph states as two be one.
  bool follow(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    std::optional<NodeId> next;
    if (placement.role == Role::binary) {
      next = litert_square(model_, node, uses_[index(node.output())]);
      placement.squares = next.has_value();
    } else if (placement.role == Role::lookup && node.is("Sqrt")) {
      const auto reader = sole_reader(node.output());
      if (reader && graph_.node(reader->node).is("Reciprocal")) next = reader->node;
      placement.inverts = next.has_value();
    }
    if (!next) return false;
    const auto* output = model_.plan.find(graph_.node(*next).output());
    if (!is_coded(output)) {
      placement.squares = placement.inverts = false;
      return false;
    }
    placement.output = graph_.node(*next).output();
    placement.low = static_cast<std::int32_t>(output->scheme.qmin());
    placement.high = static_cast<std::int32_t>(output->scheme.qmax());
    result_[index(*next)].role = Role::absorbed;
    return true;
  }

  /// 16-bit codes stay such, or the node is float.
  void settle_wide(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    const bool accumulates = placement.role != Role::wide;
    if (accumulates) placement.wide = litert_wide_form(model_, id);
    const bool sums = node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("AveragePool");
    if ((accumulates || sums) && fuse_activation(id, placement)) return;
    const auto* output = model_.plan.find(node.output());
    // A QUANTIZE may give 8-bit codes.
    if (!is_wide(output) && !(node.is("Identity") && is_coded(output))) {
      placement.role = Role::floating;
      placement.input = InputForm::coded;
      placement.form = OutputForm::codes;
      placement.reason = "its output has no 16-bit codes";
      return;
    }
    placement.low = static_cast<std::int32_t>(output->scheme.qmin());
    placement.high = static_cast<std::int32_t>(output->scheme.qmax());
  }

  /// Whether an accumulating node's weight has zero points other than 0.
  [[nodiscard]] bool has_zero_points(NodeId id, const NodePlacement& placement) const {
    const auto layer = accumulate_layer(model_, id, placement);
    return layer && !layer->weight_zero_point.empty();
  }

  /// The only reader of an intermediate value that nothing else needs.
  [[nodiscard]] std::optional<Use> sole_reader(ValueId value) const {
    const auto& readers = uses_[index(value)];
    if (model_.plan.find(value) != nullptr || graph_.is_output(value)) return std::nullopt;
    if (readers.size() != 1 || model_.plan.overrides.contains(readers[0])) return std::nullopt;
    return readers[0];
  }

  /// Lets the node compute the Relu or Clip that alone reads its unquantized output.
  bool fuse_activation(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    const auto reader = sole_reader(node.output());
    if (!reader || reader->input != 0) return false;
    if (is_kept_float(graph_.node(reader->node))) return false;
    const Node& activation = graph_.node(reader->node);
    const auto bounds = activation_bounds(graph_, activation);
    const auto* output = model_.plan.find(activation.output());
    const bool wide = placement.form == OutputForm::wide;
    if (!bounds || !(wide ? is_wide(output) : is_coded(output))) return false;
    const auto qmin = static_cast<std::int32_t>(output->scheme.qmin());
    const auto qmax = static_cast<std::int32_t>(output->scheme.qmax());
    const float scale = output->params.scale[0];
    const std::int32_t zero_point = output->params.zero_point[0];
    placement.output = activation.output();
    placement.low = quantize_value(bounds->low, scale, zero_point, qmin, qmax);
    placement.high = quantize_value(bounds->high, scale, zero_point, qmin, qmax);
    if (model_.plan.rule == Rule::openvino) {
      placement.low = openvino_bound(bounds->low, *output);
      placement.high = openvino_bound(bounds->high, *output);
    }
    if (is_litert(model_.plan.rule)) {
      placement.low = litert_bound(model_, id, bounds->low, *output);
      placement.high = litert_bound(model_, id, bounds->high, *output);
    }
    result_[index(reader->node)].role = Role::absorbed;
    return true;
  }

  /// Lets a Gemm or MatMul without bias that gives floats compute the Add of a constant row that
  /// alone reads them: the same f32 addition.
  void fuse_bias(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    if (node.is("Conv") || node.is("ConvTranspose") || node.input(2) != ValueId::none) return;
    const auto reader = sole_reader(node.output());
    const auto layer = accumulate_layer(model_, id, placement);
    if (!reader || !layer) return;
    const Node& add = graph_.node(reader->node);
    const auto position = bias_input(model_, add, node.output(), layer->output_channels);
    if (!position) return;
    placement.bias = Use{reader->node, *position};
    placement.output = add.output();
    result_[index(reader->node)].role = Role::absorbed;
  }

  const QuantizedGraph& model_;
  const Graph& graph_;
  std::vector<std::vector<Use>> uses_;
  std::vector<NodePlacement> result_;
};

}  // namespace

bool is_coded(const Quantization* quantization) {
  return quantization != nullptr && quantization->scheme.bits <= 8 &&
         !quantization->params.per_channel() && quantization->params.count() == 1;
}

Result<std::vector<NodePlacement>> place_nodes(const QuantizedGraph& model) {
  return Placer(model).run();
}

}  // namespace octet

#include "passes/float_function.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "arithmetic/quantize.h"
#include "graph/shape_inference.h"
#include "passes/scale_classes.h"
#include "passes/scale_fit.h"

namespace octet {
namespace {

/// Of the weights' power: what 2 bits leave. Weights that were changed otherwise are further away.
constexpr double largest_error = 0.35;

/// Whether codes are near enough to what they may have been made from.
bool explains(const Tensor& original, const Tensor& coded) {
  double power = 0;
  double error = 0;
  const auto q = coded.values<float>();
  const auto w = original.values<float>();
  for (std::size_t i = 0; i < q.size(); ++i) {
    const auto code = static_cast<double>(q[i]);
    power += code * code;
    error += std::pow(code - static_cast<double>(w[i]), 2);
  }
  return error <= largest_error * power || power == 0;
}

/// Puts the original's constants and activations into a quantized model.
class FloatFunction {
 public:
  FloatFunction(QuantizedGraph quantized, const Graph& original,
                std::vector<std::string>& unmatched, bool moved_biases)
      : model_(std::move(quantized)),
        original_(original),
        unmatched_(unmatched),
        moved_biases_(moved_biases) {
    for (std::size_t i = 0; i < original.node_slots(); ++i) {
      const auto& node = original.node(static_cast<NodeId>(i));
      if (node.alive) by_name_[node.name] = static_cast<NodeId>(i);
    }
    producers_ = original.producers();
  }

  Result<QuantizedGraph> run() {
    OCTET_TRY(keep_codes());
    OCTET_TRY(fit());
    const auto slots = model_.graph.node_slots();
    for (std::size_t i = 0; i < slots; ++i) {
      const auto id = static_cast<NodeId>(i);
      if (model_.graph.node(id).alive) OCTET_TRY(restore_constants(id));
    }
    for (std::size_t i = 0; i < slots; ++i) {
      const auto id = static_cast<NodeId>(i);
      if (model_.graph.node(id).alive) restore_activation(id);
    }
    OCTET_TRY(infer_shapes(model_.graph));
    return std::move(model_);
  }

 private:
  /// Codes that only follow from the constants become payloads before these change.
  Status keep_codes() {
    const auto uses = model_.graph.uses();
    for (const auto& [id, q] : model_.plan.values) {
      if (!model_.graph.value(id).is_constant() || model_.plan.payloads.contains(id)) continue;
      for (const auto& use : uses[index(id)]) {
        if (model_.plan.overrides.contains(use)) continue;
        OCTET_ASSIGN(model_.plan.payloads[id], constant_codes(model_, use));
        break;
      }
    }
    return {};
  }

  /// The original's node of the same name and operator; none: there is none.
  [[nodiscard]] NodeId same_node(const Node& node) const {
    const auto it = by_name_.find(node.name);
    if (it == by_name_.end() || original_.node(it->second).op != node.op) return NodeId::none;
    return it->second;
  }

  /// What the original has at the same input of the same node, if it has the same form.
  [[nodiscard]] const Tensor* original_constant(const Node& node, std::size_t input) const {
    const auto same = same_node(node);
    if (same == NodeId::none) return nullptr;
    const auto* constant = original_.constant(original_.node(same).input(input));
    const auto* own = model_.graph.constant(node.input(input));
    const bool fits = constant != nullptr && own != nullptr && constant->dtype() == DType::f32 &&
                      constant->shape() == own->shape();
    return fits ? constant : nullptr;
  }

  [[nodiscard]] bool is_coded_constant(const Node& node, std::size_t input) const {
    const auto id = node.input(input);
    return id != ValueId::none && model_.graph.value(id).is_constant() &&
           model_.plan.values.contains(id) && model_.plan.payloads.contains(id);
  }

  [[nodiscard]] Result<Tensor> decoded(ValueId value) const {
    return dequantize(model_.plan.payloads.at(value), model_.plan.values.at(value).params);
  }

  static bool is_layer(const Node& node) {
    return node.is("Conv") || node.is("Gemm") || node.is("MatMul") || node.is("ConvTranspose");
  }

  /// The scales of equalization, from the weights of all layers.
  Status fit() {
    Graph shaped = original_;
    OCTET_TRY(infer_shapes(shaped));
    const auto classes = scale_classes(shaped);
    for (std::size_t k = 0; k < classes.size(); ++k) {
      for (const auto id : classes[k].values) class_of_[id] = k;
    }
    std::map<NodeId, Tensor> coded;
    for (std::size_t i = 0; i < model_.graph.node_slots(); ++i) {
      const Node& node = model_.graph.node(static_cast<NodeId>(i));
      if (!node.alive || !is_layer(node) || !is_coded_constant(node, 1)) continue;
      const auto* original = original_constant(node, 1);
      if (original == nullptr || original->rank() < 2) continue;
      OCTET_ASSIGN(coded[same_node(node)], decoded(node.inputs[1]));
    }
    fit_ = fit_scales(original_, classes, coded);
    return {};
  }

  [[nodiscard]] const std::vector<double>* scales_of(ValueId value) const {
    const auto it = class_of_.find(value);
    return it == class_of_.end() ? nullptr : &fit_.scales[it->second];
  }

  Status restore_constants(NodeId id) {
    const Node node = model_.graph.node(id);
    if (is_layer(node)) return restore_layer(node);
    for (std::size_t i = 0; i < std::min<std::size_t>(node.inputs.size(), 3); ++i) {
      if (!is_coded_constant(node, i)) continue;
      OCTET_ASSIGN(auto coded, decoded(node.inputs[i]));
      const auto* original = original_constant(node, i);
      const bool known = original != nullptr && explains(*original, coded);
      model_.graph.value(node.inputs[i]).constant = known ? *original : std::move(coded);
    }
    return {};
  }

  Status restore_layer(const Node& node) {
    const auto same = same_node(node);
    const auto error = fit_.errors.find(same);
    const bool known =
        same != NodeId::none && error != fit_.errors.end() && error->second <= largest_error;
    const auto* out = known ? scales_of(original_.node(same).output()) : nullptr;
    if (is_coded_constant(node, 1)) {
      OCTET_ASSIGN(auto weights, decoded(node.inputs[1]));
      if (!known) unmatched_.push_back(node.name);
      if (known) {
        weights = scaled_weights(node, *original_constant(node, 1), out,
                                 scales_of(original_.node(same).input(0)));
      }
      model_.graph.value(node.inputs[1]).constant = std::move(weights);
    }
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
      if (!is_coded_constant(node, i)) continue;
      OCTET_ASSIGN(auto coded, decoded(node.inputs[i]));
      const bool kept = known && !(i == 2 && moved_biases_);
      const auto* original = kept ? original_constant(node, i) : nullptr;
      if (original != nullptr) coded = i == 2 ? scaled_bias(*original, out) : *original;
      model_.graph.value(node.inputs[i]).constant = std::move(coded);
    }
    return {};
  }

  static Tensor scaled_bias(const Tensor& bias, const std::vector<double>* scales) {
    Tensor out = bias;
    if (scales == nullptr || scales->size() != static_cast<std::size_t>(bias.size())) return out;
    for (std::size_t i = 0; i < scales->size(); ++i) {
      auto& b = out.mutable_data<float>()[i];
      b = static_cast<float>(static_cast<double>(b) * (*scales)[i]);
    }
    return out;
  }

  /// The Relu or Clip that the saturation of codes stands for, as the original has it before the
  /// value.
  void restore_activation(NodeId id) {
    Graph& graph = model_.graph;
    const auto value = graph.node(id).output();
    if (value == ValueId::none || graph.node(id).outputs.size() != 1) return;
    const auto same = original_.find_value(graph.value(value).name);
    if (same == ValueId::none || producers_[index(same)] == NodeId::none) return;
    const Node& activation = original_.node(producers_[index(same)]);
    if (!activation.is("Relu") && !activation.is("Clip")) return;
    if (graph.node(id).is("Relu") || graph.node(id).is("Clip")) return;
    Value before;
    before.name = graph.value(value).name + "_unlimited";
    before.dtype = graph.value(value).dtype;
    before.shape = graph.value(value).shape;
    Node copy = activation;
    copy.inputs = {graph.add_value(std::move(before))};
    copy.outputs = {value};
    for (std::size_t i = 1; i < activation.inputs.size(); ++i) {
      const auto* bound = original_.constant(activation.inputs[i]);
      copy.inputs.push_back(bound == nullptr ? ValueId::none
                                             : graph.add_constant(copy.name + "_bound", *bound));
    }
    graph.node(id).outputs[0] = copy.inputs[0];
    graph.add_node(std::move(copy));
  }

  QuantizedGraph model_;
  const Graph& original_;
  std::vector<std::string>& unmatched_;
  bool moved_biases_;
  std::map<std::string, NodeId> by_name_;
  std::vector<NodeId> producers_;  ///< of the original's values
  std::map<ValueId, std::size_t> class_of_;
  ScaleFit fit_;
};

}  // namespace

Result<QuantizedGraph> float_function(QuantizedGraph quantized, const Graph& original,
                                      std::vector<std::string>& unmatched, bool moved_biases) {
  return FloatFunction(std::move(quantized), original, unmatched, moved_biases).run();
}

}  // namespace octet

#include "training/fake_quant.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "arithmetic/bias.h"
#include "arithmetic/quantize.h"
#include "engine/gradient/fake_quant.h"
#include "training/batch_norm.h"

namespace octet {
namespace {

bool is_trainable(const Quantization& q) { return !is_dynamic(q) && q.scheme.bits <= 16; }

/// Values that keep one scale, as a forest over value slots: those on both sides of a node that
/// have the same params.
class Sharing {
 public:
  explicit Sharing(const QuantizedGraph& model) : parent_(model.graph.value_slots()) {
    std::iota(parent_.begin(), parent_.end(), 0U);
    for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
      const Node& node = model.graph.node(static_cast<NodeId>(i));
      const auto* output = node.alive ? model.plan.find(node.output()) : nullptr;
      for (const auto input : node.inputs) {
        const auto* read = input == ValueId::none ? nullptr : model.plan.find(input);
        if (output == nullptr || read == nullptr || read->params != output->params) continue;
        parent_[root(input)] = root(node.output());
      }
    }
  }

  [[nodiscard]] std::size_t root(ValueId id) const {
    auto slot = index(id);
    while (parent_[slot] != slot) slot = parent_[slot];
    return slot;
  }

 private:
  std::vector<std::size_t> parent_;
};

class Inserter {
 public:
  Inserter(const QuantizedGraph& model, ScaleMethod method)
      : model_(model),
        method_(method),
        sharing_(model),
        producers_(model.graph.producers()),
        uses_(model.graph.uses()),
        scale_of_(model.graph.value_slots(), -1) {
    out_.graph = model.graph;
    out_.method = method;
    out_.graph.opsets["octet"] = 1;
  }

  Result<FakeQuantGraph> run() {
    for (const auto& [id, quantization] : model_.plan.values) {
      if (is_trainable(quantization)) quantize_value(id, quantization);
    }
    for (const auto& [use, quantization] : model_.plan.overrides) {
      if (is_dynamic(quantization)) {
        return bad_input("node {}: what is quantized at run time has no scale to train",
                         model_.graph.node(use.node).name);
      }
      if (is_trainable(quantization)) quantize_use(use, quantization);
    }
    return std::move(out_);
  }

 private:
  void quantize_value(ValueId id, const Quantization& quantization) {
    TrainedScale& scale = shared_scale(id, quantization);
    scale.values.push_back(id);
    if (holds_codes_already(id)) return;
    const auto quantized = add_node(id, quantization, scale, id);
    quantized_[id] = quantized;
    for (const auto& use : uses_[index(id)]) {
      if (model_.plan.overrides.contains(use)) continue;
      out_.graph.node(use.node).inputs[static_cast<std::size_t>(use.input)] = quantized;
    }
    std::replace(out_.graph.outputs.begin(), out_.graph.outputs.end(), id, quantized);
  }

  void quantize_use(const Use& use, const Quantization& quantization) {
    const auto input = static_cast<std::size_t>(use.input);
    const auto id = model_.graph.node(use.node).input(input);
    TrainedScale& scale = new_scale(id, quantization);
    scale.uses.push_back(use);
    // What has codes of its own is read through them, as the integer engine does.
    const auto read = quantized_.find(id);
    out_.graph.node(use.node).inputs[input] =
        add_node(id, quantization, scale, read == quantized_.end() ? id : read->second);
  }

  TrainedScale& new_scale(ValueId id, const Quantization& quantization) {
    const auto& scales = quantization.params.scale;
    TrainedScale scale;
    scale.weight = model_.graph.constant(id) != nullptr;
    scale.constant = out_.graph.add_constant(
        model_.graph.value(id).name + "_scale",
        Tensor::from<float>(scales, {static_cast<std::int64_t>(scales.size())}));
    scale.trained = method_ == ScaleMethod::lsq || method_ == ScaleMethod::lsq_plus ||
                    (method_ == ScaleMethod::pact && !scale.weight);
    const bool shifts = quantization.scheme.symmetry == Symmetry::asymmetric && !scale.weight;
    if (method_ == ScaleMethod::lsq_plus && shifts) {
      const auto zero_point = static_cast<float>(quantization.params.zero_point[0]);
      scale.offset = out_.graph.add_constant(model_.graph.value(id).name + "_offset",
                                             Tensor::from<float>({zero_point}, {1}));
    }
    out_.scales.push_back(std::move(scale));
    return out_.scales.back();
  }

  TrainedScale& shared_scale(ValueId id, const Quantization& quantization) {
    auto& position = scale_of_[sharing_.root(id)];
    if (position < 0) {
      new_scale(id, quantization);
      position = static_cast<int>(out_.scales.size()) - 1;
    }
    return out_.scales[static_cast<std::size_t>(position)];
  }

  /// What makes the value moves codes on that have its scale.
  [[nodiscard]] bool holds_codes_already(ValueId id) const {
    const auto producer = producers_[index(id)];
    return producer != NodeId::none && moves_codes(model_, producer);
  }

  [[nodiscard]] std::int64_t elements_of(ValueId id, const Quantization& quantization) const {
    const Value& value = model_.graph.value(id);
    if (const auto& constant = value.constant) {
      return constant->size() / static_cast<std::int64_t>(quantization.params.count());
    }
    std::int64_t count = 1;
    for (std::size_t i = 1; value.shape && i < value.shape->size(); ++i) {
      count *= std::max<std::int64_t>((*value.shape)[i], 1);
    }
    return count;
  }

  /// A FakeQuant of `read`, which is the value `id` or an image of it.
  ValueId add_node(ValueId id, const Quantization& quantization, const TrainedScale& known,
                   ValueId read) {
    const std::int64_t largest =
        std::max<std::int64_t>(quantization.scheme.qmax() - quantization.params.zero_point[0], 1);
    const auto elements = static_cast<double>(elements_of(id, quantization));
    std::vector<ValueId> inputs = {read, known.constant};
    if (known.offset != ValueId::none) inputs.push_back(known.offset);
    auto node =
        gradient::fake_quant_node(model_.graph.value(id).name, std::move(inputs), quantization);
    node.attributes["estimator"] = std::string(method_ == ScaleMethod::pact ? "pact" : "lsq");
    node.attributes["gradient_scale"] =
        static_cast<float>(1 / std::sqrt(elements * static_cast<double>(largest)));
    Value value;
    value.name = model_.graph.value(id).name + "_fake";
    value.dtype = DType::f32;
    value.shape = model_.graph.value(id).constant ? model_.graph.value(id).constant->shape()
                                                  : model_.graph.value(id).shape;
    const auto output = out_.graph.add_value(std::move(value));
    if (model_.graph.constant(id) == nullptr) out_.like[output] = id;
    node.outputs = {output};
    out_.graph.add_node(std::move(node));
    return output;
  }

  const QuantizedGraph& model_;
  ScaleMethod method_;
  Sharing sharing_;
  std::vector<NodeId> producers_;
  std::vector<std::vector<Use>> uses_;
  std::vector<int> scale_of_;
  std::map<ValueId, ValueId> quantized_;  ///< by value: what FakeQuant gives of it
  FakeQuantGraph out_;
};

/// The product that a bias is added to: the reader itself, or what an Add adds it to.
NodeId product_of(const Graph& graph, const std::vector<NodeId>& producers, const Use& bias) {
  const Node& reader = graph.node(bias.node);
  if (!reader.is("Add")) return bias.node;
  const auto other = reader.input(bias.input == 0 ? 1 : 0);
  return other == ValueId::none ? NodeId::none : producers[index(other)];
}

Status round_bias(QuantizedGraph& model, ValueId bias, NodeId product) {
  const Node& node = model.graph.node(product);
  const auto* input = model.plan.find(model.graph, {product, 0});
  const auto* weight = model.plan.find(model.graph, {product, 1});
  if (input == nullptr || weight == nullptr || input->params.scale.empty()) {
    return internal_error("node {}: its bias has codes, but not its input", node.name);
  }
  Quantization& quantization = model.plan.values.at(bias);
  for (std::size_t i = 0; i < quantization.params.scale.size(); ++i) {
    quantization.params.scale[i] =
        input->params.scale[0] * weight->params.scale[weight->params.per_channel() ? i : 0];
  }
  const auto width = quantization.scheme.bits > 32 ? BiasWidth::int64 : BiasWidth::int32;
  model.plan.payloads[bias] =
      quantize_bias(*model.graph.constant(bias), quantization.params, width);
  return {};
}

Status round_biases(QuantizedGraph& model) {
  const auto producers = model.graph.producers();
  const auto uses = model.graph.uses();
  for (const auto& [id, quantization] : std::map(model.plan.values)) {
    if (quantization.scheme.bits <= 16 || model.graph.constant(id) == nullptr) continue;
    for (const auto& use : uses[index(id)]) {
      const auto product = product_of(model.graph, producers, use);
      if (product == NodeId::none) continue;
      OCTET_TRY(round_bias(model, id, product));
    }
  }
  return {};
}

/// `offset`: nullptr where the zero point stays.
void adopt_scale(QuantizedGraph& model, const TrainedScale& scale, const Tensor& numbers,
                 const Tensor* offset) {
  const auto values = numbers.values<float>();
  const auto adopt = [&](Quantization& quantization) {
    quantization.params.scale.assign(values.begin(), values.end());
    if (offset != nullptr) {
      const auto& scheme = quantization.scheme;
      quantization.params.zero_point = {quantize_value(offset->data<float>()[0], 1, 0,
                                                       static_cast<std::int32_t>(scheme.qmin()),
                                                       static_cast<std::int32_t>(scheme.qmax()))};
    }
    quantization.origin = Origin::learned;
  };
  for (const auto id : scale.values) adopt(model.plan.values.at(id));
  for (const auto& use : scale.uses) adopt(model.plan.overrides.at(use));
}

}  // namespace

std::optional<ScaleMethod> scale_method_from_name(std::string_view text) {
  if (text == "fixed") return ScaleMethod::fixed;
  if (text == "lsq") return ScaleMethod::lsq;
  if (text == "lsq+") return ScaleMethod::lsq_plus;
  if (text == "pact") return ScaleMethod::pact;
  return std::nullopt;
}

Result<FakeQuantGraph> insert_fake_quant(const QuantizedGraph& model, ScaleMethod method) {
  return Inserter(model, method).run();
}

Status adopt_parameters(QuantizedGraph& model, const FakeQuantGraph& trained,
                        std::map<ValueId, Tensor> parameters) {
  std::set<ValueId> moved;
  fold_batch_norm(model, trained, parameters);
  for (const auto& scale : trained.scales) {
    const auto found = parameters.find(scale.constant);
    if (found == parameters.end()) continue;
    const auto offset = parameters.find(scale.offset);
    adopt_scale(model, scale, found->second,
                offset == parameters.end() ? nullptr : &offset->second);
    moved.insert(scale.values.begin(), scale.values.end());
  }
  for (const auto& [id, tensor] : parameters) {
    if (index(id) >= model.graph.value_slots()) continue;
    model.graph.value(id).constant = tensor;
    moved.insert(id);
  }
  for (const auto& [id, quantization] : model.plan.values) {
    const Tensor* constant = model.graph.constant(id);
    const auto& scheme = quantization.scheme;
    if (constant == nullptr || scheme.bits > 16 || !moved.contains(id)) continue;
    OCTET_ASSIGN(model.plan.payloads[id], quantize(*constant, quantization.params, scheme,
                                                   scheme.bits <= 8 ? DType::i8 : DType::i16));
  }
  return round_biases(model);
}

}  // namespace octet

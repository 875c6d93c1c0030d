#include "training/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/quantize.h"

namespace octet {
namespace {

constexpr float epsilon = 1e-5F;
/// Channels that vary less are left as they are.
constexpr float least_deviation = 1e-6F;

/// A layer of the model that can be normalized.
struct Layer {
  NodeId id = NodeId::none;
  ValueId weight = ValueId::none;
  ValueId bias = ValueId::none;
  ValueId output = ValueId::none;
};

std::vector<Layer> find_layers(const QuantizedGraph& model) {
  const Graph& graph = model.graph;
  const auto uses = graph.uses();
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || !node.is("Conv")) continue;
    const Layer layer{static_cast<NodeId>(i), node.input(1), node.input(2), node.output()};
    const auto alone = [&](ValueId id) {
      return id != ValueId::none && graph.constant(id) != nullptr && uses[index(id)].size() == 1;
    };
    if (!alone(layer.weight) || !alone(layer.bias) || graph.is_output(layer.output)) continue;
    const auto* q = model.plan.find(layer.weight);
    if (q == nullptr || q->scheme.symmetry != Symmetry::symmetric || q->params.axis != 0) continue;
    if (!q->params.per_channel() || graph.constant(layer.weight)->rank() != 4) continue;
    layers.push_back(layer);
  }
  return layers;
}

/// Multiplies each slice along axis 0.
Tensor scaled(const Tensor& tensor, std::span<const float> factors) {
  Tensor result(DType::f32, tensor.shape());
  const auto inner = tensor.size() / static_cast<std::int64_t>(factors.size());
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    result.mutable_data<float>()[i] =
        tensor.data<float>()[i] * factors[static_cast<std::size_t>(i / inner)];
  }
  return result;
}

class Inserter {
 public:
  Inserter(const QuantizedGraph& model, FakeQuantGraph& trained)
      : model_(model), graph_(trained.graph), trained_(trained) {}

  void insert(const Layer& layer) {
    const auto scale = std::find_if(
        trained_.scales.begin(), trained_.scales.end(), [&](const TrainedScale& known) {
          return std::find(known.values.begin(), known.values.end(), layer.weight) !=
                 known.values.end();
        });
    if (scale == trained_.scales.end()) return;
    const Tensor& bias = *model_.graph.constant(layer.bias);
    const auto channels = static_cast<std::size_t>(bias.size());
    NormalizedLayer normalized;
    normalized.weight = layer.weight;
    normalized.bias = layer.bias;
    normalized.scale = scale->constant;
    normalized.gamma = constant(layer, "gamma", std::vector<float>(channels, 1.0F));
    normalized.beta = constant(layer, "beta", {bias.data<float>(), bias.data<float>() + channels});
    normalized.mean = constant(layer, "mean", std::vector<float>(channels, 0.0F));
    normalized.variance = constant(layer, "variance", std::vector<float>(channels, 1 - epsilon));
    normalized.normalization = add_node(layer, normalized);
    trained_.normalized.push_back(normalized);
  }

 private:
  ValueId constant(const Layer& layer, std::string_view what, const std::vector<float>& values) {
    return graph_.add_constant(
        fmt::format("{}_{}", model_.graph.value(layer.output).name, what),
        Tensor::from<float>(values, {static_cast<std::int64_t>(values.size())}));
  }

  NodeId add_node(const Layer& layer, const NormalizedLayer& normalized) {
    Value value = graph_.value(layer.output);
    value.name += "_unnormalized";
    const auto before = graph_.add_value(std::move(value));
    trained_.like[before] = layer.output;
    Node& conv = graph_.node(layer.id);
    conv.outputs = {before};
    conv.inputs.resize(2);
    Node node;
    node.op = "BatchNormalization";
    node.name = conv.name + "_normalization";
    node.inputs = {before, normalized.gamma, normalized.beta, normalized.mean, normalized.variance};
    node.outputs = {layer.output};
    node.attributes = {{"epsilon", epsilon}};
    return graph_.add_node(std::move(node));
  }

  const QuantizedGraph& model_;
  Graph& graph_;
  FakeQuantGraph& trained_;
};

/// Numbers of a parameter: as trained, or as the graph has them.
const Tensor& numbers(const Graph& graph, const std::map<ValueId, Tensor>& parameters, ValueId id) {
  const auto found = parameters.find(id);
  return found == parameters.end() ? *graph.constant(id) : found->second;
}

}  // namespace

void insert_batch_norm(const QuantizedGraph& model, FakeQuantGraph& trained) {
  Inserter inserter(model, trained);
  for (const auto& layer : find_layers(model)) inserter.insert(layer);
}

void normalize(const Graph& graph, std::span<const NormalizedLayer> layers,
               const std::map<NodeId, gradient::BatchMoments>& seen,
               std::map<ValueId, Tensor>& parameters) {
  for (const auto& layer : layers) {
    const auto found = seen.find(layer.normalization);
    if (found == seen.end() || found->second.batches == 0) continue;
    const auto& [batches, means, variances] = found->second;
    std::vector<float> reciprocal;
    for (std::size_t c = 0; c < means.size(); ++c) {
      const auto mean = static_cast<float>(means[c] / static_cast<double>(batches));
      const auto d = static_cast<float>(std::sqrt(variances[c] / static_cast<double>(batches)));
      const bool varies = d > least_deviation;
      reciprocal.push_back(varies ? 1 / d : 1);
      parameters.at(layer.gamma).mutable_data<float>()[c] = varies ? d : 1;
      parameters.at(layer.beta).mutable_data<float>()[c] += mean;
    }
    for (const auto id : {layer.weight, layer.scale}) {
      parameters[id] = scaled(numbers(graph, parameters, id), reciprocal);
    }
  }
}

void fold_batch_norm(const QuantizedGraph& model, const FakeQuantGraph& trained,
                     std::map<ValueId, Tensor>& parameters) {
  for (const auto& layer : trained.normalized) {
    const auto get = [&](ValueId id) { return numbers(trained.graph, parameters, id); };
    const Tensor gamma = get(layer.gamma), beta = get(layer.beta);
    const Tensor mean = get(layer.mean), variance = get(layer.variance);
    const Tensor weight = get(layer.weight), scale = get(layer.scale);
    const QuantScheme& scheme = model.plan.values.at(layer.weight).scheme;
    const auto inner = weight.size() / gamma.size();
    Tensor folded(DType::f32, weight.shape()), scales(DType::f32, scale.shape());
    Tensor bias(DType::f32, model.graph.constant(layer.bias)->shape());
    for (std::int64_t c = 0; c < gamma.size(); ++c) {
      const double factor = static_cast<double>(gamma.data<float>()[c]) /
                            std::sqrt(static_cast<double>(variance.data<float>()[c] + epsilon));
      const float step = scale.data<float>()[c];
      const auto own =
          std::max(static_cast<float>(static_cast<double>(step) * std::abs(factor)), scale_floor);
      scales.mutable_data<float>()[c] = own;
      bias.mutable_data<float>()[c] =
          static_cast<float>(static_cast<double>(beta.data<float>()[c]) -
                             factor * static_cast<double>(mean.data<float>()[c]));
      for (std::int64_t i = c * inner; i < (c + 1) * inner; ++i) {
        const auto code = quantize_value(weight.data<float>()[i], step, 0,
                                         static_cast<std::int32_t>(scheme.qmin()),
                                         static_cast<std::int32_t>(scheme.qmax()));
        folded.mutable_data<float>()[i] = dequantize_value(factor < 0 ? -code : code, own, 0);
      }
    }
    parameters[layer.weight] = std::move(folded);
    parameters[layer.scale] = std::move(scales);
    parameters[layer.bias] = std::move(bias);
  }
}

}  // namespace octet

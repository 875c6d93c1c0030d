#include "training/network.h"

#include <algorithm>
#include <cmath>

#include "graph/shape_inference.h"
#include "training/samples.h"

namespace octet {
namespace {

bool is_fake_quant(const Node& node) { return node.domain == "octet" && node.op == "FakeQuant"; }

/// The constant behind a use, through the fake-quant that may stand between.
ValueId constant_behind(const Graph& graph, const std::vector<NodeId>& producers, ValueId id) {
  if (id == ValueId::none) return ValueId::none;
  if (graph.constant(id) != nullptr) return id;
  const auto producer = producers[index(id)];
  if (producer == NodeId::none || !is_fake_quant(graph.node(producer))) return ValueId::none;
  return constant_behind(graph, producers, graph.node(producer).input(0));
}

struct TrainedInput {
  std::size_t input;
  ParameterRole role;
};

std::vector<TrainedInput> trained_inputs(const Node& node) {
  if (node.is("Conv") || node.is("Gemm"))
    return {{1, ParameterRole::weight}, {2, ParameterRole::plain}};
  if (node.is("MatMul")) return {{0, ParameterRole::weight}, {1, ParameterRole::weight}};
  if (node.is("BatchNormalization") || node.is("LayerNormalization")) {
    return {{1, ParameterRole::plain}, {2, ParameterRole::plain}};
  }
  return {};
}

/// An Add of a constant row is the bias of what it is added to, of a MatMul for one.
void add_bias_of_sum(const Graph& graph, const std::vector<NodeId>& producers, const Node& node,
                     std::map<ValueId, ParameterRole>& roles) {
  if (!node.is("Add")) return;
  for (const std::size_t input : {0U, 1U}) {
    const auto bias = constant_behind(graph, producers, node.input(input));
    const auto other = node.input(1 - input);
    if (bias == ValueId::none || other == ValueId::none) continue;
    const auto producer = producers[index(other)];
    if (producer == NodeId::none || !graph.node(producer).is("MatMul")) continue;
    if (graph.constant(bias)->rank() == 1) roles.emplace(bias, ParameterRole::plain);
  }
}

std::map<ValueId, ParameterRole> roles_of(const Graph& graph) {
  std::map<ValueId, ParameterRole> roles;
  const auto producers = graph.producers();
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    for (const auto& [input, role] : trained_inputs(node)) {
      const auto id = constant_behind(graph, producers, node.input(input));
      if (id == ValueId::none || graph.constant(id)->dtype() != DType::f32) continue;
      roles.emplace(id, role);
    }
    add_bias_of_sum(graph, producers, node, roles);
  }
  return roles;
}

/// What the output's Softmax reads, or the output itself.
ValueId scores_of(const Graph& graph) {
  const auto producers = graph.producers();
  auto id = graph.outputs.front();
  for (;;) {
    const auto producer = producers[index(id)];
    if (producer == NodeId::none) return graph.outputs.front();
    const Node& node = graph.node(producer);
    if (node.is("Softmax")) return node.input(0);
    const bool passes = is_fake_quant(node) || node.is("Identity") || node.is("Reshape") ||
                        node.is("Flatten") || node.is("Squeeze");
    if (!passes) return graph.outputs.front();
    id = node.input(0);
  }
}

bool reads_batch_norm(const Graph& graph) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (node.alive && node.is("BatchNormalization")) return true;
  }
  return false;
}

/// A constant weight's share of the input that one output sees.
std::int64_t fan_in(const Node& node, const Shape& weight) {
  if (node.is("Conv")) return element_count(weight) / weight[0];
  const bool transposed = node.is("Gemm") && node.int_attribute("transB", 0) != 0;
  return transposed ? weight[1] : weight[weight.size() - 2];
}

Tensor normal_numbers(const Shape& shape, double deviation, std::uint64_t seed, std::int64_t item) {
  Tensor tensor(DType::f32, shape);
  Random random(seed, 0, item);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    tensor.mutable_data<float>()[i] =
        static_cast<float>(deviation * radius * std::cos(6.283185307179586 * random.uniform()));
  }
  return tensor;
}

}  // namespace

Result<Network> Network::make(Graph shape_graph, FakeQuantGraph trained) {
  Graph& graph = trained.graph;
  if (graph.inputs.size() != 1 || graph.outputs.empty()) {
    return bad_input("octet trains models of one input, not {}", graph.inputs.size());
  }
  const Value& input = graph.value(graph.inputs.front());
  if (input.dtype != DType::f32 || !input.shape || input.shape->empty()) {
    return bad_input("input {} is no f32 tensor of known rank", input.name);
  }
  Network network;
  network.roles_ = roles_of(graph);
  if (network.roles_.empty()) return bad_input("the model has no weights to train");
  for (const auto& scale : trained.scales) {
    if (!scale.trained) continue;
    network.roles_.emplace(scale.constant, trained.method == ScaleMethod::pact
                                               ? ParameterRole::clip
                                               : ParameterRole::scale);
    if (scale.offset != ValueId::none) network.roles_.emplace(scale.offset, ParameterRole::plain);
  }
  network.scores_ = scores_of(graph);
  network.input_shape_ = *input.shape;
  network.input_shape_[0] = dynamic_dim;
  if (!is_static({network.input_shape_.begin() + 1, network.input_shape_.end()})) {
    return bad_input("input {} has shape {}: octet trains on inputs of one size", input.name,
                     to_string(*input.shape));
  }
  network.has_batch_norm_ = reads_batch_norm(graph);
  network.shape_graph_ = std::move(shape_graph);
  network.graph_ = std::move(graph);
  network.normalized_ = std::move(trained.normalized);
  network.like_ = std::move(trained.like);
  return network;
}

Parameters Network::initial_parameters() const {
  Parameters parameters;
  for (const auto& [id, role] : roles_) parameters.emplace(id, *graph_.constant(id));
  return parameters;
}

Result<std::unique_ptr<gradient::Tape>> Network::tape(std::int64_t samples,
                                                      gradient::Mode mode) const {
  Shape shape = input_shape_;
  shape[0] = samples;
  gradient::TapeOptions options;
  options.mode = mode;
  OCTET_ASSIGN(options.shapes,
               infer_shapes_for(shape_graph_, {{shape_graph_.inputs.front(), shape}}));
  options.shapes.resize(graph_.value_slots());
  for (const auto& [added, known] : like_) {
    options.shapes[index(added)] = options.shapes[index(known)];
  }
  for (const auto& [id, role] : roles_) options.trained.push_back(id);
  options.outputs = {scores_};
  return gradient::Tape::compile(graph_, options);
}

Graph scoring_graph(Graph graph) {
  graph.outputs = {scores_of(graph)};
  return graph;
}

std::int64_t parameter_count(const Graph& graph) {
  std::int64_t count = 0;
  for (const auto& [id, role] : roles_of(graph)) count += graph.constant(id)->size();
  return count;
}

Status initialize(Graph& graph, std::uint64_t seed) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  std::int64_t item = 0;
  for (const auto id : order) {
    const Node node = graph.node(id);
    for (const auto& [input, role] : trained_inputs(node)) {
      const auto value = node.input(input);
      const Tensor* constant = graph.constant(value);
      if (constant == nullptr || constant->dtype() != DType::f32) continue;
      const Shape shape = constant->shape();
      Tensor numbers = Tensor::zeros(DType::f32, shape);
      if (role == ParameterRole::weight && shape.size() > 1) {
        const auto inputs = std::max<std::int64_t>(fan_in(node, shape), 1);
        numbers = normal_numbers(shape, std::sqrt(2 / static_cast<double>(inputs)), seed, item++);
      } else if (input == 1) {
        std::fill_n(numbers.mutable_data<float>(), numbers.size(), 1.0F);
      }
      graph.value(value).constant = std::move(numbers);
    }
  }
  const auto producers = graph.producers();
  std::map<ValueId, ParameterRole> sums;
  for (const auto id : order) add_bias_of_sum(graph, producers, graph.node(id), sums);
  for (const auto& [id, role] : sums) {
    graph.value(id).constant = Tensor::zeros(DType::f32, graph.constant(id)->shape());
  }
  return {};
}

}  // namespace octet

#include "training/network.h"

#include <algorithm>
#include <cmath>

#include "engine/gradient/fake_quant.h"
#include "graph/shape_inference.h"
#include "training/samples.h"

namespace octet {
namespace {

using gradient::is_fake_quant;

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
  if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm")) {
    return {{1, ParameterRole::weight}, {2, ParameterRole::plain}};
  }
  if (node.is("Gather")) return {{0, ParameterRole::weight}};
  if (node.is("PRelu")) return {{1, ParameterRole::plain}};
  if (node.is("MatMul")) return {{0, ParameterRole::weight}, {1, ParameterRole::weight}};
  if (node.is("BatchNormalization") || node.is("LayerNormalization")) {
    return {{1, ParameterRole::plain}, {2, ParameterRole::plain}};
  }
  return {};
}

/// The row that an Add or a Mul joins to what trained weights have made: a bias, or the factor of a
/// normalization. ValueId::none where there is none. `learned`: by value slot.
ValueId joined_row(const Graph& graph, const std::vector<NodeId>& producers, const Node& node,
                   const std::vector<bool>& learned) {
  if (!node.is("Add") && !node.is("Mul")) return ValueId::none;
  for (const std::size_t input : {0U, 1U}) {
    const auto row = constant_behind(graph, producers, node.input(input));
    const auto other = node.input(1 - input);
    if (row == ValueId::none || other == ValueId::none || !learned[index(other)]) continue;
    const Tensor& numbers = *graph.constant(row);
    const auto producer = producers[index(other)];
    const bool bias = producer != NodeId::none && graph.node(producer).is("MatMul");
    if (numbers.rank() == 1 && (numbers.size() > 1 || bias)) return row;
  }
  return ValueId::none;
}

/// Trained constants, each with the node that reads it and its input, in order of the nodes.
struct TrainedConstant {
  ValueId id = ValueId::none;
  ParameterRole role = ParameterRole::plain;
  NodeId reader = NodeId::none;
  std::size_t input = 0;
};

std::vector<TrainedConstant> trained_constants(const Graph& graph,
                                               const std::vector<NodeId>& order) {
  std::vector<TrainedConstant> found;
  const auto producers = graph.producers();
  std::vector<bool> learned(graph.value_slots(), false);
  for (const auto node_id : order) {
    const Node& node = graph.node(node_id);
    bool learns = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return input != ValueId::none && learned[index(input)];
    });
    const auto add = [&](ValueId id, ParameterRole role, std::size_t input) {
      if (id == ValueId::none || graph.constant(id)->dtype() != DType::f32) return;
      // A table is a matrix: a Gather from a list of numbers picks settings.
      if (node.is("Gather") && graph.constant(id)->rank() < 2) return;
      found.push_back({id, role, node_id, input});
      learns = true;
    };
    for (const auto& [input, role] : trained_inputs(node)) {
      add(constant_behind(graph, producers, node.input(input)), role, input);
    }
    add(joined_row(graph, producers, node, learned), ParameterRole::plain, node.is("Mul") ? 1 : 2);
    for (const auto output : node.outputs) {
      if (output != ValueId::none) learned[index(output)] = learns;
    }
  }
  return found;
}

Result<std::map<ValueId, ParameterRole>> roles_of(const Graph& graph) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  std::map<ValueId, ParameterRole> roles;
  for (const auto& constant : trained_constants(graph, order)) {
    roles.emplace(constant.id, constant.role);
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
  if (node.is("ConvTranspose")) return element_count(weight) / weight[1];
  if (node.is("Gather")) return weight.back();
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

/// The input's shape with the batch open and all else known.
Result<Shape> sample_shape(const Value& input, const Shape* sample) {
  if (!input.shape || input.shape->empty()) {
    return bad_input("input {} has no batch dimension", input.name);
  }
  Shape shape = *input.shape;
  for (std::size_t i = 1; sample != nullptr && i < std::min(shape.size(), sample->size()); ++i) {
    if (shape[i] == dynamic_dim) shape[i] = (*sample)[i];
  }
  shape[0] = dynamic_dim;
  if (!is_static({shape.begin() + 1, shape.end()})) {
    return bad_input("input {} has shape {}: octet trains on inputs of one size", input.name,
                     to_string(*input.shape));
  }
  return shape;
}

}  // namespace

Result<Network> Network::make(Graph shape_graph, FakeQuantGraph trained,
                              const std::vector<Shape>& sample) {
  Graph& graph = trained.graph;
  if (graph.inputs.empty() || graph.outputs.empty()) {
    return bad_input("a model without inputs or outputs has nothing to train");
  }
  Network network;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const Shape* shape = i < sample.size() ? &sample[i] : nullptr;
    OCTET_ASSIGN(auto whole, sample_shape(graph.value(graph.inputs[i]), shape));
    network.input_shapes_.push_back(std::move(whole));
  }
  OCTET_ASSIGN(network.roles_, roles_of(graph));
  if (network.roles_.empty()) return bad_input("the model has no weights to train");
  for (const auto& scale : trained.scales) {
    if (!scale.trained) continue;
    network.roles_.emplace(scale.constant, trained.method == ScaleMethod::pact
                                               ? ParameterRole::clip
                                               : ParameterRole::scale);
    if (scale.offset != ValueId::none) network.roles_.emplace(scale.offset, ParameterRole::plain);
  }
  network.scores_ = scores_of(graph);
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

Result<std::unique_ptr<gradient::Tape>> Network::tape(std::int64_t samples, gradient::Mode mode,
                                                      bool recompute) const {
  std::map<ValueId, Shape> shapes;
  for (std::size_t i = 0; i < input_shapes_.size(); ++i) {
    Shape& shape = shapes[shape_graph_.inputs[i]] = input_shapes_[i];
    shape[0] = samples;
  }
  gradient::TapeOptions options;
  options.mode = mode;
  options.recompute = recompute;
  OCTET_ASSIGN(options.shapes, infer_shapes_for(shape_graph_, shapes));
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
  const auto roles = roles_of(graph);
  if (!roles) return 0;
  for (const auto& [id, role] : *roles) count += graph.constant(id)->size();
  return count;
}

Status initialize(Graph& graph, std::uint64_t seed) {
  OCTET_ASSIGN(const auto order, graph.topological_order());
  std::int64_t item = 0;
  for (const auto& [id, role, reader, input] : trained_constants(graph, order)) {
    const Node& node = graph.node(reader);
    const Shape shape = graph.constant(id)->shape();
    Tensor numbers = Tensor::zeros(DType::f32, shape);
    if (role == ParameterRole::weight && shape.size() > 1) {
      const auto inputs = std::max<std::int64_t>(fan_in(node, shape), 1);
      numbers = normal_numbers(shape, std::sqrt(2 / static_cast<double>(inputs)), seed, item++);
    } else if (input == 1) {
      std::fill_n(numbers.mutable_data<float>(), numbers.size(), node.is("PRelu") ? 0.25F : 1.0F);
    }
    graph.value(id).constant = std::move(numbers);
  }
  return {};
}

}  // namespace octet

#include <algorithm>
#include <cmath>
#include <map>

#include "formats/onnx/qdq.h"
#include "graph/onnx_dtype.h"
#include "graph/value_facts.h"

namespace octet::onnx {
namespace {

/// A product of run time codes and everything that belongs to it.
struct Pattern {
  NodeId product = NodeId::none;  ///< MatMulInteger or ConvInteger
  NodeId source = NodeId::none;   ///< DynamicQuantizeLinear
  NodeId cast = NodeId::none;
  NodeId scales = NodeId::none;  ///< Mul of both scales
  NodeId multiply = NodeId::none;
  NodeId add = NodeId::none;  ///< NodeId::none without a bias
  int bias_slot = 0;          ///< of `add`
  Quantization weight;
};

class Matcher {
 public:
  explicit Matcher(const Graph& graph)
      : graph_(graph), producers_(graph.producers()), uses_(graph.uses()) {}

  std::optional<Pattern> match(NodeId id) const;
  [[nodiscard]] const std::vector<Use>& uses(ValueId id) const { return uses_[index(id)]; }

 private:
  [[nodiscard]] NodeId producer(ValueId id) const {
    return id == ValueId::none ? NodeId::none : producers_[index(id)];
  }
  /// The node of this operator that alone reads the first output of another.
  [[nodiscard]] NodeId sole_reader(NodeId id, std::string_view op) const;
  /// DynamicQuantizeLinear whose outputs feed codes and zero point.
  [[nodiscard]] NodeId source_of(const Node& product) const;
  bool read_scales(Pattern& pattern) const;
  bool read_weight(Pattern& pattern, const Tensor& scale) const;
  void find_bias(Pattern& pattern) const;

  const Graph& graph_;
  std::vector<NodeId> producers_;
  std::vector<std::vector<Use>> uses_;
};

NodeId Matcher::sole_reader(NodeId id, std::string_view op) const {
  const auto value = graph_.node(id).output();
  if (value == ValueId::none || graph_.is_output(value)) return NodeId::none;
  const auto& readers = uses_[index(value)];
  if (readers.size() != 1) return NodeId::none;
  return graph_.node(readers[0].node).is(op) ? readers[0].node : NodeId::none;
}

NodeId Matcher::source_of(const Node& product) const {
  const auto source = producer(product.input(0));
  if (source == NodeId::none) return NodeId::none;
  const Node& node = graph_.node(source);
  const bool fits = node.is("DynamicQuantizeLinear") && node.outputs.size() == 3 &&
                    node.input(0) != ValueId::none && product.input(0) == node.outputs[0] &&
                    product.input(2) == node.outputs[2] && node.outputs[2] != ValueId::none;
  return fits ? source : NodeId::none;
}

/// Axis of the weight that counts output channels.
int channel_axis(const Node& product) { return product.is("ConvInteger") ? 0 : 1; }

/// Elements along `axis` only, counted from the end of a rank-`rank` value that it broadcasts to.
bool runs_along(const Tensor& tensor, int rank, int axis, std::int64_t channels) {
  if (tensor.size() == 1) return tensor.rank() <= rank;
  const int at = axis - (rank - tensor.rank());
  return tensor.rank() <= rank && at >= 0 && tensor.size() == channels &&
         tensor.dim(at) == channels;
}

bool Matcher::read_weight(Pattern& pattern, const Tensor& scale) const {
  const Node& product = graph_.node(pattern.product);
  const Tensor* weight = graph_.constant(product.input(1));
  if (weight == nullptr || weight->size() == 0) return false;
  if (weight->dtype() != DType::i8 && weight->dtype() != DType::u8) return false;
  const bool conv = product.is("ConvInteger");
  if (conv ? weight->rank() < 3 : weight->rank() != 2) return false;
  // Codes are signed in the plan: those of u8 are 128 less.
  const std::int64_t zero = weight->dtype() == DType::u8 ? 128 : 0;
  if (product.input(3) == ValueId::none) {
    if (zero != 0) return false;
  } else {
    const Tensor* zero_points = graph_.constant(product.input(3));
    if (zero_points == nullptr || zero_points->dtype() != weight->dtype()) return false;
    const auto values = to_int64(*zero_points);
    if (!values || std::any_of(values->begin(), values->end(), [&](auto z) { return z != zero; })) {
      return false;
    }
  }
  const int axis = channel_axis(product);
  const auto channels = weight->dim(axis);
  if (scale.dtype() != DType::f32 || scale.size() == 0) return false;
  // A MatMul's columns are its last axis, whatever the rank.
  const bool fits = conv ? runs_along(scale, weight->rank(), 1, channels)
                         : runs_along(scale, std::max(2, scale.rank()),
                                      std::max(2, scale.rank()) - 1, channels) &&
                               scale.rank() <= 2;
  if (!fits) return false;
  const auto scales = scale.values<float>();
  if (std::any_of(scales.begin(), scales.end(),
                  [](float s) { return !std::isfinite(s) || !(s > 0); })) {
    return false;
  }
  auto& quantization = pattern.weight;
  quantization.origin = Origin::imported;
  quantization.storage = weight->dtype();
  quantization.params.scale.assign(scales.begin(), scales.end());
  quantization.params.zero_point.assign(scales.size(), 0);
  quantization.scheme.symmetry = Symmetry::symmetric;
  const bool along_channels = scales.size() > 1 || (channels == 1 && scale.rank() > 0);
  if (along_channels) {
    quantization.params.axis = axis;
    quantization.scheme.granularity = Granularity::per_channel;
    quantization.scheme.axis = axis;
  }
  return true;
}

/// Mul(cast, Mul(input scale, weight scale)), each in either order.
bool Matcher::read_scales(Pattern& pattern) const {
  const auto run_time_scale = graph_.node(pattern.source).outputs[1];
  const auto real = graph_.node(pattern.cast).output();
  const Node& multiply = graph_.node(pattern.multiply);
  const auto combined = multiply.input(multiply.input(0) == real ? 1 : 0);
  pattern.scales = producer(combined);
  if (pattern.scales == NodeId::none || !graph_.node(pattern.scales).is("Mul")) return false;
  const Node& scales = graph_.node(pattern.scales);
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    if (run_time_scale == ValueId::none || scales.input(slot) != run_time_scale) continue;
    const Tensor* constant = graph_.constant(scales.input(1 - slot));
    return constant != nullptr && read_weight(pattern, *constant);
  }
  return false;
}

/// A constant row that an Add right behind adds.
void Matcher::find_bias(Pattern& pattern) const {
  const auto add = sole_reader(pattern.multiply, "Add");
  if (add == NodeId::none) return;
  const Node& node = graph_.node(add);
  const int slot = node.input(0) == graph_.node(pattern.multiply).output() ? 1 : 0;
  const Tensor* row = graph_.constant(node.input(static_cast<std::size_t>(slot)));
  const Node& product = graph_.node(pattern.product);
  const Tensor& weight = *graph_.constant(product.input(1));
  const auto channels = weight.dim(channel_axis(product));
  if (row == nullptr || row->dtype() != DType::f32 || row->size() != channels) return;
  const bool fits = product.is("ConvInteger")
                        ? runs_along(*row, weight.rank(), 1, channels) && row->rank() >= 1 &&
                              (channels > 1 || row->rank() <= weight.rank())
                        : row->rank() == 1;
  if (!fits) return;
  pattern.add = add;
  pattern.bias_slot = slot;
}

std::optional<Pattern> Matcher::match(NodeId id) const {
  const Node& product = graph_.node(id);
  if (!product.alive || (!product.is("MatMulInteger") && !product.is("ConvInteger"))) {
    return std::nullopt;
  }
  Pattern pattern;
  pattern.product = id;
  pattern.source = source_of(product);
  if (pattern.source == NodeId::none) return std::nullopt;
  pattern.cast = sole_reader(id, "Cast");
  if (pattern.cast == NodeId::none ||
      dtype_from_onnx(graph_.node(pattern.cast).int_attribute("to", 0)) != DType::f32) {
    return std::nullopt;
  }
  pattern.multiply = sole_reader(pattern.cast, "Mul");
  if (pattern.multiply == NodeId::none || !read_scales(pattern)) return std::nullopt;
  find_bias(pattern);
  return pattern;
}

/// The codes of a weight as a constant of the plan: the value itself when nobody else reads it, so
/// that its name stays, and one for all products that read it alike.
class Weights {
 public:
  explicit Weights(QuantizedGraph& model) : model_(model) {}

  Result<ValueId> take(ValueId integer, const Quantization& quantization, bool whole) {
    for (const auto& [value, made] : made_[integer]) {
      if (same_numbers(*model_.plan.find(made), quantization)) return made;
    }
    const auto codes = codes_from_storage(
        original_.try_emplace(integer, *model_.graph.constant(integer)).first->second);
    auto target = integer;
    if (!whole || !made_[integer].empty()) {
      target = model_.graph.add_constant(model_.graph.value(integer).name, codes);
    }
    OCTET_TRY(set_coded_constant(model_, target, codes, quantization));
    made_[integer].emplace_back(integer, target);
    return target;
  }

 private:
  QuantizedGraph& model_;
  std::map<ValueId, Tensor> original_;
  std::map<ValueId, std::vector<std::pair<ValueId, ValueId>>> made_;
};

Status absorb(QuantizedGraph& model, const Pattern& pattern, Weights& weights, bool whole,
              bool matrix) {
  Graph& graph = model.graph;
  const auto x = graph.node(pattern.source).input(0);
  const auto integer = graph.node(pattern.product).input(1);
  OCTET_ASSIGN(const auto weight, weights.take(integer, pattern.weight, whole));
  const bool conv = graph.node(pattern.product).is("ConvInteger");
  const bool takes_bias = pattern.add != NodeId::none && (conv || matrix);
  const auto last = takes_bias ? pattern.add : pattern.multiply;
  const auto output = graph.node(last).output();
  std::vector<ValueId> inputs{x, weight};
  if (takes_bias) {
    auto bias = graph.node(pattern.add).input(static_cast<std::size_t>(pattern.bias_slot));
    const Tensor row = *graph.constant(bias);
    if (row.rank() != 1) {
      const auto flat = row.reshaped({row.size()});
      if (graph.uses()[index(bias)].size() == 1 && !graph.is_output(bias)) {
        graph.value(bias).constant = flat;
        graph.value(bias).shape = flat.shape();
      } else {
        bias = graph.add_constant(graph.value(bias).name, flat);
      }
    }
    inputs.push_back(bias);
    graph.remove_node(pattern.add);
  }
  graph.remove_node(pattern.multiply);
  graph.remove_node(pattern.cast);
  auto& node = graph.node(pattern.product);
  node.op = conv ? "Conv" : takes_bias ? "Gemm" : "MatMul";
  node.inputs = std::move(inputs);
  node.outputs = {output};
  if (!conv) node.attributes.clear();
  model.plan.overrides[{pattern.product, 0}] = dynamic_quantization();
  return {};
}

bool is_unread(const Graph& graph, const std::vector<std::size_t>& readers, NodeId id) {
  const auto& outputs = graph.node(id).outputs;
  return std::none_of(outputs.begin(), outputs.end(), [&](ValueId value) {
    return value != ValueId::none && (graph.is_output(value) || readers[index(value)] > 0);
  });
}

/// Removes the nodes of these that nobody reads any more.
void remove_unread(Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::size_t> readers;
  for (const auto& uses : graph.uses()) readers.push_back(uses.size());
  for (const auto id : nodes) {
    if (!graph.node(id).alive || !is_unread(graph, readers, id)) continue;
    for (const auto input : graph.node(id).inputs) {
      if (input != ValueId::none) --readers[index(input)];
    }
    graph.remove_node(id);
  }
}

bool has_zero_points_of_zero(const Quantization& quantization) {
  const auto& zeros = quantization.params.zero_point;
  return std::all_of(zeros.begin(), zeros.end(), [](auto zero) { return zero == 0; });
}

}  // namespace

Status absorb_integer_operators(QuantizedGraph& model) {
  Graph& graph = model.graph;
  const Matcher matcher(graph);
  std::vector<Pattern> patterns;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    if (auto pattern = matcher.match(static_cast<NodeId>(i))) patterns.push_back(*pattern);
  }
  if (patterns.empty()) return {};
  std::map<ValueId, std::size_t> readers;
  for (const auto& pattern : patterns) ++readers[graph.node(pattern.product).input(1)];
  // Whether a product is one of matrices decides between Gemm, and MatMul and Add.
  const auto facts = infer_facts(graph);
  Weights weights(model);
  std::vector<NodeId> left;
  for (const auto& pattern : patterns) {
    const auto integer = graph.node(pattern.product).input(1);
    const bool whole =
        matcher.uses(integer).size() == readers[integer] && !graph.is_output(integer);
    const auto x = graph.node(pattern.source).input(0);
    const bool matrix = facts && (*facts)[index(x)].shape && (*facts)[index(x)].shape->size() == 2;
    OCTET_TRY(absorb(model, pattern, weights, whole, matrix));
    left.push_back(pattern.scales);
    left.push_back(pattern.source);
  }
  remove_unread(graph, left);
  model.plan.dynamic_form = DynamicForm::integer_operators;
  return {};
}

void absorb_dynamic_pairs(QuantizedGraph& model) {
  Graph& graph = model.graph;
  const auto producers = graph.producers();
  const bool has_other_form = !model.plan.overrides.empty();
  std::vector<NodeId> left;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = graph.node(id);
    if (!node.alive || node.input(0) == ValueId::none) continue;
    if (!node.is("Conv") && !node.is("Gemm") && !node.is("MatMul")) continue;
    const auto* weight = node.input(1) == ValueId::none ? nullptr : model.plan.find(node.input(1));
    if (weight == nullptr || weight->scheme.bits > 8 || !has_zero_points_of_zero(*weight)) continue;
    const auto dequantize = producers[index(node.input(0))];
    if (dequantize == NodeId::none || !graph.node(dequantize).is("DequantizeLinear")) continue;
    const Node& real = graph.node(dequantize);
    const auto source =
        real.input(0) == ValueId::none ? NodeId::none : producers[index(real.input(0))];
    if (source == NodeId::none || !graph.node(source).is("DynamicQuantizeLinear")) continue;
    const Node& run_time = graph.node(source);
    if (run_time.outputs.size() != 3 || real.inputs.size() != 3) continue;
    if (!std::equal(real.inputs.begin(), real.inputs.end(), run_time.outputs.begin())) continue;
    graph.node(id).inputs[0] = run_time.input(0);
    model.plan.overrides[{id, 0}] = dynamic_quantization();
    left.push_back(dequantize);
    left.push_back(source);
  }
  if (left.empty()) return;
  std::stable_partition(left.begin(), left.end(),
                        [&](NodeId id) { return graph.node(id).is("DequantizeLinear"); });
  remove_unread(graph, left);
  if (!has_other_form) model.plan.dynamic_form = DynamicForm::qdq;
}

}  // namespace octet::onnx

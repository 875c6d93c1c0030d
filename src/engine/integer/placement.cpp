#include "engine/integer/placement.h"

#include <algorithm>
#include <array>
#include <limits>

#include "arithmetic/quantize.h"
#include "engine/float/float_op.h"

namespace octet {
namespace {

constexpr std::array<std::string_view, 22> unary_ops = {
    "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu",
    "Selu", "Celu", "Softplus",  "Erf",     "Abs",         "Neg",       "Exp",  "Sqrt",
    "Gelu", "Mish", "Swish",     "Floor",   "Softsign",    "Reciprocal"};
constexpr std::array<std::string_view, 8> move_ops = {
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout", "Slice"};

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

/// Bounds of a Relu, or of a Clip whose bounds are constants.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

std::optional<Bounds> activation_bounds(const Graph& graph, const Node& node) {
  if (node.is("Relu")) return Bounds{0, std::numeric_limits<float>::infinity()};
  if (!node.is("Clip")) return std::nullopt;
  Bounds bounds;
  for (std::size_t i = 1; i <= 2; ++i) {
    if (node.input(i) == ValueId::none) continue;
    const auto* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->dtype() != DType::f32 || constant->size() != 1) {
      return std::nullopt;
    }
    (i == 1 ? bounds.low : bounds.high) = constant->data<float>()[0];
  }
  // ONNX: where min exceeds max, the result is max.
  bounds.low = std::min(bounds.low, bounds.high);
  return bounds;
}

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
      place(id, placement);
    }
    return std::move(result_);
  }

 private:
  void place(NodeId id, NodePlacement& placement) {
    const Node& node = graph_.node(id);
    const Role role = candidate(id, placement.reason);
    if (role == Role::floating) return;
    const bool may_fuse = role == Role::accumulate || role == Role::binary || role == Role::average;
    if (may_fuse && fuse(node, placement)) {
      placement.role = role;
      return;
    }
    const auto* output = model_.plan.find(node.output());
    if (!is_coded(output)) {
      placement.reason =
          output == nullptr ? "its output is not quantized" : "its output is not 8-bit per-tensor";
      return;
    }
    placement.role = role;
    placement.low = static_cast<std::int32_t>(output->scheme.qmin());
    placement.high = static_cast<std::int32_t>(output->scheme.qmax());
  }

  /// Lets the node compute the Relu or Clip that alone reads its unquantized output.
  bool fuse(const Node& node, NodePlacement& placement) {
    const auto value = node.output();
    const auto& readers = uses_[index(value)];
    if (model_.plan.find(value) != nullptr || graph_.is_output(value)) return false;
    if (readers.size() != 1 || readers[0].input != 0) return false;
    if (model_.plan.overrides.contains(readers[0])) return false;
    const Node& activation = graph_.node(readers[0].node);
    const auto bounds = activation_bounds(graph_, activation);
    const auto* output = model_.plan.find(activation.output());
    if (!bounds || !is_coded(output)) return false;
    const auto qmin = static_cast<std::int32_t>(output->scheme.qmin());
    const auto qmax = static_cast<std::int32_t>(output->scheme.qmax());
    const float scale = output->params.scale[0];
    const std::int32_t zero_point = output->params.zero_point[0];
    placement.output = activation.output();
    placement.low = quantize_value(bounds->low, scale, zero_point, qmin, qmax);
    placement.high = quantize_value(bounds->high, scale, zero_point, qmin, qmax);
    result_[index(readers[0].node)].role = Role::absorbed;
    return true;
  }

  [[nodiscard]] bool coded_input(NodeId id, int input) const {
    return is_coded(model_.plan.find(graph_, {id, input}));
  }
  /// A quantized value that is computed at run time.
  [[nodiscard]] bool coded_activation(NodeId id, int input) const {
    const auto value = graph_.node(id).input(static_cast<std::size_t>(input));
    return graph_.constant(value) == nullptr && coded_input(id, input);
  }
  [[nodiscard]] int rank(ValueId value) const {
    if (value == ValueId::none || !graph_.value(value).shape) return -1;
    return static_cast<int>(graph_.value(value).shape->size());
  }

  Role candidate(NodeId id, std::string& reason) const {
    const Node& node = graph_.node(id);
    if (!node.domain.empty() || node.inputs.empty()) return Role::floating;
    if (node.is("Conv") || node.is("Gemm") || node.is("MatMul")) return accumulate(id, reason);
    if (node.is("Add") || node.is("Sub") || node.is("Mul")) return binary(id, reason);
    if (node.is("Concat")) return join(id, reason);
    if (!coded_activation(id, 0)) return Role::floating;
    if (node.is("AveragePool") || node.is("GlobalAveragePool") || node.is("MaxPool")) {
      if (rank(node.input(0)) != 4 || node.outputs.size() != 1) {
        reason = "only pooling of images with one output runs in integers";
        return Role::floating;
      }
      return node.is("MaxPool") ? Role::maximum : Role::average;
    }
    if (is_one_of(node, unary_ops)) return unary(node, reason);
    if (is_one_of(node, move_ops) || node.is("Pad")) return move(node, reason);
    return Role::floating;
  }

  Role accumulate(NodeId id, std::string& reason) const {
    if (!coded_activation(id, 0)) {
      reason = "its input is not quantized to 8 bits";
      return Role::floating;
    }
    const auto layer = accumulate_layer(model_, id);
    if (layer) return Role::accumulate;
    reason = layer.error().message;
    return Role::floating;
  }

  Role binary(NodeId id, std::string& reason) const {
    const Node& node = graph_.node(id);
    if (!coded_input(id, 0) || !coded_input(id, 1)) return Role::floating;
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
      if (rank(node.input(i)) < 0 || rank(node.input(i)) > 4) {
        reason = "its inputs have an unknown rank or more than four dimensions";
        return Role::floating;
      }
    }
    return Role::binary;
  }

  Role join(NodeId id, std::string& reason) const {
    const Node& node = graph_.node(id);
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (!coded_input(id, i)) {
        reason = "not all its inputs are quantized to 8 bits";
        return Role::floating;
      }
    }
    return Role::join;
  }

  Role unary(const Node& node, std::string& reason) const {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != ValueId::none && graph_.constant(node.inputs[i]) == nullptr) {
        reason = "its parameters are not constant";
        return Role::floating;
      }
    }
    return float_op_supported(node) ? Role::lookup : Role::floating;
  }

  Role move(const Node& node, std::string& reason) const {
    if (node.outputs.size() != 1) {
      reason = "its second output is used";
      return Role::floating;
    }
    if (!node.is("Slice") && !node.is("Pad")) return Role::move;
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != ValueId::none && graph_.constant(node.inputs[i]) == nullptr) {
        reason = "its extents are not constant";
        return Role::floating;
      }
    }
    if (node.is("Pad") && node.string_attribute("mode", "constant") != "constant") {
      reason = "only constant padding runs in integers";
      return Role::floating;
    }
    return Role::move;
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
  if (model.plan.rule != Rule::onnx) {
    return fail(ErrorKind::usage, "rule {} is not implemented; this engine computes rule onnx",
                name(model.plan.rule));
  }
  return Placer(model).run();
}

}  // namespace octet

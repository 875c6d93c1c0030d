#include "engine/integer/placement_rules.h"

#include <algorithm>
#include <array>

#include "engine/float/float_op.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/openvino_placement.h"
#include "engine/integer/wide_placement.h"
#include "engine/integer/wide_values.h"
#include "graph/litert_attributes.h"

namespace octet {
namespace {

constexpr auto unary_ops = std::to_array<std::string_view>(
    {"Relu", "Clip",  "LeakyRelu", "Sigmoid",    "HardSigmoid",    "HardSwish",
     "Tanh", "Elu",   "Selu",      "Celu",       "Softplus",       "Erf",
     "Abs",  "Neg",   "Exp",       "Log",        "Sqrt",           "Gelu",
     "Mish", "Swish", "Floor",     "Ceil",       "Round",          "Sign",
     "Sin",  "Cos",   "Softsign",  "Reciprocal", "ThresholdedRelu"});
/// Functions of two operands that are functions of one where the other is a constant number.
constexpr auto scalar_ops =
    std::to_array<std::string_view>({"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "PRelu"});
/// Every output element is an input element (or, for Pad, the fill value).
constexpr auto move_ops = std::to_array<std::string_view>(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout", "Slice",
     "Pad", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Resize", "Gather", "GatherElements",
     "GatherND"});

template <std::size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& ops) {
  return node.domain.empty() && std::find(ops.begin(), ops.end(), node.op) != ops.end();
}

class Rules {
 public:
  Rules(const QuantizedGraph& model, NodeId id)
      : model_(model),
        graph_(model.graph),
        id_(id),
        node_(graph_.node(id)),
        litert_(is_litert(model.plan.rule)) {}

  void propose(NodePlacement& placement) const {
    if (!node_.domain.empty() || node_.inputs.empty()) return;
    if (is_kept_float(node_)) {
      placement.reason = "it is kept in float";
      return;
    }
    if (node_.is("Conv") || node_.is("ConvTranspose") || node_.is("Gemm") || node_.is("MatMul")) {
      return matrix(placement);
    }
    if (is_wide_node(model_, id_)) {
      placement.role = Role::wide;
      placement.input = InputForm::wide;
      placement.form = OutputForm::wide;
      return;
    }
    placement.role = candidate(placement.reason);
    if (node_.is("Gather") && placement.role == Role::move && is_constant(0) &&
        !is_coded(model_.plan.find(node_.output()))) {
      placement.form = OutputForm::floats;  // rows of a table, dequantized
    }
  }

 private:
  [[nodiscard]] bool is_constant(std::size_t input) const {
    return graph_.constant(node_.input(input)) != nullptr;
  }
  [[nodiscard]] bool coded_input(int input) const {
    return is_coded(model_.plan.find(graph_, {id_, input}));
  }
  /// A quantized value that is computed at run time.
  [[nodiscard]] bool coded_activation(int input) const {
    return !is_constant(static_cast<std::size_t>(input)) && coded_input(input);
  }
  [[nodiscard]] int rank(ValueId value) const {
    if (value == ValueId::none || !graph_.value(value).shape) return -1;
    return static_cast<int>(graph_.value(value).shape->size());
  }

  Role candidate(std::string& reason) const {
    if (is_binary() && coded_input(0) && coded_input(1)) return binary(reason);
    if (is_openvino_sum(model_, id_)) return Role::sum;
    if (is_one_of(node_, scalar_ops)) return with_number();
    if (node_.is("Concat")) return join(reason);
    if (node_.is("Gather") && coded_input(0)) return move(reason);
    if (!coded_activation(0)) return Role::floating;
    if (node_.is("AveragePool") || node_.is("MaxPool")) {
      if (rank(node_.input(0)) == 4 && node_.outputs.size() == 1) {
        return node_.is("MaxPool") ? Role::maximum : Role::average;
      }
      reason = "only pooling of images with one output runs in integers";
      return Role::floating;
    }
    if (node_.is("GlobalAveragePool") || node_.is("ReduceMean") || node_.is("GlobalMaxPool") ||
        node_.is("ReduceMax") || (litert_ && node_.is("ReduceSum"))) {
      return reduction(reason);
    }
    if (litert_ && litert_softmax_kind(model_, node_)) return softmax();
    if (litert_ && is_litert_resample(graph_, node_) &&
        follows_from_shapes(graph_, node_.input(3))) {
      return Role::resample;
    }
    if (is_one_of(node_, unary_ops)) return unary(reason);
    if (node_.is("Split")) return split(reason);
    if (is_one_of(node_, move_ops)) return move(reason);
    return Role::floating;
  }

  /// 16-bit codes by rules tflite and xnnpack.
  void wide_matrix(NodePlacement& placement) const {
    placement.input = InputForm::wide;
    placement.form = OutputForm::wide;
    if (node_.is("MatMul") && (rank(node_.input(0)) < 2 || rank(node_.input(1)) < 2)) {
      placement.reason = "an operand is no matrix or has an unknown rank";
      return;
    }
    if (node_.is("MatMul") && is_wide(model_.plan.find(graph_, {id_, 1}))) {
      placement.role = Role::product;
      return;
    }
    const auto layer = accumulate_layer(model_, id_, placement);
    if (!layer) {
      placement.reason = layer.error().message;
    } else if (!layer->weight_zero_point.empty()) {
      placement.reason = "its weight has a zero point other than 0";
    } else if (!layer->float_bias.empty()) {
      placement.reason = "its bias is not quantized";
    } else if (wide_sum_bound(*layer) > INT32_MAX) {
      placement.reason = "the sums of its 16-bit codes are too large";
    } else {
      placement.role = Role::accumulate;
    }
  }

  void matrix(NodePlacement& placement) const {
    const auto* input = model_.plan.find(graph_, {id_, 0});
    if (is_litert(model_.plan.rule) && is_wide(input) && !is_constant(0)) {
      return wide_matrix(placement);
    }
    placement.input =
        input != nullptr && is_dynamic(*input) ? InputForm::dynamic : InputForm::coded;
    if (placement.input == InputForm::coded && !coded_activation(0) &&
        !(node_.is("MatMul") && coded_activation(1))) {
      // Where nothing at all is quantized, nobody expects integers.
      const bool weights = model_.plan.find(graph_, {id_, 1}) != nullptr;
      if (input != nullptr || weights) placement.reason = "its input is not quantized to 8 bits";
      return;
    }
    if (node_.is("MatMul") && (rank(node_.input(0)) < 2 || rank(node_.input(1)) < 2)) {
      placement.reason = "an operand is no matrix or has an unknown rank";
      return;
    }
    if (const auto layer = accumulate_layer(model_, id_, placement); layer && !is_constant(0)) {
      placement.role = Role::accumulate;
      const bool floats = placement.input == InputForm::dynamic ||
                          (model_.plan.rule != Rule::openvino && !layer->float_bias.empty());
      if (floats && !layer->weight_zero_point.empty()) {
        placement.role = Role::floating;
        placement.reason = "its weight has a zero point other than 0";
        return;
      }
      placement.form = floats ? OutputForm::floats : OutputForm::codes;
      return;
    } else if (!layer) {
      placement.reason = layer.error().message;
    }
    if (placement.input == InputForm::coded && node_.is("MatMul") && coded_input(0) &&
        coded_input(1)) {
      placement.role = Role::product;
    }
  }

  /// LiteRT has no Div of int8, but a PRelu of two coded values.
  [[nodiscard]] bool is_binary() const {
    return node_.is("Add") || node_.is("Sub") || node_.is("Mul") ||
           node_.is(litert_ ? "PRelu" : "Div");
  }

  Role softmax() const { return rank(node_.input(0)) > 0 ? Role::softmax : Role::floating; }

  Role binary(std::string& reason) const {
    if (rank(node_.input(0)) >= 0 && rank(node_.input(1)) >= 0) return Role::binary;
    reason = "the rank of an input is not known";
    return Role::floating;
  }

  /// One quantized value and one constant number.
  Role with_number() const {
    if (node_.inputs.size() != 2 || node_.outputs.size() != 1) return Role::floating;
    const int value = coded_activation(0) ? 0 : 1;
    const auto number = static_cast<std::size_t>(1 - value);
    if (!coded_activation(value) || !is_constant(number)) return Role::floating;
    const Tensor& constant = *graph_.constant(node_.input(number));
    const int value_rank = rank(node_.input(static_cast<std::size_t>(value)));
    if (constant.size() != 1 || constant.rank() > value_rank) return Role::floating;
    return float_op_supported(node_) ? Role::lookup : Role::floating;
  }

  Role join(std::string& reason) const {
    for (int i = 0; i < static_cast<int>(node_.inputs.size()); ++i) {
      if (coded_input(i)) continue;
      reason = "not all its inputs are quantized to 8 bits";
      return Role::floating;
    }
    return Role::join;
  }

  Role reduction(std::string& reason) const {
    if (reduced_axes(graph_, node_, rank(node_.input(0)))) {
      return node_.is("GlobalMaxPool") || node_.is("ReduceMax") ? Role::maximum : Role::average;
    }
    reason = "its axes are not constant or not next to each other";
    return Role::floating;
  }

  [[nodiscard]] bool others_constant() const {
    for (std::size_t i = 1; i < node_.inputs.size(); ++i) {
      if (node_.inputs[i] != ValueId::none && !is_constant(i)) return false;
    }
    return true;
  }

  Role unary(std::string& reason) const {
    if (others_constant()) return float_op_supported(node_) ? Role::lookup : Role::floating;
    reason = "its parameters are not constant";
    return Role::floating;
  }

  Role split(std::string& reason) const {
    for (const auto output : node_.outputs) {
      if (output != ValueId::none && is_coded(model_.plan.find(output))) continue;
      reason = "not all its outputs are quantized to 8 bits";
      return Role::floating;
    }
    return Role::split;
  }

  Role move(std::string& reason) const {
    if (node_.outputs.size() != 1) {
      reason = "its second output is used";
      return Role::floating;
    }
    if ((node_.is("Slice") || node_.is("Pad")) && !others_constant()) {
      reason = "its extents are not constant";
      return Role::floating;
    }
    if (node_.is("Pad") && node_.string_attribute("mode", "constant") != "constant") {
      reason = "only constant padding runs in integers";
      return Role::floating;
    }
    if (node_.is("Resize") && (node_.string_attribute("mode", "nearest") != "nearest" ||
                               node_.string_attribute("coordinate_transformation_mode",
                                                      "half_pixel") == "tf_crop_and_resize")) {
      reason = "only resizing to nearest neighbours runs in integers";
      return Role::floating;
    }
    return Role::move;
  }

  const QuantizedGraph& model_;
  const Graph& graph_;
  NodeId id_;
  const Node& node_;
  bool litert_;
};

}  // namespace

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

void propose_role(const QuantizedGraph& model, NodeId id, NodePlacement& placement) {
  Rules(model, id).propose(placement);
}

std::optional<int> bias_input(const QuantizedGraph& model, const Node& add, ValueId value,
                              std::int64_t channels) {
  if (!add.is("Add") || add.inputs.size() != 2 || add.inputs[0] == add.inputs[1]) {
    return std::nullopt;
  }
  const int position = add.inputs[0] == value ? 1 : 0;
  const Tensor* constant = model.graph.constant(add.inputs[static_cast<std::size_t>(position)]);
  const auto& shape = model.graph.value(value).shape;
  if (constant == nullptr || constant->dtype() != DType::f32 || !shape || shape->empty() ||
      constant->rank() < 1 || constant->rank() > static_cast<int>(shape->size()) ||
      constant->size() != channels || constant->dim(constant->rank() - 1) != channels) {
    return std::nullopt;
  }
  return position;
}

std::optional<std::vector<int>> constant_axes(const Graph& graph, const Node& node, int rank) {
  std::vector<int> axes;
  if (node.is("GlobalAveragePool") || node.is("GlobalMaxPool")) {
    for (int axis = 2; axis < rank; ++axis) axes.push_back(axis);
  } else {
    std::vector<std::int64_t> given = node.ints_attribute("axes");
    if (node.input(1) != ValueId::none) {
      const Tensor* constant = graph.constant(node.input(1));
      if (constant == nullptr) return std::nullopt;
      auto values = to_int64(*constant);
      if (!values) return std::nullopt;
      given = *values;
    }
    for (const auto axis : given) {
      const auto normal = normalize_axis(axis, static_cast<std::size_t>(std::max(rank, 0)));
      if (!normal) return std::nullopt;
      axes.push_back(*normal);
    }
    std::sort(axes.begin(), axes.end());
  }
  const bool repeated = std::adjacent_find(axes.begin(), axes.end()) != axes.end();
  if (rank < 1 || axes.empty() || repeated) return std::nullopt;
  return axes;
}

std::optional<std::vector<int>> reduced_axes(const Graph& graph, const Node& node, int rank) {
  auto axes = constant_axes(graph, node, rank);
  if (!axes || axes->back() - axes->front() + 1 != static_cast<int>(axes->size())) {
    return std::nullopt;
  }
  return axes;
}

}  // namespace octet

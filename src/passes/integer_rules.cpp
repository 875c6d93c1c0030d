#include "passes/integer_rules.h"

#include <algorithm>
#include <cmath>

#include "passes/litert.h"

namespace octet {
namespace {

/// Products to a sum: with more, weight codes would have to stay below 8 to be sure of int32.
constexpr std::int64_t depth_limit = std::int64_t{1} << 20;

/// Computes with two operands of the same standing.
bool is_binary(const Node& node) {
  return node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Max") || node.is("Min");
}

int rank_of(const Graph& graph, ValueId id) {
  const auto& shape = graph.value(id).shape;
  return shape ? static_cast<int>(shape->size()) : -1;
}

std::string weight_reason(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  if (weight == nullptr) return "its weights are not constant";
  if (weight->dtype() != DType::f32) return "its weights are not f32";
  if (weight->size() == 0) return "its weights are empty";
  if (node.is("Conv")) {
    const bool known = weight->rank() == 3 || weight->rank() == 4;
    return known ? "" : "only 1-D and 2-D convolutions run in integers";
  }
  if (node.is("ConvTranspose")) {
    return weight->rank() == 4 ? "" : "only 2-D transposed convolutions run in integers";
  }
  return weight->rank() == 2 ? "" : "its weight is not a matrix";
}

std::string bias_reason(const Graph& graph, const Node& node, std::int64_t channels) {
  if (node.input(2) == ValueId::none) return "";
  const Tensor* bias = graph.constant(node.input(2));
  if (bias == nullptr) return "its bias is not constant";
  if (bias->dtype() != DType::f32) return "its bias is not f32";
  const bool row = bias->rank() == 1 || (bias->rank() == 2 && bias->dim(0) == 1);
  return row && bias->size() == channels ? "" : "its bias is broadcast";
}

std::string product_reason(const Graph& graph, const Node& node) {
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const int rank = rank_of(graph, node.input(i));
    if (rank < 2 || rank > 4) return "its inputs are neither matrices nor batches of them";
  }
  return "";
}

/// A code for what masks hold leaves none for the values between.
std::string constant_range_reason(const Graph& graph, const Node& node) {
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr) continue;
    for (const float value : constant->values<float>()) {
      if (std::abs(value) >= mask_limit) {
        return fmt::format("its constant {} holds {}", graph.value(node.input(i)).name, value);
      }
    }
  }
  return "";
}

std::string accumulate_reason(const Graph& graph, const Node& node) {
  if (auto reason = weight_reason(graph, node); !reason.empty()) return reason;
  if (node.is("MatMul")) {
    const int rank = rank_of(graph, node.input(0));
    return rank >= 2 && rank <= 4 ? "" : "its input is neither a matrix nor a batch of them";
  }
  if (node.is("Gemm") &&
      (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
       node.int_attribute("transA", 0) != 0)) {
    return "alpha, beta or transA is set";
  }
  const Tensor& weight = *graph.constant(node.input(1));
  const bool convolves = node.is("Conv") || node.is("ConvTranspose");
  if (convolves && rank_of(graph, node.input(0)) != weight.rank()) {
    return "its input has not the rank of its weights";
  }
  const std::int64_t channels = weight.dim(output_channel_axis(node));
  if (weight.size() / channels > depth_limit) {
    return fmt::format("it sums {} products, too many for int32 and weights of useful precision",
                       weight.size() / channels);
  }
  const auto groups = node.is("ConvTranspose") ? node.int_attribute("group", 1) : 1;
  return bias_reason(graph, node, channels * groups);
}

std::string pad_reason(const Graph& graph, const Node& node) {
  if (node.string_attribute("mode", "constant") != "constant") {
    return "only constant padding runs in integers";
  }
  if (node.input(2) == ValueId::none) return "";
  const Tensor* fill = graph.constant(node.input(2));
  const bool zero = fill != nullptr && fill->dtype() == DType::f32 && fill->size() == 1 &&
                    fill->data<float>()[0] == 0.0F;
  return zero ? "" : "it pads with something else than the constant 0";
}

std::string constant_parameters_reason(const Graph& graph, const Node& node) {
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != ValueId::none && graph.constant(node.inputs[i]) == nullptr) {
      return "its parameters are not constant";
    }
  }
  return "";
}

std::string type_reason(const Graph& graph, const Node& node) {
  for (const int i : data_inputs(graph, node)) {
    const auto id = node.input(static_cast<std::size_t>(i));
    if (id == ValueId::none) return "it lacks an input";
    const Value& value = graph.value(id);
    if (value.dtype != DType::f32) return "input " + value.name + " is not f32";
    if (const Tensor* constant = graph.constant(id); constant != nullptr && constant->size() == 0) {
      return "input " + value.name + " is empty";
    }
  }
  if (node.is("Split")) return "";
  const auto others =
      std::count_if(node.outputs.begin() + (node.outputs.empty() ? 0 : 1), node.outputs.end(),
                    [](auto id) { return id != ValueId::none; });
  return others > 0 ? "it has more than one output" : "";
}

}  // namespace

const IntegerOp* find_integer_op(const TargetProfile& target, const Node& node) {
  if (!node.domain.empty()) return nullptr;
  const auto it = std::find_if(target.ops.begin(), target.ops.end(),
                               [&](const IntegerOp& entry) { return entry.op == node.op; });
  return it == target.ops.end() ? nullptr : &*it;
}

std::vector<int> data_inputs(const Graph& graph, const Node& node) {
  if (node.is("Concat")) {
    std::vector<int> all(node.inputs.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    return all;
  }
  if (is_binary(node)) return {0, 1};
  if (node.is("MatMul") && graph.constant(node.input(1)) == nullptr) return {0, 1};
  return {0};
}

IntegerKind refined_kind(const Graph& graph, const Node& node, IntegerKind kind) {
  const bool product = node.is("MatMul") && graph.constant(node.input(1)) == nullptr;
  return product ? IntegerKind::product : kind;
}

bool looks_up_table(const Graph& graph, const Node& node) {
  if (!node.is("Gather")) return false;
  const Tensor* table = graph.constant(node.input(0));
  return table != nullptr && table->dtype() == DType::f32 && table->bytes() >= min_table_bytes &&
         graph.constant(node.input(1)) == nullptr;
}

int bias_input(const Graph& graph, const Node& add, std::int64_t channels) {
  if (!add.is("Add")) return -1;
  for (const int i : {0, 1}) {
    const Tensor* row = graph.constant(add.input(static_cast<std::size_t>(i)));
    if (row == nullptr || row->dtype() != DType::f32 || row->size() != channels) continue;
    const int rank = rank_of(graph, add.input(static_cast<std::size_t>(1 - i)));
    if (row->rank() >= 1 && row->rank() <= rank && row->dim(row->rank() - 1) == channels) return i;
  }
  return -1;
}

std::string float_reason(const Graph& graph, const Node& node, const TargetProfile& target) {
  if (auto reason = type_reason(graph, node); !reason.empty()) return reason;
  if (target.litert) {
    if (auto reason = litert_reason(graph, node); !reason.empty()) return reason;
  }
  if (node.is("MatMul") && graph.constant(node.input(1)) == nullptr) {
    return product_reason(graph, node);
  }
  if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul")) {
    return accumulate_reason(graph, node);
  }
  if (is_binary(node)) {
    if (node.inputs.size() != 2) return "it has not two operands";
    const int largest = std::max(rank_of(graph, node.input(0)), rank_of(graph, node.input(1)));
    if (largest > 4) return "it has more than four dimensions";
    return constant_range_reason(graph, node);
  }
  if (node.is("MaxPool") || node.is("AveragePool") || node.is("GlobalAveragePool") ||
      node.is("GlobalMaxPool")) {
    // As a file for LiteRT has them, sequences are images of one row.
    const bool sequence = target.litert && !node.is("AveragePool");
    const int rank = rank_of(graph, node.input(0));
    return rank == 4 || (sequence && rank == 3) ? "" : "its input is not an image";
  }
  if (node.is("Clip") && !activation_limits(graph, node)) return "its bounds are not constant";
  if (node.is("Pad")) {
    if (auto reason = pad_reason(graph, node); !reason.empty()) return reason;
    return constant_parameters_reason(graph, node);
  }
  if (node.is("Resize") && !target.litert &&
      node.string_attribute("mode", "nearest") != "nearest") {
    return "it interpolates";
  }
  if (node.is("Gather") && graph.constant(node.input(0)) != nullptr) {
    return looks_up_table(graph, node) ? "" : "its table is small";
  }
  const bool shaped = node.is("Slice") || node.is("Resize") || node.is("Tile") ||
                      node.is("Split") || node.is("PRelu") || node.is("ReduceMean") ||
                      node.is("ReduceSum") || node.is("ReduceMax");
  return shaped ? constant_parameters_reason(graph, node) : "";
}

int output_channel_axis(const Node& node) {
  if (node.is("Conv")) return 0;
  return node.is("Gemm") && node.int_attribute("transB", 0) != 0 ? 0 : 1;
}

std::optional<ActivationBounds> activation_limits(const Graph& graph, const Node& node) {
  ActivationBounds bounds;
  if (node.is("Relu")) {
    bounds.low = 0;
    return bounds;
  }
  if (!node.is("Clip")) return std::nullopt;
  for (std::size_t i = 1; i <= 2; ++i) {
    if (node.input(i) == ValueId::none) continue;
    const Tensor* constant = graph.constant(node.input(i));
    if (constant == nullptr || constant->dtype() != DType::f32 || constant->size() != 1) {
      return std::nullopt;
    }
    (i == 1 ? bounds.low : bounds.high) = constant->data<float>()[0];
  }
  // ONNX: where min exceeds max, the result is max.
  bounds.low = std::min(bounds.low, bounds.high);
  return bounds;
}

}  // namespace octet

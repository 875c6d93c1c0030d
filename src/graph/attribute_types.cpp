#include "graph/attribute_types.h"

#include <array>
#include <cstddef>

namespace octet {
namespace {

using Kind = AttributeKind;
using Need = AttributeNeed;

constexpr auto types = std::to_array<AttributeType>({
    {"ArgMax", "axis", Kind::integer},
    {"ArgMax", "keepdims", Kind::integer},
    {"ArgMax", "select_last_index", Kind::integer},
    {"ArgMin", "axis", Kind::integer},
    {"ArgMin", "keepdims", Kind::integer},
    {"ArgMin", "select_last_index", Kind::integer},
    {"AveragePool", "auto_pad", Kind::text},
    {"AveragePool", "ceil_mode", Kind::integer},
    {"AveragePool", "count_include_pad", Kind::integer},
    {"AveragePool", "dilations", Kind::integers},
    {"AveragePool", "kernel_shape", Kind::integers, Need::required},
    {"AveragePool", "pads", Kind::integers},
    {"AveragePool", "strides", Kind::integers},
    {"BatchNormalization", "epsilon", Kind::real},
    {"BatchNormalization", "momentum", Kind::real},
    {"BatchNormalization", "training_mode", Kind::integer},
    {"Cast", "saturate", Kind::integer},
    {"Cast", "to", Kind::integer, Need::required},
    {"Celu", "alpha", Kind::real},
    {"Concat", "axis", Kind::integer, Need::required},
    {"Constant", "value", Kind::tensor},
    {"Constant", "value_float", Kind::real},
    {"Constant", "value_floats", Kind::reals},
    {"Constant", "value_int", Kind::integer},
    {"Constant", "value_ints", Kind::integers},
    {"Constant", "value_string", Kind::text},
    {"Constant", "value_strings", Kind::texts},
    {"ConstantOfShape", "value", Kind::tensor},
    {"Conv", "auto_pad", Kind::text},
    {"Conv", "dilations", Kind::integers},
    {"Conv", "group", Kind::integer},
    {"Conv", "kernel_shape", Kind::integers},
    {"Conv", "pads", Kind::integers},
    {"Conv", "strides", Kind::integers},
    {"ConvInteger", "auto_pad", Kind::text},
    {"ConvInteger", "dilations", Kind::integers},
    {"ConvInteger", "group", Kind::integer},
    {"ConvInteger", "kernel_shape", Kind::integers},
    {"ConvInteger", "pads", Kind::integers},
    {"ConvInteger", "strides", Kind::integers},
    {"ConvTranspose", "auto_pad", Kind::text},
    {"ConvTranspose", "dilations", Kind::integers},
    {"ConvTranspose", "group", Kind::integer},
    {"ConvTranspose", "kernel_shape", Kind::integers},
    {"ConvTranspose", "output_padding", Kind::integers},
    {"ConvTranspose", "output_shape", Kind::integers},
    {"ConvTranspose", "pads", Kind::integers},
    {"ConvTranspose", "strides", Kind::integers},
    {"CumSum", "exclusive", Kind::integer},
    {"CumSum", "reverse", Kind::integer},
    {"DepthToSpace", "blocksize", Kind::integer, Need::required},
    {"DepthToSpace", "mode", Kind::text},
    {"DequantizeLinear", "axis", Kind::integer},
    {"DequantizeLinear", "block_size", Kind::integer},
    {"Dropout", "seed", Kind::integer},
    {"Einsum", "equation", Kind::text, Need::required},
    {"Elu", "alpha", Kind::real},
    {"Flatten", "axis", Kind::integer},
    {"GRU", "activation_alpha", Kind::reals},
    {"GRU", "activation_beta", Kind::reals},
    {"GRU", "activations", Kind::texts},
    {"GRU", "clip", Kind::real},
    {"GRU", "direction", Kind::text},
    {"GRU", "hidden_size", Kind::integer},
    {"GRU", "layout", Kind::integer},
    {"GRU", "linear_before_reset", Kind::integer},
    {"Gather", "axis", Kind::integer},
    {"GatherElements", "axis", Kind::integer},
    {"GatherND", "batch_dims", Kind::integer},
    {"Gelu", "approximate", Kind::text},
    {"Gemm", "alpha", Kind::real},
    {"Gemm", "beta", Kind::real},
    {"Gemm", "transA", Kind::integer},
    {"Gemm", "transB", Kind::integer},
    {"GroupNormalization", "epsilon", Kind::real},
    {"GroupNormalization", "num_groups", Kind::integer, Need::required},
    {"GroupNormalization", "stash_type", Kind::integer},
    {"HardSigmoid", "alpha", Kind::real},
    {"HardSigmoid", "beta", Kind::real},
    {"InstanceNormalization", "epsilon", Kind::real},
    {"LSTM", "activation_alpha", Kind::reals},
    {"LSTM", "activation_beta", Kind::reals},
    {"LSTM", "activations", Kind::texts},
    {"LSTM", "clip", Kind::real},
    {"LSTM", "direction", Kind::text},
    {"LSTM", "hidden_size", Kind::integer},
    {"LSTM", "input_forget", Kind::integer},
    {"LSTM", "layout", Kind::integer},
    {"LayerNormalization", "axis", Kind::integer},
    {"LayerNormalization", "epsilon", Kind::real},
    {"LayerNormalization", "stash_type", Kind::integer},
    {"LeakyRelu", "alpha", Kind::real},
    {"LogSoftmax", "axis", Kind::integer},
    {"MaxPool", "auto_pad", Kind::text},
    {"MaxPool", "ceil_mode", Kind::integer},
    {"MaxPool", "dilations", Kind::integers},
    {"MaxPool", "kernel_shape", Kind::integers, Need::required},
    {"MaxPool", "pads", Kind::integers},
    {"MaxPool", "storage_order", Kind::integer},
    {"MaxPool", "strides", Kind::integers},
    {"Mod", "fmod", Kind::integer},
    {"OneHot", "axis", Kind::integer},
    {"Pad", "mode", Kind::text},
    {"QLinearConv", "auto_pad", Kind::text},
    {"QLinearConv", "dilations", Kind::integers},
    {"QLinearConv", "group", Kind::integer},
    {"QLinearConv", "kernel_shape", Kind::integers},
    {"QLinearConv", "pads", Kind::integers},
    {"QLinearConv", "strides", Kind::integers},
    {"QuantizeLinear", "axis", Kind::integer},
    {"QuantizeLinear", "block_size", Kind::integer},
    {"QuantizeLinear", "output_dtype", Kind::integer},
    {"QuantizeLinear", "saturate", Kind::integer},
    {"ReduceL1", "axes", Kind::integers},
    {"ReduceL1", "keepdims", Kind::integer},
    {"ReduceL1", "noop_with_empty_axes", Kind::integer},
    {"ReduceL2", "axes", Kind::integers},
    {"ReduceL2", "keepdims", Kind::integer},
    {"ReduceL2", "noop_with_empty_axes", Kind::integer},
    {"ReduceMax", "axes", Kind::integers},
    {"ReduceMax", "keepdims", Kind::integer},
    {"ReduceMax", "noop_with_empty_axes", Kind::integer},
    {"ReduceMean", "axes", Kind::integers},
    {"ReduceMean", "keepdims", Kind::integer},
    {"ReduceMean", "noop_with_empty_axes", Kind::integer},
    {"ReduceMin", "axes", Kind::integers},
    {"ReduceMin", "keepdims", Kind::integer},
    {"ReduceMin", "noop_with_empty_axes", Kind::integer},
    {"ReduceProd", "axes", Kind::integers},
    {"ReduceProd", "keepdims", Kind::integer},
    {"ReduceProd", "noop_with_empty_axes", Kind::integer},
    {"ReduceSum", "axes", Kind::integers},
    {"ReduceSum", "keepdims", Kind::integer},
    {"ReduceSum", "noop_with_empty_axes", Kind::integer},
    {"ReduceSumSquare", "axes", Kind::integers},
    {"ReduceSumSquare", "keepdims", Kind::integer},
    {"ReduceSumSquare", "noop_with_empty_axes", Kind::integer},
    {"Reshape", "allowzero", Kind::integer},
    {"Resize", "antialias", Kind::integer},
    {"Resize", "axes", Kind::integers},
    {"Resize", "coordinate_transformation_mode", Kind::text},
    {"Resize", "cubic_coeff_a", Kind::real},
    {"Resize", "exclude_outside", Kind::integer},
    {"Resize", "extrapolation_value", Kind::real},
    {"Resize", "keep_aspect_ratio_policy", Kind::text},
    {"Resize", "mode", Kind::text},
    {"Resize", "nearest_mode", Kind::text},
    {"ScatterElements", "axis", Kind::integer},
    {"ScatterElements", "reduction", Kind::text},
    {"ScatterND", "reduction", Kind::text},
    {"Selu", "alpha", Kind::real},
    {"Selu", "gamma", Kind::real},
    {"Shape", "end", Kind::integer},
    {"Shape", "start", Kind::integer},
    {"Softmax", "axis", Kind::integer},
    {"SpaceToDepth", "blocksize", Kind::integer, Need::required},
    {"Split", "axis", Kind::integer},
    {"Split", "num_outputs", Kind::integer},
    {"Swish", "alpha", Kind::real},
    {"ThresholdedRelu", "alpha", Kind::real},
    {"TopK", "axis", Kind::integer},
    {"TopK", "largest", Kind::integer},
    {"TopK", "sorted", Kind::integer},
    {"Transpose", "perm", Kind::integers},
    {"Trilu", "upper", Kind::integer},
});

constexpr std::array<std::string_view, 8> kind_names{
    "an integer",        "a number",       "a string", "a list of integers",
    "a list of numbers", "a list of text", "a tensor", "opaque"};

}  // namespace

std::span<const AttributeType> attribute_types() { return types; }

Status check_attributes(const Node& node) {
  if (!node.domain.empty()) return {};
  for (const auto& type : types) {
    if (type.op != node.op) continue;
    const auto it = node.attributes.find(type.key);
    if (it == node.attributes.end()) {
      if (type.need == Need::required) return bad_input("attribute {} is missing", type.key);
      continue;
    }
    const auto found = it->second.index();
    // A list without entries carries no type in some files.
    const auto* empty_integers = std::get_if<std::vector<std::int64_t>>(&it->second);
    const bool empty_list = empty_integers != nullptr && empty_integers->empty();
    const bool is_list = type.kind == Kind::reals || type.kind == Kind::texts;
    const auto kind = static_cast<std::size_t>(type.kind);
    if (found != kind && !(empty_list && is_list)) {
      return bad_input("attribute {} is {} where {} is needed", type.key, kind_names[found],
                       kind_names[kind]);
    }
  }
  return {};
}

}  // namespace octet

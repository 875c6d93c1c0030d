#include "graph/attribute_types.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace octet {
namespace {

/// Order of the alternatives of Attribute.
enum class Kind : std::size_t { integer, real, text, integers, reals, texts, tensor };

enum class Need { optional, required };

struct AttributeType {
  std::string_view op;
  std::string_view key;
  Kind kind;
  Need need = Need::optional;
};

constexpr auto types = std::to_array<AttributeType>({
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
    {"DequantizeLinear", "axis", Kind::integer},
    {"DequantizeLinear", "block_size", Kind::integer},
    {"Dropout", "seed", Kind::integer},
    {"Flatten", "axis", Kind::integer},
    {"Gather", "axis", Kind::integer},
    {"Gemm", "alpha", Kind::real},
    {"Gemm", "beta", Kind::real},
    {"Gemm", "transA", Kind::integer},
    {"Gemm", "transB", Kind::integer},
    {"HardSigmoid", "alpha", Kind::real},
    {"HardSigmoid", "beta", Kind::real},
    {"LeakyRelu", "alpha", Kind::real},
    {"MaxPool", "auto_pad", Kind::text},
    {"MaxPool", "ceil_mode", Kind::integer},
    {"MaxPool", "dilations", Kind::integers},
    {"MaxPool", "kernel_shape", Kind::integers, Need::required},
    {"MaxPool", "pads", Kind::integers},
    {"MaxPool", "storage_order", Kind::integer},
    {"MaxPool", "strides", Kind::integers},
    {"Pad", "mode", Kind::text},
    {"QuantizeLinear", "axis", Kind::integer},
    {"QuantizeLinear", "block_size", Kind::integer},
    {"QuantizeLinear", "output_dtype", Kind::integer},
    {"QuantizeLinear", "saturate", Kind::integer},
    {"ReduceMean", "axes", Kind::integers},
    {"ReduceMean", "keepdims", Kind::integer},
    {"ReduceMean", "noop_with_empty_axes", Kind::integer},
    {"Reshape", "allowzero", Kind::integer},
    {"Shape", "end", Kind::integer},
    {"Shape", "start", Kind::integer},
    {"Softmax", "axis", Kind::integer},
    {"Transpose", "perm", Kind::integers},
});

constexpr std::array<std::string_view, 8> kind_names{
    "an integer",        "a number",       "a string", "a list of integers",
    "a list of numbers", "a list of text", "a tensor", "opaque"};

}  // namespace

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
    const auto kind = static_cast<std::size_t>(type.kind);
    if (found != kind && !(empty_list && type.kind == Kind::reals)) {
      return bad_input("attribute {} is {} where {} is needed", type.key, kind_names[found],
                       kind_names[kind]);
    }
  }
  return {};
}

}  // namespace octet

// Which operators the writer knows: the one table.

#include <algorithm>
#include <array>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

constexpr auto none = CodesTaken::none;
constexpr auto bytes = CodesTaken::bytes;
constexpr auto words = CodesTaken::words;

/// Sorted by name.
constexpr auto rules = std::to_array<OpRule>({
    {"Abs", lower_unary, bytes},
    {"Add", lower_binary, words, true},
    {"And", lower_binary},
    {"ArgMax", lower_arg},
    {"ArgMin", lower_arg},
    {"AveragePool", lower_average_pool},
    {"BatchNormalization", lower_batch_norm, none, true},
    {"Cast", lower_cast},
    {"Ceil", lower_unary},
    {"Celu", lower_elu},
    {"Clip", lower_clip, words},
    {"Concat", lower_concat, words},
    {"ConstantOfShape", lower_fill},
    {"Conv", lower_conv, words, true},
    {"ConvTranspose", lower_conv_transpose, words, true},
    {"Cos", lower_unary},
    {"CumSum", lower_cumsum},
    {"DepthToSpace", lower_depth_space},
    {"Div", lower_binary, none, true},
    {"Dropout", lower_dropout},
    {"Elu", lower_elu, bytes},
    {"Equal", lower_binary},
    {"Exp", lower_unary, words},
    {"Expand", lower_expand},
    {"Flatten", lower_reshape},
    {"Floor", lower_unary},
    {"Gather", lower_gather},
    {"Gelu", lower_unary, bytes},
    {"Gemm", lower_gemm, words, true},
    {"GlobalAveragePool", lower_global_pool, words},
    {"GlobalMaxPool", lower_global_pool},
    {"Greater", lower_binary},
    {"GreaterOrEqual", lower_binary},
    {"GroupNormalization", lower_group_norm, none, true},
    {"HardSigmoid", lower_hard_sigmoid},
    {"HardSwish", lower_unary, bytes},
    {"Identity", lower_identity},
    {"InstanceNormalization", lower_instance_norm, none, true},
    {"LayerNormalization", lower_layer_norm},
    {"LeakyRelu", lower_unary, words},
    {"Less", lower_binary},
    {"LessOrEqual", lower_binary},
    {"Log", lower_unary, words},
    {"LogSoftmax", lower_softmax, bytes},
    {"MatMul", lower_matmul, words, true},
    {"Max", lower_extremes, words},
    {"MaxPool", lower_max_pool},
    {"Min", lower_extremes, words},
    {"Mish", lower_mish},
    {"Mod", lower_binary},
    {"Mul", lower_binary, words, true},
    {"Neg", lower_unary, bytes},
    {"Not", lower_unary},
    {"Or", lower_binary},
    {"PRelu", lower_prelu, bytes},
    {"Pad", lower_pad},
    {"Pow", lower_binary},
    {"Range", lower_range},
    {"Reciprocal", lower_reciprocal},
    {"ReduceL1", lower_reduce},
    {"ReduceL2", lower_reduce},
    {"ReduceMax", lower_reduce},
    {"ReduceMean", lower_reduce, words},
    {"ReduceMin", lower_reduce},
    {"ReduceProd", lower_reduce},
    {"ReduceSum", lower_reduce, bytes},
    {"ReduceSumSquare", lower_reduce},
    {"Relu", lower_unary, words},
    {"Reshape", lower_reshape},
    {"Resize", lower_resize},
    {"Round", lower_unary},
    {"Selu", lower_elu},
    {"Sigmoid", lower_table, words},
    {"Sign", lower_unary},
    {"Sin", lower_unary},
    {"Slice", lower_slice},
    {"Softmax", lower_softmax, words},
    {"Softplus", lower_softplus},
    {"Softsign", lower_softsign},
    {"SpaceToDepth", lower_depth_space},
    {"Split", lower_split},
    {"Sqrt", lower_unary, bytes},
    {"Squeeze", lower_squeeze},
    {"Sub", lower_binary, words, true},
    {"Sum", lower_extremes},
    {"Swish", lower_swish, words, true},
    {"Tanh", lower_table, words},
    {"Tile", lower_tile},
    {"TopK", lower_top_k},
    {"Transpose", lower_transpose},
    {"Unsqueeze", lower_unsqueeze},
    {"Where", lower_where},
});

static_assert(std::is_sorted(rules.begin(), rules.end(),
                             [](const auto& a, const auto& b) { return a.op < b.op; }));

}  // namespace

const OpRule* find_rule(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  const auto found =
      std::lower_bound(rules.begin(), rules.end(), node.op,
                       [](const OpRule& rule, std::string_view op) { return rule.op < op; });
  return found != rules.end() && found->op == node.op ? &*found : nullptr;
}

std::size_t data_inputs(const Node& node) {
  constexpr std::string_view two[] = {"Add", "Sub", "Mul", "Div", "Pow", "MatMul", "PRelu"};
  constexpr std::string_view all[] = {"Concat", "Max", "Min", "Sum"};
  const auto in = [&](const auto& list) {
    return std::find(std::begin(list), std::end(list), node.op) != std::end(list);
  };
  return in(all) ? node.inputs.size() : in(two) ? 2 : 1;
}

}  // namespace octet::tflite

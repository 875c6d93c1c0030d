#include "graph/shape_inference.h"

#include <algorithm>
#include <array>

#include "graph/shape_inference_rules.h"

namespace octet {
namespace {

using shape_rules::Context;
using shape_rules::Rule;
using shape_rules::text;

struct NamedRule {
  std::string_view op;
  Rule rule;
};

/// Sorted by name for binary search.
constexpr auto rules = std::to_array<NamedRule>({
    {"Abs", shape_rules::same_as_input},
    {"Add", shape_rules::binary},
    {"And", shape_rules::logic},
    {"ArgMax", shape_rules::arg_reduce},
    {"ArgMin", shape_rules::arg_reduce},
    {"AveragePool", shape_rules::pool},
    {"BatchNormalization", shape_rules::batch_normalization},
    {"Cast", shape_rules::cast},
    {"Ceil", shape_rules::same_as_input},
    {"Celu", shape_rules::same_as_input},
    {"Clip", shape_rules::same_as_input},
    {"Concat", shape_rules::concat},
    {"Constant", shape_rules::constant},
    {"ConstantOfShape", shape_rules::constant_of_shape},
    {"Conv", shape_rules::conv},
    {"ConvInteger", shape_rules::conv_integer},
    {"ConvTranspose", shape_rules::conv_transpose},
    {"Cos", shape_rules::same_as_input},
    {"CumSum", shape_rules::cumulative_sum},
    {"DepthToSpace", shape_rules::depth_to_space},
    {"DequantizeLinear", shape_rules::dequantize_linear},
    {"Div", shape_rules::binary},
    {"Dropout", shape_rules::dropout},
    {"DynamicQuantizeLinear", shape_rules::dynamic_quantize_linear},
    {"Einsum", shape_rules::einsum},
    {"Elu", shape_rules::same_as_input},
    {"Equal", shape_rules::comparison},
    {"Erf", shape_rules::same_as_input},
    {"Exp", shape_rules::same_as_input},
    {"Expand", shape_rules::expand},
    {"Flatten", shape_rules::flatten},
    {"Floor", shape_rules::same_as_input},
    {"GRU", shape_rules::recurrent},
    {"Gather", shape_rules::gather},
    {"GatherElements", shape_rules::gather_elements},
    {"GatherND", shape_rules::gather_nd},
    {"Gelu", shape_rules::same_as_input},
    {"Gemm", shape_rules::gemm},
    {"GlobalAveragePool", shape_rules::global_pool},
    {"GlobalMaxPool", shape_rules::global_pool},
    {"Greater", shape_rules::comparison},
    {"GreaterOrEqual", shape_rules::comparison},
    {"GroupNormalization", shape_rules::group_normalization},
    {"HardSigmoid", shape_rules::same_as_input},
    {"HardSwish", shape_rules::same_as_input},
    {"Identity", shape_rules::same_as_input},
    {"InstanceNormalization", shape_rules::instance_normalization},
    {"LSTM", shape_rules::recurrent},
    {"LayerNormalization", shape_rules::layer_normalization},
    {"LeakyRelu", shape_rules::same_as_input},
    {"Less", shape_rules::comparison},
    {"LessOrEqual", shape_rules::comparison},
    {"Log", shape_rules::same_as_input},
    {"LogSoftmax", shape_rules::softmax},
    {"MatMul", shape_rules::matmul},
    {"MatMulInteger", shape_rules::matmul_integer},
    {"Max", shape_rules::variadic},
    {"MaxPool", shape_rules::pool},
    {"Min", shape_rules::variadic},
    {"Mish", shape_rules::same_as_input},
    {"Mod", shape_rules::binary},
    {"Mul", shape_rules::binary},
    {"Neg", shape_rules::same_as_input},
    {"Not", shape_rules::same_as_input},
    {"OneHot", shape_rules::one_hot},
    {"Or", shape_rules::logic},
    {"PRelu", shape_rules::prelu},
    {"Pad", shape_rules::pad},
    {"Pow", shape_rules::power},
    {"QLinearConv", shape_rules::qlinear_conv},
    {"QLinearMatMul", shape_rules::qlinear_matmul},
    {"QuantizeLinear", shape_rules::quantize_linear},
    {"Range", shape_rules::range},
    {"Reciprocal", shape_rules::same_as_input},
    {"ReduceL1", shape_rules::reduce},
    {"ReduceL2", shape_rules::reduce},
    {"ReduceMax", shape_rules::reduce},
    {"ReduceMean", shape_rules::reduce},
    {"ReduceMin", shape_rules::reduce},
    {"ReduceProd", shape_rules::reduce},
    {"ReduceSum", shape_rules::reduce},
    {"ReduceSumSquare", shape_rules::reduce},
    {"Relu", shape_rules::same_as_input},
    {"Reshape", shape_rules::reshape},
    {"Resize", shape_rules::resize},
    {"Round", shape_rules::same_as_input},
    {"ScatterElements", shape_rules::scatter_elements},
    {"ScatterND", shape_rules::scatter_nd},
    {"Selu", shape_rules::same_as_input},
    {"Shape", shape_rules::shape_of},
    {"Sigmoid", shape_rules::same_as_input},
    {"Sign", shape_rules::same_as_input},
    {"Sin", shape_rules::same_as_input},
    {"Slice", shape_rules::slice},
    {"Softmax", shape_rules::softmax},
    {"Softplus", shape_rules::same_as_input},
    {"Softsign", shape_rules::same_as_input},
    {"SpaceToDepth", shape_rules::space_to_depth},
    {"Split", shape_rules::split},
    {"Sqrt", shape_rules::same_as_input},
    {"Squeeze", shape_rules::squeeze},
    {"Sub", shape_rules::binary},
    {"Sum", shape_rules::variadic},
    {"Swish", shape_rules::same_as_input},
    {"Tanh", shape_rules::same_as_input},
    {"ThresholdedRelu", shape_rules::same_as_input},
    {"Tile", shape_rules::tile},
    {"TopK", shape_rules::top_k},
    {"Transpose", shape_rules::transpose},
    {"Trilu", shape_rules::triangle},
    {"Unsqueeze", shape_rules::unsqueeze},
    {"Where", shape_rules::where},
    {"Xor", shape_rules::logic},
});

static_assert(std::is_sorted(rules.begin(), rules.end(),
                             [](const auto& a, const auto& b) { return a.op < b.op; }));

Rule find_rule(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  const auto it =
      std::lower_bound(rules.begin(), rules.end(), node.op,
                       [](const NamedRule& entry, std::string_view op) { return entry.op < op; });
  return it == rules.end() || it->op != node.op ? nullptr : it->rule;
}

/// Every extent and the product of the known ones stay within 2^40, so that rules can't overflow.
Status check_size(const Shape& shape) {
  constexpr std::int64_t limit = shape_rules::extent_limit;
  constexpr std::size_t rank_limit = 64;
  if (shape.size() > rank_limit) return bad_input("{} dimensions are too many", shape.size());
  std::int64_t count = 1;
  for (const auto dim : shape) {
    if (dim > limit) return bad_input("shape {} is absurdly large", text(shape));
    if (dim <= 1) continue;
    if (dim > limit / count) return bad_input("shape {} is absurdly large", text(shape));
    count *= dim;
  }
  return {};
}

class Inference {
 public:
  explicit Inference(const Graph& graph) : graph_(graph), facts_(graph.value_slots()) {}

  Status run(const std::map<ValueId, Shape>& input_shapes) {
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      if (graph_.value(id).constant) OCTET_TRY(start_constant(id));
    }
    for (const auto id : graph_.inputs) OCTET_TRY(start_input(id, input_shapes));
    OCTET_ASSIGN(const auto order, graph_.topological_order());
    for (const auto id : order) OCTET_TRY(infer_node(graph_.node(id)));
    return {};
  }

  [[nodiscard]] std::vector<ValueFacts>& facts() { return facts_; }

  /// Name of the dynamic dimension, "" when it has none.
  [[nodiscard]] std::string symbol_name(std::int64_t symbol) const {
    const auto it = names_.find(symbol);
    return it == names_.end() ? std::string() : it->second;
  }

 private:
  Status start_constant(ValueId id) {
    const auto& tensor = *graph_.value(id).constant;
    if (auto status = check_size(tensor.shape()); !status) {
      return tl::unexpected(status.error().with_context("constant " + graph_.value(id).name));
    }
    facts_[index(id)].dtype = tensor.dtype();
    facts_[index(id)].shape = tensor.shape();
    return {};
  }

  Status start_input(ValueId id, const std::map<ValueId, Shape>& input_shapes) {
    const auto& value = graph_.value(id);
    auto& facts = facts_[index(id)];
    facts.dtype = value.dtype;
    const auto given = input_shapes.find(id);
    if (given != input_shapes.end()) facts.shape = given->second;
    if (auto status = settle(value, facts); !status) {
      return tl::unexpected(status.error().with_context("graph input " + value.name));
    }
    return {};
  }

  Status infer_node(const Node& node) {
    Context context(graph_, node, facts_);
    if (const auto rule = find_rule(node); rule != nullptr) {
      if (auto status = rule(context); !status) return named(node, status.error());
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::none) continue;
      const auto& value = graph_.value(node.outputs[i]);
      auto& inferred = context.outputs()[i];
      if (auto status = settle(value, inferred); !status) {
        return named(node, status.error().with_context("output " + value.name));
      }
      facts_[index(node.outputs[i])] = std::move(inferred);
    }
    return {};
  }

  /// Joins what was inferred with what the graph declares, and gives every dynamic dimension its
  /// symbol.
  Status settle(const Value& declared, ValueFacts& inferred) {
    if (inferred.dtype == DType::undefined) inferred.dtype = declared.dtype;
    if (declared.dtype != DType::undefined && declared.dtype != inferred.dtype) {
      return bad_input("the type is {}, not {} as declared", name(inferred.dtype),
                       name(declared.dtype));
    }
    if (!declared.shape && !inferred.shape) return {};
    if (!inferred.shape) inferred.shape = Shape(declared.shape->size(), dynamic_dim);
    auto& shape = *inferred.shape;
    if (declared.shape && declared.shape->size() != shape.size()) {
      return bad_input("the shape is {}, not {} as declared", text(shape),
                       to_string(*declared.shape));
    }
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto stated = declared.shape ? (*declared.shape)[i] : dynamic_dim;
      if (stated < dynamic_dim) {
        return bad_input("dimension {} has the negative extent {}", i, stated);
      }
      if (stated >= 0 && shape[i] >= 0 && stated != shape[i]) {
        return bad_input("the shape is {}, not {} as declared", text(shape),
                         to_string(*declared.shape));
      }
      if (shape[i] < 0 && stated >= 0) shape[i] = stated;
      if (shape[i] == dynamic_dim) {
        shape[i] = symbol(i < declared.dim_names.size() ? declared.dim_names[i] : std::string());
      }
    }
    return check_size(shape);
  }

  /// Dimensions of one name share a symbol.
  std::int64_t symbol(const std::string& dim_name) {
    if (dim_name.empty()) return next_symbol_--;
    const auto [it, is_new] = symbols_.try_emplace(dim_name, next_symbol_);
    if (is_new) names_[next_symbol_--] = dim_name;
    return it->second;
  }

  tl::unexpected<Error> named(const Node& node, const Error& error) const {
    std::string shapes;
    for (const auto id : node.inputs) {
      if (id == ValueId::none) continue;
      const auto& shape = facts_[index(id)].shape;
      shapes += fmt::format("{}{} {}", shapes.empty() ? "" : ", ", graph_.value(id).name,
                            shape ? text(*shape) : "of unknown rank");
    }
    return fail(error.kind, "node {} ({}): {} (inputs: {})", node.name, node.op, error.message,
                shapes.empty() ? "none" : shapes);
  }

  const Graph& graph_;
  std::vector<ValueFacts> facts_;
  std::int64_t next_symbol_ = -2;
  std::map<std::string, std::int64_t> symbols_;
  std::map<std::int64_t, std::string> names_;
};

/// Names of dynamic dimensions by position, or nothing when none has a name.
std::vector<std::string> dimension_names(const Inference& inference, const Shape& shape) {
  std::vector<std::string> names(shape.size());
  bool any = false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) names[i] = inference.symbol_name(shape[i]);
    any = any || !names[i].empty();
  }
  return any ? names : std::vector<std::string>();
}

}  // namespace

Status infer_shapes(Graph& graph) {
  Inference inference(graph);
  OCTET_TRY(inference.run({}));
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto& facts = inference.facts()[i];
    auto& value = graph.value(static_cast<ValueId>(i));
    if (facts.dtype != DType::undefined) value.dtype = facts.dtype;
    if (!facts.shape) continue;
    value.shape = without_symbols(*facts.shape);
    if (value.dim_names.empty()) value.dim_names = dimension_names(inference, *facts.shape);
  }
  return {};
}

Result<std::vector<std::optional<Shape>>> infer_shapes_for(
    const Graph& graph, const std::map<ValueId, Shape>& input_shapes) {
  OCTET_ASSIGN(const auto facts, infer_facts(graph, input_shapes));
  std::vector<std::optional<Shape>> shapes(facts.size());
  for (std::size_t i = 0; i < facts.size(); ++i) {
    if (facts[i].shape) shapes[i] = without_symbols(*facts[i].shape);
  }
  return shapes;
}

Result<std::vector<ValueFacts>> infer_facts(const Graph& graph,
                                            const std::map<ValueId, Shape>& input_shapes) {
  for (const auto& [id, shape] : input_shapes) {
    for (const auto dim : shape) {
      if (dim < dynamic_dim) return bad_input("shape {} is negative", to_string(shape));
    }
  }
  Inference inference(graph);
  OCTET_TRY(inference.run(input_shapes));
  return std::move(inference.facts());
}

}  // namespace octet

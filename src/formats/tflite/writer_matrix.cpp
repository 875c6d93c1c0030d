// Matrix products: FULLY_CONNECTED by constant weights, BATCH_MATMUL of two values.

#include <algorithm>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

/// What FULLY_CONNECTED takes besides its input: weights as [out, in] and a row.
struct Weights {
  Rearrangement moved;
  std::int64_t channels = 0;
  std::optional<Use> bias;
  float bias_factor = 1;
};

Status emit_fully_connected(Lowering& l, const Job& job, TensorId input, const Weights& weights,
                            TensorId result) {
  const auto id = job.node->input(1);
  const auto coding = l.coding(Use{job.id, 1});
  const bool hybrid = l.is_dynamic({job.id, 0}) && coding && weights.moved.factor == 1;
  TensorId weight = TensorId::none;
  if (job.coded || hybrid) {
    OCTET_ASSIGN(weight, l.constant_codes(id, *coding, weights.moved));
  } else {
    OCTET_ASSIGN(weight, l.constant_reals(id, weights.moved));
  }
  std::vector<TensorId> inputs{input, weight};
  // LiteRT's kernel of 16-bit codes computes otherwise with a bias, be it of zeros.
  const bool words = job.coded && l.tensor(input).dtype == DType::i16;
  if (weights.bias || !words) {
    OCTET_ASSIGN(const auto bias, l.bias(job, weights.bias, weights.channels, input, weight, result,
                                         weights.bias_factor));
    inputs.push_back(bias);
  }
  wire::FullyConnectedOptionsT options;
  options.fused_activation_function = job.activation;
  options.asymmetric_quantize_inputs =
      hybrid && job.node->int_attribute("asymmetric_quantize_inputs", 0) != 0;
  l.emit(Op::FULLY_CONNECTED, std::move(inputs), {result}, options);
  return {};
}

/// [.., n, m] held as [.., m, n].
bool holds_transposed(const AxisOrder& order) {
  auto swapped = identity_order(order.size());
  if (swapped.size() < 2) return false;
  std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
  return order == swapped;
}

struct Factor {
  TensorId tensor = TensorId::none;
  bool transposed = false;
};

/// Codes of one scale on the right of an input that is quantized at run time.
bool is_hybrid_product(Lowering& l, const Job& job) {
  const auto coding = l.coding(Use{job.id, 1});
  return l.is_dynamic({job.id, 0}) && l.is_constant(job.node->input(1)) && coding &&
         coding->storage == DType::i8 && coding->params.count() == 1;
}

Result<Factor> matrix_operand(Lowering& l, const Job& job, std::size_t slot) {
  if (slot == 1 && is_hybrid_product(l, job)) {
    const auto id = job.node->input(1);
    OCTET_ASSIGN(const auto codes, l.constant_codes(id, *l.coding(Use{job.id, 1}), {}));
    return Factor{codes, false};
  }
  const auto order = l.order_of(job.node->input(slot));
  const bool transposed = holds_transposed(order);
  OCTET_ASSIGN(const auto tensor,
               l.operand(job, slot, transposed ? order : identity_order(order.size())));
  if (order.size() != 1) return Factor{tensor, transposed};
  // A vector is a row on the left and a column on the right.
  const auto extent = l.tensor_shape(tensor)[0];
  const Shape matrix = slot == 0 ? Shape{1, extent} : Shape{extent, 1};
  const auto wide = l.derived(tensor, slot == 0 ? "_row" : "_column", matrix);
  OCTET_TRY(l.emit_reshape(tensor, wide));
  return Factor{wide, false};
}

Status multiply_values(Lowering& l, const Job& job, TensorId result, bool flip_a, bool flip_b) {
  OCTET_ASSIGN(const auto a, matrix_operand(l, job, 0));
  OCTET_ASSIGN(const auto b, matrix_operand(l, job, 1));
  wire::BatchMatMulOptionsT options;
  options.adj_x = a.transposed != flip_a;
  options.adj_y = b.transposed != flip_b;
  options.asymmetric_quantize_inputs =
      is_hybrid_product(l, job) && job.node->int_attribute("asymmetric_quantize_inputs", 0) != 0;
  const bool row = l.order_of(job.node->input(0)).size() == 1;
  const bool column = l.order_of(job.node->input(1)).size() == 1;
  if (!row && !column) {
    l.emit(Op::BATCH_MATMUL, {a.tensor, b.tensor}, {result}, options);
    return {};
  }
  auto shape = l.tensor_shape(result);
  if (row) shape.insert(shape.end() - (column ? 0 : 1), 1);
  if (column) shape.push_back(1);
  const auto product = l.derived(result, "/product", shape);
  l.emit(Op::BATCH_MATMUL, {a.tensor, b.tensor}, {product}, options);
  return l.emit_reshape(product, result);
}

/// Whether the Gemm's third input is one number for each column.
bool is_row(Lowering& l, ValueId id, std::int64_t channels) {
  const auto* constant = l.known(id);
  return constant != nullptr && constant->size() == channels &&
         (constant->rank() == 0 || constant->shape().back() == channels);
}

/// ADD of a third operand that is no row, scaled.
Status add_to_product(Lowering& l, const Job& job, TensorId product, TensorId result) {
  if (!l.is_constant(job.node->input(2)) && job.node->float_attribute("beta", 1) != 1) {
    return refused("beta is not 1");
  }
  const auto id = job.node->input(2);
  OCTET_ASSIGN(const auto extents, l.shape(id));
  TensorId addend = TensorId::none;
  if (l.is_constant(id)) {
    OCTET_ASSIGN(
        addend, l.constant_reals(id, {std::nullopt, {}, {}, job.node->float_attribute("beta", 1)}));
  } else {
    OCTET_ASSIGN(addend, l.operand(job, 2, identity_order(extents.size())));
  }
  wire::AddOptionsT options;
  options.fused_activation_function = job.activation;
  l.emit(Op::ADD, {product, addend}, {result}, options);
  return {};
}

}  // namespace

Status lower_gemm(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const bool flip_a = node.int_attribute("transA", 0) != 0;
  const bool flip_b = node.int_attribute("transB", 0) != 0;
  const float alpha = node.float_attribute("alpha", 1);
  const bool constant = l.is_constant(node.input(1));
  const auto result = l.make_output(job, identity_order(2));
  const auto channels = l.tensor_shape(result)[1];
  const bool has_third = node.input(2) != ValueId::none;
  const bool row = has_third && is_row(l, node.input(2), channels);
  const bool adds = has_third && (!row || !constant);
  auto product = adds ? l.derived(result, "/product", l.tensor_shape(result)) : result;
  if (!constant) {
    if (alpha != 1) return refused("alpha is not 1");
    auto inner = job;
    if (adds) inner.activation = Activation::NONE;
    const auto linear = l.before_activation(inner, product);
    OCTET_TRY(multiply_values(l, job, linear, flip_a, flip_b));
    l.emit_activation(inner, linear, product);
  } else {
    Weights weights;
    weights.channels = channels;
    weights.moved.factor = alpha;
    if (!flip_b) weights.moved.order = {1, 0};
    weights.moved.last_axis = l.features(node.input(0));
    if (row) weights.bias = Use{job.id, 2};
    weights.bias_factor = node.float_attribute("beta", 1);
    OCTET_ASSIGN(const auto input, l.operand(job, 0, flip_a ? AxisOrder{1, 0} : identity_order(2)));
    auto inner = job;
    if (adds) inner.activation = Activation::NONE;
    OCTET_TRY(emit_fully_connected(l, inner, input, weights, product));
  }
  return adds ? add_to_product(l, job, product, result) : Status();
}

Status lower_matmul(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto left, l.shape(node.input(0)));
  OCTET_ASSIGN(const auto right, l.shape(node.input(1)));
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto result = l.make_output(job, identity_order(extents.size()));
  if (!l.is_constant(node.input(1)) || right.size() != 2 || left.empty()) {
    const auto linear = l.before_activation(job, result);
    OCTET_TRY(multiply_values(l, job, linear, false, false));
    l.emit_activation(job, linear, result);
    return {};
  }
  Weights weights;
  weights.channels = right[1];
  weights.moved.order = {1, 0};
  weights.moved.last_axis = l.features(node.input(0));
  weights.bias = job.bias;
  const auto plain = identity_order(left.size());
  if (left.size() == 2) {
    OCTET_ASSIGN(const auto input, l.operand(job, 0, plain));
    return emit_fully_connected(l, job, input, weights, result);
  }
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < left.size(); ++i) {
    rows = rows < 0 || left[i] < 0 ? dynamic_dim : rows * left[i];
  }
  // Where there are codes, they are what moves.
  const auto codes = job.coded ? std::nullopt : l.coding(node.input(0));
  TensorId input = TensorId::none;
  if (codes) {
    OCTET_ASSIGN(input, l.fetch(node.input(0), codes, plain));
  } else {
    OCTET_ASSIGN(input, l.operand(job, 0, plain));
  }
  OCTET_ASSIGN(auto flat, l.rows(input, rows, right[0]));
  if (codes) flat = l.reals(flat);
  const auto product = l.derived(result, "/rows", {rows, right[1]});
  OCTET_TRY(emit_fully_connected(l, job, flat, weights, product));
  return l.emit_reshape(product, result);
}

}  // namespace octet::tflite

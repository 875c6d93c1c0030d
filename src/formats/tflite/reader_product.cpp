// Matrix products.

#include <algorithm>
#include <numeric>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

/// The input as rows of `depth`: as it is when it has rank 2, else by a Reshape.
Result<ValueId> rows_of(Translator& to, const FileOperator& op, std::int64_t depth) {
  const auto& input = to.input(op, 0);
  if (input.rank() == 2 && (input.shape[1] == depth || input.shape[1] == dynamic_dim)) {
    return to.value(op.inputs[0], Order::file);
  }
  const bool flat = to.available(op.inputs[0]) == Order::image && same_bytes(input.shape);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], flat ? Order::image : Order::file));
  const auto& name = to.output(op).name;
  const auto shape = to.integer_list({-1, depth}, name + "/rows_shape");
  return to.inner_like(Translator::node("Reshape", {x, shape}), to.invent(name + "/rows"),
                       op.inputs[0]);
}

/// The shape of the result where it keeps the input's outer extents, at most one of them dynamic.
Result<std::vector<std::int64_t>> kept_shape(const Shape& input, std::int64_t units) {
  std::vector<std::int64_t> shape(input.begin(), input.end() - 1);
  if (std::count(shape.begin(), shape.end(), dynamic_dim) > 1) {
    return bad_input("its input {} has several dynamic extents", to_string(input));
  }
  shape.push_back(units);
  return shape;
}

}  // namespace

Status read_fully_connected(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::FullyConnectedOptions>(op);
  using Format = wire::FullyConnectedOptionsWeightsFormat;
  if (options != nullptr && options->weights_format() != Format::DEFAULT) {
    return bad_input("the weights format {} is not supported",
                     wire::EnumNameFullyConnectedOptionsWeightsFormat(options->weights_format()));
  }
  const auto activation = options == nullptr ? wire::ActivationFunctionType::NONE
                                             : options->fused_activation_function();
  const auto& input = to.input(op, 0);
  const auto& weight = to.input(op, 1);
  if (weight.rank() != 2 || !is_static(weight.shape) || weight.shape[1] < 1) {
    return bad_input("its weights {} have the shape {}", weight.name, to_string(weight.shape));
  }
  OCTET_ASSIGN(const auto x, rows_of(to, op, weight.shape[1]));
  OCTET_ASSIGN(const auto w, to.arranged(op.inputs[1], {}));
  auto node = Translator::node("Gemm", {x, w});
  node.attributes["transB"] = std::int64_t{1};
  if (to.has_input(op, 2)) {
    OCTET_ASSIGN(const auto bias, to.bias(op.inputs[2], op.inputs[0], op.inputs[1]));
    node.inputs.push_back(bias);
  }
  const bool hybrid = is_hybrid(to, op, 0, 1);
  if (hybrid && options != nullptr && options->asymmetric_quantize_inputs()) {
    node.attributes["asymmetric_quantize_inputs"] = std::int64_t{1};
  }
  const bool keeps = options != nullptr && options->keep_num_dims() && input.rank() != 2;
  if (!keeps) {
    return finish_with_weights(to, op, std::move(node), Order::file, activation, hybrid);
  }
  if (input.rank() < 1) return bad_input("its input {} is a scalar", input.name);
  OCTET_ASSIGN(const auto shape, kept_shape(input.shape, weight.shape[0]));
  const auto& name = to.output(op).name;
  const auto id = to.next_node();
  OCTET_ASSIGN(const auto matrix, to.inner_fused(std::move(node), to.invent(name + "/matrix"),
                                                 op.outputs[0], activation));
  if (hybrid) to.plan().overrides[{id, 0}] = dynamic_quantization();
  const auto list = to.integer_list(shape, name + "/shape");
  return to.finish(op, Translator::node("Reshape", {matrix, list}), Order::file);
}

namespace {

/// Value of an operand, its last two axes swapped where the operator does that.
Result<ValueId> matrix_operand(Translator& to, const FileOperator& op, std::size_t i, bool swap) {
  const auto& operand = to.input(op, i);
  if (operand.rank() < 2) return bad_input("its operand {} is no matrix", operand.name);
  if (!swap) return to.value(op.inputs[i], Order::file);
  std::vector<int> perm(operand.shape.size());
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return to.arranged(op.inputs[i], {std::nullopt, perm});
}

}  // namespace

Status read_batch_matmul(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::BatchMatMulOptions>(op);
  const bool swap_a = options != nullptr && options->adj_x();
  const bool swap_b = options != nullptr && options->adj_y();
  OCTET_ASSIGN(const auto a, matrix_operand(to, op, 0, swap_a));
  OCTET_ASSIGN(const auto b, matrix_operand(to, op, 1, swap_b));
  auto node = Translator::node("MatMul", {a, b});
  const bool hybrid = is_hybrid(to, op, 0, 1);
  if (hybrid && options != nullptr && options->asymmetric_quantize_inputs()) {
    node.attributes["asymmetric_quantize_inputs"] = std::int64_t{1};
  }
  return finish_with_weights(to, op, std::move(node), Order::file,
                             wire::ActivationFunctionType::NONE, hybrid);
}

}  // namespace octet::tflite

// Reductions, and operators along one axis.

#include <algorithm>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

Result<std::vector<std::int64_t>> reduced_axes(Lowering& l, const Job& job, std::size_t rank) {
  auto axes = job.node->ints_attribute("axes");
  if (job.node->input(1) != ValueId::none) {
    const auto stated = l.known_ints(job.node->input(1));
    if (!stated) return refused("its axes are not constant");
    axes = *stated;
  }
  if (axes.empty() && job.node->int_attribute("noop_with_empty_axes", 0) == 0) {
    axes = identity_order(rank);
  }
  for (auto& axis : axes) {
    OCTET_ASSIGN(axis, normalize_axis(axis, rank));
  }
  return axes;
}

Op reduction(std::string_view op) {
  if (op == "ReduceMean") return Op::MEAN;
  if (op == "ReduceMax") return Op::REDUCE_MAX;
  if (op == "ReduceMin") return Op::REDUCE_MIN;
  return op == "ReduceProd" ? Op::REDUCE_PROD : Op::SUM;
}

/// The held order with one axis last.
AxisOrder with_last(AxisOrder order, std::int64_t axis) {
  order.erase(std::find(order.begin(), order.end(), axis));
  order.push_back(axis);
  return order;
}

}  // namespace

Status lower_reduce(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const auto op = job.op();
  const bool compares = op == "ReduceMax" || op == "ReduceMin";
  const auto held = l.order_of(node.input(0));
  OCTET_ASSIGN(const auto axes, reduced_axes(l, job, held.size()));
  if (axes.empty()) return lower_identity(l, job);
  const bool keeps = node.int_attribute("keepdims", 1) != 0;
  const auto order = keeps ? held : without_axes(held, axes);
  TensorId input = TensorId::none;
  TensorId result = TensorId::none;
  if (compares) {
    OCTET_ASSIGN(const auto moved, moved_input(l, job, CodesTaken::words));
    input = moved.tensor;
    result = l.make(job.output, moved.coding, order);
  } else {
    OCTET_ASSIGN(input, l.operand(job, 0, held));
    result = l.make_output(job, order);
  }
  const bool root = op == "ReduceL2";
  if (root || op == "ReduceSumSquare") {
    const auto square = l.derived(result, "/square", l.tensor_shape(input));
    l.emit(Op::MUL, {input, input}, {square}, wire::MulOptionsT());
    input = square;
  } else if (op == "ReduceL1") {
    const auto magnitude = l.derived(result, "/abs", l.tensor_shape(input));
    l.emit(Op::ABS, {input}, {magnitude});
    input = magnitude;
  }
  const auto sum = root ? l.derived(result, "/sum", l.tensor_shape(result)) : result;
  wire::ReducerOptionsT options;
  options.keep_dims = keeps;
  const auto along = l.invented_ints(sum, "/axes", stored_axes(held, axes));
  l.emit(reduction(op), {input, along}, {sum}, options);
  if (root) l.emit(Op::SQRT, {sum}, {result});
  return {};
}

Status lower_softmax(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const auto held = l.order_of(node.input(0));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", -1), held.size()));
  const auto order = with_last(held, axis);
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  const bool logarithm = node.is("LogSoftmax");
  std::optional<Coding> coding;
  if (job.coded) {
    // The codes that the file's kernels give are fixed.
    coding = l.coding(job.output);
    const bool words = coding->storage == DType::i16;
    if (logarithm) {
      coding->params = {{0x1p-4F}, {127}, -1};
    } else {
      coding->params = {{words ? 0x1p-15F : 0x1p-8F}, {words ? 0 : -128}, -1};
    }
  }
  const auto result = l.make(job.output, coding, order);
  if (logarithm) {
    l.emit(Op::LOG_SOFTMAX, {input}, {result}, wire::LogSoftmaxOptionsT());
    return {};
  }
  wire::SoftmaxOptionsT options;
  options.beta = 1;
  l.emit(Op::SOFTMAX, {input}, {result}, options);
  return {};
}

Status lower_arg(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  if (node.int_attribute("select_last_index", 0) != 0) return refused("select_last_index");
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::bytes));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", 0), input.shape.size()));
  const bool keeps = node.int_attribute("keepdims", 1) != 0;
  const auto order = keeps ? input.order : without_axes(input.order, {axis});
  const auto result = l.make(job.output, std::nullopt, order);
  auto narrow = result;
  const auto position = position_of(input.order, axis);
  if (keeps) {
    auto shape = l.tensor_shape(result);
    shape.erase(shape.begin() + position);
    narrow = l.derived(result, "/narrow", shape);
  }
  const auto along = l.invented(
      narrow, "/axis", Tensor::from<std::int32_t>({static_cast<std::int32_t>(position)}, {}));
  if (node.is("ArgMax")) {
    wire::ArgMaxOptionsT options;
    options.output_type = wire::TensorType::INT64;
    l.emit(Op::ARG_MAX, {input.tensor, along}, {narrow}, options);
  } else {
    wire::ArgMinOptionsT options;
    options.output_type = wire::TensorType::INT64;
    l.emit(Op::ARG_MIN, {input.tensor, along}, {narrow}, options);
  }
  return keeps ? l.emit_reshape(narrow, result) : Status();
}

Status lower_top_k(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  if (node.int_attribute("largest", 1) == 0) return refused("it looks for the smallest");
  const auto count = l.known_ints(node.input(1));
  if (!count || count->size() != 1) return refused("its k is not constant");
  const auto held = l.order_of(node.input(0));
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", -1), held.size()));
  const auto order = with_last(held, axis);
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::bytes, &order));
  const auto values = l.make(node.output(0), input.coding, order);
  const auto indices = l.make(node.output(1), std::nullopt, order);
  const auto cast = l.take_narrowing_cast(node.output(1));
  const auto narrow = cast != ValueId::none ? l.make(cast, std::nullopt, order)
                                            : l.derived(indices, "/int32", l.tensor_shape(indices));
  l.tensor(narrow).dtype = DType::i32;
  const auto k = l.invented(
      values, "/k", Tensor::from<std::int32_t>({static_cast<std::int32_t>((*count)[0])}, {}));
  l.emit(Op::TOPK_V2, {input.tensor, k}, {values, narrow}, wire::TopKV2OptionsT());
  wire::CastOptionsT options;
  options.in_data_type = wire::TensorType::INT32;
  options.out_data_type = wire::TensorType::INT64;
  l.emit(Op::CAST, {narrow}, {indices}, options);
  return {};
}

Status lower_cumsum(Lowering& l, const Job& job) {
  const auto held = l.order_of(job.node->input(0));
  const auto stated = l.known_ints(job.node->input(1));
  if (!stated || stated->size() != 1) return refused("its axis is not constant");
  OCTET_ASSIGN(const auto axis, normalize_axis((*stated)[0], held.size()));
  OCTET_ASSIGN(const auto input, l.operand(job, 0, held));
  const auto result = l.make_output(job, held);
  const auto position = static_cast<std::int32_t>(position_of(held, axis));
  const auto along = l.invented(result, "/axis", Tensor::from<std::int32_t>({position}, {}));
  wire::CumsumOptionsT options;
  options.exclusive = job.node->int_attribute("exclusive", 0) != 0;
  options.reverse = job.node->int_attribute("reverse", 0) != 0;
  l.emit(Op::CUMSUM, {input, along}, {result}, options);
  return {};
}

}  // namespace octet::tflite

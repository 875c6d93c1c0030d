// Operators over whole axes.

#include <algorithm>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

using Code = wire::BuiltinOperator;

std::string reduce_name(Code code) {
  switch (code) {
    case Code::MEAN: return "ReduceMean";
    case Code::SUM: return "ReduceSum";
    case Code::REDUCE_MAX: return "ReduceMax";
    case Code::REDUCE_MIN: return "ReduceMin";
    default: return "ReduceProd";
  }
}

}  // namespace

Status read_reduce(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::ReducerOptions>(op);
  const bool keeps = options != nullptr && options->keep_dims();
  OCTET_ASSIGN(auto axes, to.integers(op, 1, "axes"));
  OCTET_ASSIGN(axes, sorted_axes(std::move(axes), to.input(op, 0).shape.size()));
  const auto order = keeps ? to.order_of(op.outputs[0]) : order_without(to, op.inputs[0], axes);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  const auto list = to.integer_list(axes_in(order, axes), to.output(op).name + "/axes");
  auto node = Translator::node(reduce_name(op.code), {x, list});
  node.attributes["keepdims"] = std::int64_t{keeps};
  if (axes.empty()) node.attributes["noop_with_empty_axes"] = std::int64_t{1};
  return to.finish(op, std::move(node), keeps ? order : Order::file);
}

Status read_arg(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto axes, to.integers(op, 1, "axis"));
  if (axes.size() != 1) return bad_input("it has {} axes", axes.size());
  OCTET_ASSIGN(axes, sorted_axes(std::move(axes), to.input(op, 0).shape.size()));
  const auto order = order_without(to, op.inputs[0], axes);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  auto node = Translator::node(op.code == Code::ARG_MAX ? "ArgMax" : "ArgMin", {x});
  node.attributes["axis"] = axes_in(order, axes)[0];
  node.attributes["keepdims"] = std::int64_t{0};
  return finish_as_int64(to, op, std::move(node), 0);
}

Status read_top_k(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto count, to.integers(op, 1, "k"));
  if (count.size() != 1 || count[0] < 0) return bad_input("k is no number from 0 on");
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  const auto k = to.integer_list(count, to.output(op).name + "/k");
  return finish_as_int64(to, op, Translator::node("TopK", {x, k}), 1);
}

}  // namespace octet::tflite

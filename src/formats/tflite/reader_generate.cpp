// Operators that make or repeat elements, and choices between them.

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {

Status read_range(Translator& to, const FileOperator& op) {
  std::vector<ValueId> inputs;
  for (const auto input : op.inputs) {
    OCTET_ASSIGN(const auto value, to.value(input, Order::file));
    inputs.push_back(value);
  }
  return to.finish(op, Translator::node("Range", std::move(inputs)), Order::file);
}

Status read_fill(Translator& to, const FileOperator& op) {
  const auto& number = to.input(op, 1);
  if (!to.is_constant(op.inputs[1]) || number.is_coded()) {
    return bad_input("its value {} is not constant", number.name);
  }
  OCTET_ASSIGN(const auto shape, as_int64(to, op.inputs[0], to.output(op).name + "/shape"));
  OCTET_ASSIGN(const auto value, to.value(op.inputs[1], Order::file));
  auto node = Translator::node("ConstantOfShape", {shape});
  node.attributes["value"] = to.graph_constant(value).reshaped({1});
  return to.finish(op, std::move(node), Order::file);
}

Status read_select(Translator& to, const FileOperator& op) {
  const auto order = to.order_of(op.outputs[0]);
  std::vector<ValueId> inputs;
  for (const auto input : op.inputs) {
    OCTET_ASSIGN(const auto value, to.operand(input, order));
    inputs.push_back(value);
  }
  return to.finish(op, Translator::node("Where", std::move(inputs)), order);
}

Status read_tile(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto repeats, to.integers(op, 1, "multiples"));
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  const auto list = to.integer_list(entries_in(order, repeats), to.output(op).name + "/repeats");
  return to.finish(op, Translator::node("Tile", {x, list}), order);
}

Status read_broadcast_to(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  OCTET_ASSIGN(const auto shape, as_int64(to, op.inputs[1], to.output(op).name + "/shape"));
  return to.finish(op, Translator::node("Expand", {x, shape}), Order::file);
}

Status read_cumsum(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto axis, to.integers(op, 1, "axis"));
  if (axis.size() != 1) return bad_input("it has {} axes", axis.size());
  OCTET_ASSIGN(const auto axes, sorted_axes(axis, to.input(op, 0).shape.size()));
  const auto* options = find_options<wire::CumsumOptions>(op);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  const auto list = to.integer_list(axes, to.output(op).name + "/axis");
  auto node = Translator::node("CumSum", {x, list});
  node.attributes["exclusive"] = std::int64_t{options != nullptr && options->exclusive()};
  node.attributes["reverse"] = std::int64_t{options != nullptr && options->reverse()};
  return to.finish(op, std::move(node), Order::file);
}

}  // namespace octet::tflite

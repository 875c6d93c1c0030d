// Operators between types.

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"
#include "graph/onnx_dtype.h"

namespace octet::tflite {
namespace {

/// The same real values from the same codes; of unsigned ones 128 less.
bool same_codes(const Quantization& a, const Quantization& b) {
  return a.params == b.params && a.scheme.bits == b.scheme.bits;
}

Status finish_cast(Translator& to, const FileOperator& op, ValueId x, Order order) {
  auto node = Translator::node("Cast", {x});
  node.attributes["to"] = onnx_code(to.output(op).dtype);
  return to.finish(op, std::move(node), order);
}

}  // namespace

Status read_cast(Translator& to, const FileOperator& op) {
  if (to.input(op, 0).is_coded() || to.output(op).is_coded()) {
    return bad_input("a cast of quantized values is not supported");
  }
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  return finish_cast(to, op, x, order);
}

Status read_quantize(Translator& to, const FileOperator& op) {
  const auto& input = to.input(op, 0);
  const auto& target = to.output(op);
  if (!target.is_coded()) return bad_input("its output {} has no scales", target.name);
  if (!input.is_coded() && input.dtype != DType::f32) {
    return bad_input("its input {} is of type {} without scales", input.name, input.type_name);
  }
  if (input.is_coded() && same_codes(*input.quantization, *target.quantization)) {
    to.alias(op.outputs[0], op.inputs[0]);
    return {};
  }
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  const auto id = to.next_node();
  OCTET_TRY(to.finish(op, Translator::node("Identity", {x}), order));
  if (input.is_coded()) return {};
  OCTET_ASSIGN(const auto made, to.value(op.outputs[0], order));
  to.add_quantizer({id, x, made});
  return {};
}

Status read_dequantize(Translator& to, const FileOperator& op) {
  const auto& input = to.input(op, 0);
  if (to.output(op).dtype != DType::f32) {
    return bad_input("its output {} is of type {}", to.output(op).name, to.output(op).type_name);
  }
  if (input.is_coded()) {
    to.alias(op.outputs[0], op.inputs[0]);
    return {};
  }
  if (input.dtype != DType::f16) {
    return bad_input("its input {} is of type {} without scales", input.name, input.type_name);
  }
  if (input.is_constant) {
    to.cast_constant(op.outputs[0], op.inputs[0]);
    return {};
  }
  const auto order = to.order_of(op.outputs[0]);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  return finish_cast(to, op, x, order);
}

}  // namespace octet::tflite

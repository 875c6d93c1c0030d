#include "engine/float/operands.h"

namespace octet::float_engine {
namespace {

/// Brings an operand of a channels-last result of rank 4 into that order; its shape is then
/// [N,H,W,C].
Tensor channels_last_operand(const Activation& operand) {
  Shape shape = operand.tensor.shape();
  shape.insert(shape.begin(), 4 - shape.size(), 1);
  const Activation padded{operand.tensor.reshaped(shape), operand.channels_last};
  const Activation ordered = to_channels_last(padded);
  return ordered.tensor.reshaped(memory_shape(ordered));
}

}  // namespace

Outputs Operands::finish(Tensor out) const {
  if (!channels_last) return one_output(std::move(out));
  const Shape& s = out.shape();
  const Shape logical{s[0], s[3], s[1], s[2]};
  return one_output(out.reshaped(logical), true);
}

Result<Operands> broadcast_operands(const Activation& a, const Activation& b, bool keep_order) {
  Operands operands;
  operands.channels_last = keep_order && (a.channels_last || b.channels_last) &&
                           a.tensor.dtype() == DType::f32 && b.tensor.dtype() == DType::f32 &&
                           a.tensor.rank() <= 4 && b.tensor.rank() <= 4;
  operands.a = operands.channels_last ? channels_last_operand(a) : to_plain(a).tensor;
  operands.b = operands.channels_last ? channels_last_operand(b) : to_plain(b).tensor;
  OCTET_ASSIGN(operands.plan, BroadcastPlan::make(operands.a.shape(), operands.b.shape()));
  return operands;
}

Status require_equal_types(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return {};
  return bad_input("inputs have types {} and {}, which must be equal", name(a.dtype()),
                   name(b.dtype()));
}

}  // namespace octet::float_engine

// Operators that make or repeat elements.

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {

Status lower_expand(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto held = l.order_of(job.node->input(0));
  const bool same_rank = held.size() == extents.size();
  const auto plain = identity_order(held.size());
  OCTET_ASSIGN(const auto input,
               moved_input(l, job, CodesTaken::words, same_rank ? nullptr : &plain));
  const auto order = same_rank ? input.order : identity_order(extents.size());
  const auto result = l.make(job.output, input.coding, order);
  OCTET_ASSIGN(const auto shape,
               l.shape_tensor(result, input.tensor, permuted(extents, order), false));
  l.emit(Op::BROADCAST_TO, {input.tensor, shape}, {result}, wire::BroadcastToOptionsT());
  return {};
}

Status lower_tile(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto input, moved_input(l, job, CodesTaken::bytes));
  const auto repeats = l.known_ints(job.node->input(1));
  if (!repeats || repeats->size() != input.order.size()) {
    return refused("its repeats are not constant");
  }
  const auto result = l.make(job.output, input.coding, input.order);
  const auto multiples = l.invented_ints(result, "/multiples", permuted(*repeats, input.order));
  l.emit(Op::TILE, {input.tensor, multiples}, {result}, wire::TileOptionsT());
  return {};
}

namespace {

/// A scalar integer as i32: all kernels of RANGE take that.
Result<TensorId> narrow_scalar(Lowering& l, ValueId id, TensorId owner, std::string_view suffix) {
  if (const auto number = l.known_ints(id)) {
    const auto value = static_cast<std::int32_t>((*number)[0]);
    return l.invented(owner, suffix, Tensor::from<std::int32_t>({value}, {}));
  }
  const auto* extent = l.partial_ints(id);
  if (extent == nullptr) return refused("its bounds depend on data");
  OCTET_ASSIGN(const auto list, l.numbers_tensor(owner, suffix, {}, *extent));
  const auto scalar = l.derived(list, "_scalar", {});
  OCTET_TRY(l.emit_reshape(list, scalar));
  return scalar;
}

}  // namespace

Status lower_range(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const bool wide = l.dtype(job.output) == DType::i64;
  if (!wide && l.dtype(job.output) != DType::i32) return refused("it counts in reals");
  const auto result = l.make(job.output, std::nullopt, identity_order(1));
  const auto narrow = wide ? l.derived(result, "/int32", l.tensor_shape(result)) : result;
  l.tensor(narrow).dtype = DType::i32;
  OCTET_ASSIGN(const auto start, narrow_scalar(l, node.input(0), narrow, "/start"));
  OCTET_ASSIGN(const auto limit, narrow_scalar(l, node.input(1), narrow, "/limit"));
  OCTET_ASSIGN(const auto step, narrow_scalar(l, node.input(2), narrow, "/step"));
  l.emit(Op::RANGE, {start, limit, step}, {narrow}, wire::RangeOptionsT());
  if (!wide) return {};
  wire::CastOptionsT options;
  options.in_data_type = wire::TensorType::INT32;
  options.out_data_type = wire::TensorType::INT64;
  l.emit(Op::CAST, {narrow}, {result}, options);
  return {};
}

Status lower_fill(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  OCTET_ASSIGN(const auto shape, l.fetch(job.node->input(0), std::nullopt, identity_order(1)));
  const auto result = l.make(job.output, std::nullopt, identity_order(extents.size()));
  const auto* value = job.node->attribute<Tensor>("value");
  auto number = value != nullptr ? value->reshaped({}) : Tensor::zeros(DType::f32, {});
  l.emit(Op::FILL, {shape, l.invented(result, "/value", std::move(number))}, {result},
         wire::FillOptionsT());
  return {};
}

}  // namespace octet::tflite

// RESHAPE and TRANSPOSE, and shapes that only running the model fixes.

#include <algorithm>
#include <set>

#include "formats/tflite/lowering.h"

namespace octet::tflite {
namespace {

Tensor int32_list(const std::vector<std::int64_t>& values) {
  Tensor tensor(DType::i32, {static_cast<std::int64_t>(values.size())});
  std::transform(values.begin(), values.end(), tensor.mutable_data<std::int32_t>(),
                 [](auto value) { return static_cast<std::int32_t>(value); });
  return tensor;
}

}  // namespace

/// The extent that a symbol stands for as an i32 tensor of one element, from a shape that has it.
std::optional<TensorId> Lowering::extent_tensor(const std::vector<TensorId>& near,
                                                std::int64_t symbol) {
  if (const auto known = grown_.find(symbol); known != grown_.end()) return known->second;
  auto sources = near;
  sources.insert(sources.end(), draft_.inputs.begin(), draft_.inputs.end());
  // What has been computed by now.
  for (const auto& op : draft_.operators) {
    sources.insert(sources.end(), op.outputs.begin(), op.outputs.end());
  }
  for (const auto source : sources) {
    const auto& shape = draft_.tensor(source).shape;
    const auto at = std::find(shape.begin(), shape.end(), symbol);
    if (at == shape.end()) continue;
    const auto position = static_cast<std::size_t>(at - shape.begin());
    const auto rank = static_cast<std::int64_t>(shape.size());
    if (const auto found = extents_.find({source, position}); found != extents_.end()) {
      return found->second;
    }
    auto whole = shapes_.find(source);
    if (whole == shapes_.end()) {
      const auto made = temporary("_shape", {rank}, DType::i32);
      draft_.tensor(made).parent = source;
      wire::ShapeOptionsT options;
      options.out_type = wire::TensorType::INT32;
      emit(Op::SHAPE, {source}, {made}, options);
      whole = shapes_.emplace(source, made).first;
    }
    const auto extent = derived(whole->second, std::to_string(position), {1});
    const std::int64_t begin[] = {static_cast<std::int64_t>(position)};
    const std::int64_t size[] = {1};
    emit(Op::SLICE,
         {whole->second, invented_ints(extent, "/begin", begin),
          invented_ints(extent, "/size", size)},
         {extent}, wire::SliceOptionsT());
    extents_.emplace(std::pair(source, position), extent);
    return extent;
  }
  return std::nullopt;
}

void Lowering::grow_extent(TensorId near, std::int64_t symbol, std::int64_t grown,
                           std::int64_t factor, std::int64_t addend) {
  if (grown_.contains(grown) || symbol == grown) return;
  auto extent = extent_tensor({near}, symbol);
  if (!extent) return;
  if (factor != 1) {
    const auto product = derived(*extent, "_times", {1});
    const auto by = operand_constant(product, "/factor", int32_list({factor}));
    emit(Op::MUL, {*extent, by}, {product}, wire::MulOptionsT());
    extent = product;
  }
  if (addend != 0) {
    const auto sum = derived(*extent, "_plus", {1});
    const auto more = operand_constant(sum, "/addend", int32_list({addend}));
    emit(Op::ADD, {*extent, more}, {sum}, wire::AddOptionsT());
    extent = sum;
  }
  grown_.emplace(grown, *extent);
}

Result<TensorId> Lowering::shape_tensor(TensorId owner, TensorId from, const Shape& extents,
                                        bool allow_open) {
  auto wanted = extents;
  if (allow_open) {
    // One extent may follow from the others: best one that no other shape has, else the last.
    auto open = wanted.end();
    for (auto at = wanted.begin(); at != wanted.end(); ++at) {
      const auto& source = draft_.tensor(from).shape;
      const bool copied = std::find(source.begin(), source.end(), *at) != source.end();
      if (*at < 0 && (open == wanted.end() || !copied)) open = at;
    }
    if (open != wanted.end()) *open = -1;
  }
  PartialInts numbers{{static_cast<std::int64_t>(wanted.size())}, {}};
  for (const auto extent : wanted) {
    const auto kind = extent >= -1 ? PartialInt::Kind::known : PartialInt::Kind::extent;
    numbers.elements.push_back({kind, extent});
  }
  return numbers_tensor(owner, "/shape", {from}, numbers);
}

Result<TensorId> Lowering::numbers_tensor(TensorId owner, std::string_view suffix,
                                          const std::vector<TensorId>& near,
                                          const PartialInts& numbers) {
  if (const auto values = all_known(numbers)) return invented_ints(owner, suffix, *values);
  std::vector<TensorId> parts;
  std::vector<std::int64_t> run;
  const auto flush = [&] {
    if (!run.empty()) parts.push_back(operand_constant(owner, "/extents", int32_list(run)));
    run.clear();
  };
  for (const auto& number : numbers.elements) {
    if (number.is_known()) {
      run.push_back(number.value);
      continue;
    }
    const auto part =
        number.kind == PartialInt::Kind::extent ? extent_tensor(near, number.value) : std::nullopt;
    if (!part) return refused("a shape that depends on data");
    flush();
    parts.push_back(*part);
  }
  flush();
  if (parts.size() == 1) return parts[0];
  const auto count = static_cast<std::int64_t>(numbers.elements.size());
  const auto joined = temporary(std::string(suffix), {count}, DType::i32);
  draft_.tensor(joined).parent = owner;
  emit(Op::CONCATENATION, std::move(parts), {joined}, wire::ConcatenationOptionsT());
  return joined;
}

/// What the Shape nodes behind a node look at, as far as it has been made; a Transpose that nothing
/// but its shape is asked of counts as what it moves.
std::vector<TensorId> Lowering::measured_tensors(NodeId id) const {
  std::vector<TensorId> found;
  std::vector<NodeId> pending{id};
  std::set<NodeId> seen;
  while (!pending.empty()) {
    const auto& node = graph_.node(pending.back());
    const bool is_new = seen.insert(pending.back()).second;
    pending.pop_back();
    if (!is_new) continue;
    for (auto input : node.inputs) {
      if (input == ValueId::none) continue;
      const auto maker = producers_[index(input)];
      if (!node.is("Shape")) {
        if (maker != NodeId::none) pending.push_back(maker);
        continue;
      }
      const bool moved = maker != NodeId::none && graph_.node(maker).is("Transpose");
      if (moved && held_[index(input)].made.tensor == TensorId::none) {
        input = graph_.node(maker).input(0);
      }
      const auto& made = held_[index(input)].made;
      if (made.tensor != TensorId::none) found.push_back(made.tensor);
    }
  }
  return found;
}

/// Integers that follow from shapes, as i32 and then in their own type.
Status Lowering::lower_numbers(const Job& job) {
  const auto id = job.output;
  const auto& numbers = *partial_ints(id);
  if (numbers.shape.size() > 1) return refused("shape arithmetic on a matrix");
  const auto near = measured_tensors(job.id);
  const bool narrow = dtype(id) == DType::i32;
  if (narrow && numbers.shape.size() == 1) {
    const auto owner = temporary(graph_.value(id).name, {}, DType::i32);
    OCTET_ASSIGN(const auto list, numbers_tensor(owner, "", near, numbers));
    alias(id, {list, std::nullopt, identity_order(1)});
    return {};
  }
  const auto result = make(id, std::nullopt, identity_order(numbers.shape.size()));
  OCTET_ASSIGN(auto list, numbers_tensor(result, "/int32", near, numbers));
  if (numbers.shape.empty()) {
    const auto scalar = narrow ? result : derived(list, "_scalar", {});
    OCTET_TRY(emit_reshape(list, scalar));
    list = scalar;
  }
  if (narrow) return {};
  wire::CastOptionsT options;
  options.in_data_type = wire::TensorType::INT32;
  options.out_data_type = *wire_type(dtype(id));
  emit(Op::CAST, {list}, {result}, options);
  return {};
}

Result<TensorId> Lowering::narrow_ints(ValueId id) {
  const auto maker = producers_[index(id)];
  const bool widened = maker != NodeId::none && graph_.node(maker).is("Cast") &&
                       dtype(graph_.node(maker).input(0)) == DType::i32;
  const auto source = widened ? graph_.node(maker).input(0) : id;
  OCTET_ASSIGN(const auto extents, shape(source));
  OCTET_ASSIGN(const auto numbers, fetch(source, std::nullopt, identity_order(extents.size())));
  if (dtype(source) == DType::i32) return numbers;
  const auto result = derived(numbers, "_int32", extents);
  draft_.tensor(result).dtype = DType::i32;
  wire::CastOptionsT options;
  options.in_data_type = *wire_type(dtype(source));
  options.out_data_type = wire::TensorType::INT32;
  emit(Op::CAST, {numbers}, {result}, options);
  return result;
}

Status Lowering::emit_reshape(TensorId from, TensorId to) {
  const auto extents = draft_.tensor(to).shape;
  OCTET_ASSIGN(const auto shape, shape_tensor(to, from, extents, true));
  emit(Op::RESHAPE, {from, shape}, {to}, wire::ReshapeOptionsT());
  return {};
}

Result<TensorId> Lowering::rows(TensorId from, std::int64_t count, std::int64_t depth) {
  if (const auto found = rows_.find(from); found != rows_.end()) return found->second;
  const auto result = derived(from, "_rows", {count, depth});
  OCTET_TRY(emit_reshape(from, result));
  rows_.emplace(from, result);
  return result;
}

Status Lowering::emit_transpose(TensorId from, TensorId to, const AxisOrder& perm) {
  if (same_bytes(perm, identity_order(perm.size()), draft_.tensor(from).shape)) {
    return emit_reshape(from, to);
  }
  emit(Op::TRANSPOSE, {from, invented_ints(to, "/perm", perm)}, {to}, wire::TransposeOptionsT());
  return {};
}

TensorId Lowering::before_activation(const Job& job, TensorId result) {
  if (job.activation == Activation::NONE) return result;
  return derived(result, "/linear", draft_.tensor(result).shape);
}

void Lowering::emit_activation(const Job& job, TensorId from, TensorId result) {
  if (job.activation == Activation::NONE) return;
  const auto code = job.activation == Activation::RELU    ? Op::RELU
                    : job.activation == Activation::RELU6 ? Op::RELU6
                                                          : Op::RELU_N1_TO_1;
  emit(code, {from}, {result});
}

}  // namespace octet::tflite

// RESHAPE and TRANSPOSE, and shapes that only running the model fixes.

#include <algorithm>

#include "formats/tflite/lowering.h"

namespace octet::tflite {

/// The extent that a symbol stands for as an i32 tensor of one element, from a shape that has it.
std::optional<TensorId> Lowering::extent_tensor(TensorId from, std::int64_t symbol) {
  std::vector<TensorId> sources{from};
  sources.insert(sources.end(), draft_.inputs.begin(), draft_.inputs.end());
  for (const auto& held : held_) {
    if (held.made.tensor != TensorId::none) sources.push_back(held.made.tensor);
  }
  for (const auto source : sources) {
    if (source == TensorId::none) continue;
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
  if (std::all_of(wanted.begin(), wanted.end(), [](auto extent) { return extent >= -1; })) {
    return invented_ints(owner, "/shape", wanted);
  }
  std::vector<TensorId> parts;
  std::vector<std::int64_t> run;
  const auto flush = [&] {
    if (!run.empty()) parts.push_back(invented_ints(owner, "/extents", run));
    run.clear();
  };
  for (const auto extent : wanted) {
    if (extent >= -1) {
      run.push_back(extent);
      continue;
    }
    const auto part = extent_tensor(from, extent);
    if (!part) return refused("its shape depends on data");
    flush();
    parts.push_back(*part);
  }
  flush();
  if (parts.size() == 1) return parts[0];
  const auto joined = temporary("_shape", {static_cast<std::int64_t>(wanted.size())}, DType::i32);
  draft_.tensor(joined).parent = owner;
  emit(Op::CONCATENATION, std::move(parts), {joined}, wire::ConcatenationOptionsT());
  return joined;
}

Status Lowering::emit_reshape(TensorId from, TensorId to) {
  const auto extents = draft_.tensor(to).shape;
  OCTET_ASSIGN(const auto shape, shape_tensor(to, from, extents, true));
  emit(Op::RESHAPE, {from, shape}, {to}, wire::ReshapeOptionsT());
  return {};
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

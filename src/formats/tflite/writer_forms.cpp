// In which forms values are held, and the conversions between them.

#include <algorithm>

#include "formats/tflite/lowering.h"

namespace octet::tflite {
namespace {

std::string_view coding_suffix(const std::optional<Coding>& coding) {
  if (!coding) return "_float";
  switch (coding->storage) {
    case DType::u8: return "_uint8";
    case DType::i16: return "_int16";
    default: return "_int8";
  }
}

std::string_view order_suffix(const AxisOrder& order) {
  if (is_identity(order)) return "_nchw";
  return order == channels_last(order.size()) ? "_nhwc" : "_transposed";
}

/// Zero points as the stored type counts them.
std::optional<QuantParams> file_params(const std::optional<Coding>& coding) {
  if (!coding) return std::nullopt;
  auto params = coding->params;
  if (coding->storage == DType::u8) {
    for (auto& zero : params.zero_point) zero += 128;
  }
  return params;
}

}  // namespace

Coding Lowering::coding_of(const Quantization& quantization) const {
  Coding out;
  out.params = quantization.params;
  const int bits = quantization.scheme.bits;
  if (bits > 16) {
    out.storage = quantization.storage;
  } else if (bits > 8) {
    out.storage = DType::i16;
  } else if (quantization.storage == DType::i4) {
    out.storage = DType::i4;
  } else {
    out.storage = stores_bytes_ ? DType::u8 : DType::i8;
  }
  return out;
}

std::optional<Coding> Lowering::coding(ValueId id) const {
  const auto* quantization = model_.plan.find(id);
  if (quantization == nullptr || octet::is_dynamic(*quantization)) return std::nullopt;
  return coding_of(*quantization);
}

std::optional<Coding> Lowering::coding(const Use& use) const {
  const auto* quantization = model_.plan.find(graph_, use);
  if (quantization == nullptr || octet::is_dynamic(*quantization)) return std::nullopt;
  return coding_of(*quantization);
}

bool Lowering::is_dynamic(const Use& use) const {
  const auto* quantization = model_.plan.find(graph_, use);
  return quantization != nullptr && octet::is_dynamic(*quantization);
}

/// As which codes the file's caller sees a graph input or output.
std::optional<Coding> Lowering::file_coding(ValueId id) const {
  const auto io = model_.plan.coded_io.find(id);
  auto own = coding(id);
  if (io == model_.plan.coded_io.end() || !own) return std::nullopt;
  own->storage = io->second;
  return own;
}

Result<Shape> Lowering::shape(ValueId id) const {
  const auto& found = facts_[index(id)].shape;
  if (found) return *found;
  return bad_input("the rank of value {} is unknown", graph_.value(id).name);
}

AxisOrder Lowering::order_of(ValueId id) const {
  const auto& made = held_[index(id)].made;
  if (made.tensor != TensorId::none) return made.order;
  const auto& found = facts_[index(id)].shape;
  return identity_order(found ? found->size() : 0);
}

const std::vector<std::int64_t>& Lowering::features(ValueId id) const {
  return held_[index(id)].features;
}
void Lowering::set_features(ValueId id, std::vector<std::int64_t> features) {
  held_[index(id)].features = std::move(features);
}

void Lowering::alias(ValueId id, const Form& form) {
  auto& held = held_[index(id)];
  held.made = form;
  const auto own = coding(id);
  // Codes of a value that is read as reals are exactly those reals.
  if (form.coding == own || !own) held.usable.push_back(form);
}

ValueId Lowering::take_narrowing_cast(ValueId id) {
  ValueId found = ValueId::none;
  for (const auto reader : order_) {
    const auto& node = graph_.node(reader);
    if (!node.is("Cast") || node.input(0) != id || dtype(node.output()) != DType::i32) continue;
    if (found != ValueId::none) return ValueId::none;
    found = node.output();
  }
  if (found != ValueId::none) absorbed_[index(producers_[index(found)])] = true;
  return found;
}

/// A graph output takes its name where it leaves the file; until then it has another.
std::string Lowering::made_name(ValueId id, const std::optional<Coding>& coding) const {
  const auto& name = graph_.value(id).name;
  if (!graph_.is_output(id)) return name;
  const auto given = file_coding(id);
  const bool converted = coding != given || this->coding(id) != given;
  return converted ? name + std::string(coding_suffix(coding)) : name;
}

TensorId Lowering::make(ValueId id, const std::optional<Coding>& coding, const AxisOrder& order) {
  DraftTensor tensor;
  tensor.name = made_name(id, coding);
  if (graph_.is_output(id) && !is_identity(order)) tensor.name += order_suffix(order);
  tensor.dtype = coding ? coding->storage : dtype(id);
  tensor.params = file_params(coding);
  if (facts_[index(id)].shape) tensor.shape = permuted(*facts_[index(id)].shape, order);
  const auto made = draft_.add(std::move(tensor));
  alias(id, {made, coding, order});
  return made;
}

TensorId Lowering::make_output(const Job& job, const AxisOrder& order) {
  return make(job.output, job.coded ? coding(job.output) : std::nullopt, order);
}

TensorId Lowering::temporary(std::string name, const Shape& shape, DType dtype,
                             const std::optional<Coding>& coding) {
  DraftTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = coding ? coding->storage : dtype;
  tensor.params = file_params(coding);
  tensor.shape = shape;
  return draft_.add(std::move(tensor));
}

TensorId Lowering::temporary(std::string name, const Shape& shape, TensorId like) {
  DraftTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = draft_.tensor(like).dtype;
  tensor.params = draft_.tensor(like).params;
  tensor.shape = shape;
  return draft_.add(std::move(tensor));
}

TensorId Lowering::derived(TensorId parent, std::string_view suffix, const Shape& shape) {
  const auto made = temporary(std::string(suffix), shape, parent);
  draft_.tensor(made).parent = parent;
  return made;
}

void Lowering::emit(Op code, std::vector<TensorId> inputs, std::vector<TensorId> outputs) {
  DraftOperator op;
  op.code = code;
  op.inputs = std::move(inputs);
  op.outputs = std::move(outputs);
  draft_.operators.push_back(std::move(op));
}

/// Reals <-> codes, or codes of other numbers, in the same order.
TensorId Lowering::recode(const Form& from, const std::optional<Coding>& to) {
  const auto result = derived(from.tensor, coding_suffix(to), draft_.tensor(from.tensor).shape);
  auto& tensor = draft_.tensor(result);
  tensor.dtype = to ? to->storage : DType::f32;
  tensor.params = file_params(to);
  if (to) {
    emit(Op::QUANTIZE, {from.tensor}, {result}, wire::QuantizeOptionsT());
  } else {
    emit(Op::DEQUANTIZE, {from.tensor}, {result}, wire::DequantizeOptionsT());
  }
  return result;
}

TensorId Lowering::reals(TensorId codes) {
  const auto [found, is_new] = reals_.try_emplace(codes, TensorId::none);
  if (is_new) found->second = recode({codes, std::nullopt, {}}, std::nullopt);
  return found->second;
}

Result<TensorId> Lowering::reorder(const Form& from, const AxisOrder& order, ValueId id) {
  const auto& extents = *facts_[index(id)].shape;
  const auto wanted = permuted(extents, order);
  const bool same = wanted == draft_.tensor(from.tensor).shape;
  if (same && same_bytes(from.order, order, extents)) return from.tensor;
  const auto result = derived(from.tensor, order_suffix(order), wanted);
  OCTET_TRY(emit_transpose(from.tensor, result, permuted(positions(from.order), order)));
  return result;
}

Result<TensorId> Lowering::convert(ValueId id, const std::optional<Coding>& coding,
                                   const AxisOrder& order) {
  auto& held = held_[index(id)];
  const auto find = [&](const std::optional<Coding>& wanted) -> const Form* {
    const Form* found = nullptr;
    for (const auto& form : held.usable) {
      if (form.coding != wanted) continue;
      if (form.order == order) return &form;
      if (found == nullptr) found = &form;
    }
    return found;
  };
  const auto own = this->coding(id);
  if (find(coding) == nullptr) {
    if (coding != own && find(own) == nullptr) {
      OCTET_TRY(convert(id, own, held.made.order));
    }
    auto source = coding == own ? held.made : *find(own);
    if (source.coding && source.order != order) {
      // Codes are moved rather than reals.
      if (coding != own) {
        OCTET_TRY(convert(id, own, order));
        source = *find(own);
      }
    }
    held.usable.push_back({recode(source, coding), coding, source.order});
  }
  const Form found = *find(coding);
  if (found.order == order) return found.tensor;
  OCTET_ASSIGN(const auto tensor, reorder(found, order, id));
  held.usable.push_back({tensor, coding, order});
  return tensor;
}

Result<TensorId> Lowering::fetch(ValueId id, const std::optional<Coding>& coding,
                                 const AxisOrder& order) {
  if (held_[index(id)].made.tensor == TensorId::none) {
    if (!is_constant(id)) {
      return internal_error("value {} is read before it is made", graph_.value(id).name);
    }
    const Rearrangement moved{std::nullopt, is_identity(order) ? AxisOrder{} : order, {}, 1};
    if (!coding) return constant_reals(id, moved);
    return constant_codes(id, *coding, moved);
  }
  const bool plain = dtype(id) != DType::f32;
  return convert(id, plain ? std::nullopt : coding, order);
}

Result<TensorId> Lowering::operand(const Job& job, std::size_t slot, const AxisOrder& order) {
  const Use use{job.id, static_cast<int>(slot)};
  const auto id = job.node->input(slot);
  if (!job.coded) return fetch(id, std::nullopt, order);
  auto wanted = coding(use);
  if (!wanted && is_constant(id) && dtype(id) == DType::f32) {
    OCTET_ASSIGN(wanted, constant_coding(use, coding(job.output)->storage));
  }
  return fetch(id, wanted, order);
}

void Lowering::add_inputs() {
  for (const auto id : graph_.inputs) {
    const auto given = file_coding(id);
    DraftTensor tensor;
    tensor.name = graph_.value(id).name;
    tensor.dtype = given ? given->storage : dtype(id);
    tensor.params = file_params(given);
    tensor.shape = facts_[index(id)].shape.value_or(Shape{});
    const auto rank = tensor.shape.size();
    const auto made = draft_.add(std::move(tensor));
    draft_.inputs.push_back(made);
    alias(id, {made, given, identity_order(rank)});
  }
}

Status Lowering::add_outputs() {
  std::vector<TensorId> taken = draft_.inputs;
  for (const auto id : graph_.outputs) {
    OCTET_ASSIGN(const auto extents, shape(id));
    const auto order = identity_order(extents.size());
    const auto own = is_constant(id) ? std::nullopt : coding(id);
    const auto given = is_constant(id) ? std::nullopt : file_coding(id);
    OCTET_ASSIGN(const auto inner, fetch(id, own, order));
    OCTET_ASSIGN(auto outer, fetch(id, given, order));
    const auto rename = [&](TensorId tensor, std::string name) {
      if (std::find(taken.begin(), taken.end(), tensor) != taken.end()) return;
      draft_.tensor(tensor).name = std::move(name);
      draft_.tensor(tensor).parent = TensorId::none;
    };
    const auto& name = graph_.value(id).name;
    if (std::find(taken.begin(), taken.end(), outer) != taken.end() || draft_.tensor(outer).data) {
      // An input, a constant or another output that leaves the file under this name as well.
      const auto copy = derived(outer, "", extents);
      OCTET_TRY(emit_reshape(outer, copy));
      outer = copy;
    } else if (inner != outer) {
      rename(inner, name + std::string(coding_suffix(own)));
    }
    rename(outer, name);
    taken.push_back(outer);
    draft_.outputs.push_back(outer);
  }
  return {};
}

}  // namespace octet::tflite

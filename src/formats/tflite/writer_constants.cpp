// Constants as the file stores them.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "arithmetic/bias.h"
#include "arithmetic/quantize.h"
#include "formats/codes.h"
#include "formats/tflite/lowering.h"

namespace octet::tflite {
namespace {

/// Coded constants that a node reads as reals are stored as codes behind a DEQUANTIZE from this
/// size on; below it that would take more bytes than it saves.
constexpr std::int64_t least_dequantized = 256;
/// Relative difference of a bias's scale and the product of the two scales that is no more than
/// their rounding.
constexpr double scale_tolerance = 0x1p-20;

int code_bits(DType storage) {
  switch (storage) {
    case DType::i4: return 4;
    case DType::i16: return 16;
    case DType::i32:
    case DType::i64: return 32;
    default: return 8;
  }
}

std::string list_key(char tag, std::span<const std::int64_t> list) {
  std::string key(1, tag);
  for (const auto value : list) key += std::to_string(value) + ',';
  return key;
}

std::string coding_key(const Coding& coding) {
  std::string key(name(coding.storage));
  const auto append = [&](const auto& values) {
    key.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  append(coding.params.scale);
  append(coding.params.zero_point);
  return key;
}

Tensor widened(const Tensor& codes) {
  Tensor out(DType::i64, codes.shape());
  const auto values = codes.values<std::int32_t>();
  std::copy(values.begin(), values.end(), out.mutable_data<std::int64_t>());
  return out;
}

}  // namespace

namespace {

/// [I,O/group,kh,kw] as [I,O,(kh-1)*dh+1,(kw-1)*dw+1]; the rest are zeros, as floats and as codes
/// whose zero point is 0.
Tensor spread(const Tensor& from, std::int64_t group, const std::vector<std::int64_t>& dilations) {
  const auto& shape = from.shape();
  const auto dilation = [&](std::size_t i) { return dilations.empty() ? 1 : dilations[i]; };
  Shape wide{shape[0], shape[1] * group, (shape[2] - 1) * dilation(0) + 1,
             (shape[3] - 1) * dilation(1) + 1};
  const auto strides = row_major_strides(wide);
  auto to = Tensor::zeros(from.dtype(), std::move(wide));
  const auto size = static_cast<std::size_t>(bits(from.dtype())) / 8;
  const auto* source = from.raw();
  auto* target = to.mutable_raw();
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    const auto first = i / (shape[0] / group) * shape[1];
    for (std::int64_t o = 0; o < shape[1]; ++o) {
      for (std::int64_t y = 0; y < shape[2]; ++y) {
        for (std::int64_t x = 0; x < shape[3]; ++x, source += size) {
          const auto at = i * strides[0] + (first + o) * strides[1] + y * dilation(0) * strides[2] +
                          x * dilation(1);
          std::memcpy(target + static_cast<std::size_t>(at) * size, source, size);
        }
      }
    }
  }
  return to;
}

}  // namespace

Tensor Rearrangement::apply(const Tensor& tensor) const {
  auto out = view ? tensor.reshaped(*view) : tensor;
  if (group != 1 || !dilations.empty()) out = spread(out, group, dilations);
  if (!order.empty()) out = permute_axes(out, order);
  if (!last_axis.empty()) out = gather_last(out, last_axis);
  if (factor == 1 || out.dtype() != DType::f32) return out;
  auto* values = out.mutable_data<float>();
  std::transform(values, values + out.size(), values, [&](float x) { return x * factor; });
  return out;
}

int Rearrangement::axis_after(int axis, const Shape& shape) const {
  std::int64_t seen = axis;
  if (view) {
    // The axis of the view with as many elements before it.
    std::int64_t outer = 1;
    for (int i = 0; i < axis; ++i) outer *= shape[static_cast<std::size_t>(i)];
    seen = 0;
    for (std::int64_t before = 1; before != outer || (*view)[static_cast<std::size_t>(seen)] == 1;
         ++seen) {
      before *= (*view)[static_cast<std::size_t>(seen)];
    }
  }
  return static_cast<int>(order.empty() ? seen : position_of(order, seen));
}

std::string Rearrangement::key() const {
  return (view ? list_key('v', *view) : std::string()) + list_key('o', order) +
         list_key('l', last_axis) + list_key('d', dilations) + std::to_string(group) + '*' +
         std::to_string(factor);
}

const Tensor* Lowering::known(ValueId id) {
  if (const auto* constant = graph_.constant(id)) return constant;
  const auto found = known_.find(id);
  if (found != known_.end()) return &found->second;
  const auto& integers = facts_[index(id)].integers;
  const auto values = integers ? all_known(*integers) : std::nullopt;
  if (!values) return nullptr;
  Tensor tensor(facts_[index(id)].dtype, integers->shape);
  for (std::size_t i = 0; i < values->size(); ++i) {
    if (tensor.dtype() == DType::i64) {
      tensor.mutable_data<std::int64_t>()[i] = (*values)[i];
    } else {
      tensor.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>((*values)[i]);
    }
  }
  return &known_.emplace(id, std::move(tensor)).first->second;
}

std::optional<std::vector<std::int64_t>> Lowering::known_ints(ValueId id) {
  const auto* tensor = id == ValueId::none ? nullptr : known(id);
  if (tensor == nullptr || !is_integer(tensor->dtype())) return std::nullopt;
  auto values = to_int64(*tensor);
  return values ? std::optional(std::move(*values)) : std::nullopt;
}

bool Lowering::is_constant(ValueId id) const {
  if (graph_.value(id).is_constant()) return true;
  const auto& integers = facts_[index(id)].integers;
  if (integers && all_known(*integers)) return true;
  return widening_cast(id) != NodeId::none;
}

/// The Cast from a float16 constant that makes a value, or NodeId::none.
NodeId Lowering::widening_cast(ValueId id) const {
  const auto maker = producers_[index(id)];
  if (maker == NodeId::none || !graph_.node(maker).is("Cast")) return NodeId::none;
  const auto* half = graph_.constant(graph_.node(maker).input(0));
  const bool widens = half != nullptr && half->dtype() == DType::f16 && dtype(id) == DType::f32;
  return widens ? maker : NodeId::none;
}

TensorId Lowering::store_constant(std::string name, Tensor stored,
                                  const std::optional<Coding>& coding) {
  const auto id = temporary(std::move(name), stored.shape(), stored.dtype(), coding);
  draft_.tensor(id).data = std::move(stored);
  return id;
}

TensorId Lowering::invented(TensorId owner, std::string_view suffix, Tensor tensor) {
  const auto id = store_constant(std::string(suffix), std::move(tensor), std::nullopt);
  draft_.tensor(id).parent = owner;
  draft_.tensor(id).invented = true;
  return id;
}

TensorId Lowering::operand_constant(TensorId owner, std::string_view suffix, Tensor tensor) {
  const auto id = store_constant(std::string(suffix), std::move(tensor), std::nullopt);
  draft_.tensor(id).parent = owner;
  return id;
}

TensorId Lowering::invented_ints(TensorId owner, std::string_view suffix,
                                 std::span<const std::int64_t> values) {
  Tensor tensor(DType::i32, {static_cast<std::int64_t>(values.size())});
  std::transform(values.begin(), values.end(), tensor.mutable_data<std::int32_t>(), [](auto value) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX));
  });
  return invented(owner, suffix, std::move(tensor));
}

/// Signed codes of a constant; its payload where that has these numbers.
Result<Tensor> Lowering::codes_as(ValueId id, const Coding& coding) const {
  const auto* own = model_.plan.find(id);
  const auto payload = model_.plan.payloads.find(id);
  if (own != nullptr && payload != model_.plan.payloads.end() && own->params == coding.params) {
    return payload->second;
  }
  OCTET_ASSIGN(const auto real, to_f32(*graph_.constant(id)));
  QuantScheme scheme;
  if (own != nullptr && own->params == coding.params) scheme = own->scheme;
  scheme.bits = std::min(scheme.bits, code_bits(coding.storage));
  if (own == nullptr || own->params != coding.params) scheme.bits = code_bits(coding.storage);
  const auto type = scheme.bits <= 8 ? DType::i8 : scheme.bits <= 16 ? DType::i16 : DType::i32;
  return quantize(real, coding.params, scheme, type);
}

Result<TensorId> Lowering::constant_codes(ValueId id, const Coding& coding,
                                          const Rearrangement& rearrangement) {
  const auto key = std::pair(id, coding_key(coding) + rearrangement.key());
  if (const auto found = stored_.find(key); found != stored_.end()) return found->second;
  if (!graph_.value(id).is_constant()) {
    return internal_error("value {} is no constant to quantize", graph_.value(id).name);
  }
  OCTET_ASSIGN(const auto codes, codes_as(id, coding));
  auto placed = coding;
  if (placed.params.per_channel()) {
    placed.params.axis = placed.params.count() == 1
                             ? -1
                             : rearrangement.axis_after(placed.params.axis, codes.shape());
  }
  OCTET_ASSIGN(auto stored, codes_to_storage(rearrangement.apply(codes), coding.storage));
  const auto made = store_constant(graph_.value(id).name, std::move(stored), placed);
  stored_.emplace(key, made);
  return made;
}

Result<TensorId> Lowering::constant_reals(ValueId id, const Rearrangement& rearrangement) {
  const auto key = std::pair(id, "real" + rearrangement.key());
  if (const auto found = stored_.find(key); found != stored_.end()) return found->second;
  const auto& name = graph_.value(id).name;
  TensorId made = TensorId::none;
  const auto cast = rearrangement.factor == 1 ? widening_cast(id) : NodeId::none;
  const bool as_coded = rearrangement.factor == 1 && rearrangement.group == 1;
  const auto own = as_coded ? coding(id) : std::nullopt;
  if (cast != NodeId::none) {
    const auto half = graph_.node(cast).input(0);
    const auto stored = store_constant(graph_.value(half).name,
                                       rearrangement.apply(*graph_.constant(half)), std::nullopt);
    made = temporary(name, draft_.tensor(stored).shape, DType::f32);
    emit(Op::DEQUANTIZE, {stored}, {made}, wire::DequantizeOptionsT());
  } else if (own && graph_.value(id).is_constant() && code_bits(own->storage) <= 16 &&
             graph_.constant(id)->size() >= least_dequantized) {
    OCTET_ASSIGN(const auto stored, constant_codes(id, *own, rearrangement));
    made = derived(stored, "_float", draft_.tensor(stored).shape);
    draft_.tensor(made).dtype = DType::f32;
    draft_.tensor(made).params.reset();
    emit(Op::DEQUANTIZE, {stored}, {made}, wire::DequantizeOptionsT());
  } else {
    const auto* constant = known(id);
    if (constant == nullptr) return refused("float16 weights that are scaled");
    made = store_constant(name, rearrangement.apply(*constant), std::nullopt);
  }
  stored_.emplace(key, made);
  return made;
}

Result<Coding> Lowering::constant_coding(const Use& use, DType storage) {
  if (const auto planned = coding(use); planned && planned->storage == storage) return *planned;
  const auto id = graph_.node(use.node).input(static_cast<std::size_t>(use.input));
  OCTET_ASSIGN(const auto real, to_f32(*graph_.constant(id)));
  double low = 0;
  double high = 0;
  for (const float value : real.values<float>()) {
    if (!std::isfinite(value)) {
      return refused("constant {} holds {}, which has no code", graph_.value(id).name, value);
    }
    low = std::min(low, static_cast<double>(value));
    high = std::max(high, static_cast<double>(value));
  }
  QuantScheme scheme;
  scheme.bits = code_bits(storage);
  if (storage == DType::i16) scheme.symmetry = Symmetry::symmetric;
  return Coding{storage, params_from_range(low, high, scheme)};
}

Result<TensorId> Lowering::coded_bias(const Use& use, std::int64_t channels, const Coding& coding) {
  const auto id = graph_.node(use.node).input(static_cast<std::size_t>(use.input));
  const auto* own = model_.plan.find(graph_, use);
  const auto payload = model_.plan.payloads.find(id);
  const auto count = coding.params.count();
  bool fits = own != nullptr && own->scheme.bits > 16 && own->params.count() == count &&
              payload != model_.plan.payloads.end() && !model_.plan.overrides.contains(use) &&
              payload->second.size() == channels;
  for (std::size_t i = 0; fits && i < count; ++i) {
    const auto wanted = static_cast<double>(coding.params.scale[i]);
    fits = std::abs(static_cast<double>(own->params.scale[i]) - wanted) <= scale_tolerance * wanted;
  }
  auto placed = coding;
  Tensor codes;
  if (fits) {
    placed.params.scale = own->params.scale;
    codes = payload->second.reshaped({channels});
  } else {
    OCTET_ASSIGN(auto real, to_f32(*graph_.constant(id)));
    if (real.size() == 1) {
      const float value = real.data<float>()[0];
      real = Tensor(DType::f32, {channels});
      std::fill_n(real.mutable_data<float>(), channels, value);
    }
    const bool wide = coding.storage == DType::i64;
    for (std::int64_t i = 0; i < channels && !wide; ++i) {
      const float scale = coding.params.scale[count == 1 ? 0 : static_cast<std::size_t>(i)];
      const double code = static_cast<double>(real.data<float>()[i]) / static_cast<double>(scale);
      if (std::abs(code) <= largest_bias_code) continue;
      return bad_input("bias {} is {} times its scale, more than int32 holds",
                       graph_.value(id).name, code);
    }
    codes = quantize_bias(real.reshaped({channels}), coding.params,
                          wide ? BiasWidth::int64 : BiasWidth::int32);
  }
  if (coding.storage == DType::i64 && codes.dtype() == DType::i32) codes = widened(codes);
  const auto key = std::pair(id, coding_key(placed) + "bias");
  if (const auto found = stored_.find(key); found != stored_.end()) return found->second;
  const auto made = store_constant(graph_.value(id).name, std::move(codes), placed);
  stored_.emplace(key, made);
  return made;
}

Result<TensorId> Lowering::bias(const Job& job, const std::optional<Use>& use,
                                std::int64_t channels, TensorId input, TensorId weight,
                                TensorId owner, float factor) {
  if (!job.coded) {
    if (!use) return operand_constant(owner, "/bias", Tensor::zeros(DType::f32, {channels}));
    const auto id = graph_.node(use->node).input(static_cast<std::size_t>(use->input));
    return constant_reals(id, {Shape{channels}, {}, {}, factor});
  }
  const auto& in = *draft_.tensor(input).params;
  const auto& by = *draft_.tensor(weight).params;
  Coding coding;
  coding.storage = draft_.tensor(input).dtype == DType::i16 ? DType::i64 : DType::i32;
  for (const float scale : by.scale) coding.params.scale.push_back(in.scale[0] * scale);
  coding.params.zero_point.assign(by.count(), 0);
  coding.params.axis = by.count() > 1 ? 0 : -1;
  if (use) return coded_bias(*use, channels, coding);
  const auto made = store_constant("/bias", Tensor::zeros(coding.storage, {channels}), coding);
  draft_.tensor(made).parent = owner;
  return made;
}

}  // namespace octet::tflite

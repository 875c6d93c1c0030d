#include "formats/codes.h"

#include <algorithm>

#include "arithmetic/quantize.h"

namespace octet {
namespace {

template <class From, class To>
Tensor shifted(const Tensor& from, DType type, std::int32_t shift) {
  Tensor out(type, from.shape());
  To* target = out.mutable_data<To>();
  const auto values = from.values<From>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    target[i] = static_cast<To>(static_cast<std::int32_t>(values[i]) + shift);
  }
  return out;
}

Tensor unpack_nibbles(const Tensor& stored) {
  Tensor out(DType::i8, stored.shape());
  const auto* bytes = stored.data<std::uint8_t>();
  auto* codes = out.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < stored.size(); ++i) {
    const int nibble = (bytes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xF;
    const bool is_unsigned = stored.dtype() == DType::u4;
    codes[i] = static_cast<std::int8_t>(is_unsigned ? nibble - 8 : (nibble ^ 8) - 8);
  }
  return out;
}

Tensor pack_nibbles(const Tensor& codes, DType storage) {
  auto out = Tensor::zeros(storage, codes.shape());
  auto* bytes = out.mutable_data<std::uint8_t>();
  const auto* from = codes.data<std::int8_t>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    const auto nibble = static_cast<unsigned>(from[i] + storage_offset(storage)) & 0xFU;
    bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] | (nibble << (i % 2 == 0 ? 0 : 4)));
  }
  return out;
}

/// Symmetric codes that never use the most negative one: the narrow range.
template <class Code>
bool avoids_minimum(const Tensor& codes, std::int64_t minimum) {
  const auto values = codes.values<Code>();
  return std::none_of(values.begin(), values.end(), [&](Code code) { return code == minimum; });
}

CodeRange range_of(const Tensor& codes, const QuantScheme& scheme) {
  if (scheme.symmetry != Symmetry::symmetric || scheme.bits > 16) return CodeRange::full;
  const auto minimum = scheme.qmin();
  const bool narrow = codes.dtype() == DType::i8 ? avoids_minimum<std::int8_t>(codes, minimum)
                                                 : avoids_minimum<std::int16_t>(codes, minimum);
  return narrow ? CodeRange::narrow : CodeRange::full;
}

}  // namespace

std::int32_t storage_offset(DType storage) {
  switch (storage) {
    case DType::u4: return 8;
    case DType::u8: return 128;
    case DType::u16: return 32768;
    default: return 0;
  }
}

bool is_code_type(DType dtype) {
  switch (dtype) {
    case DType::i4:
    case DType::u4:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32: return true;
    default: return false;
  }
}

Tensor codes_from_storage(const Tensor& stored) {
  switch (stored.dtype()) {
    case DType::i4:
    case DType::u4: return unpack_nibbles(stored);
    case DType::u8: return shifted<std::uint8_t, std::int8_t>(stored, DType::i8, -128);
    case DType::u16: return shifted<std::uint16_t, std::int16_t>(stored, DType::i16, -32768);
    default: return stored;
  }
}

Result<Tensor> codes_to_storage(const Tensor& codes, DType storage) {
  if (codes.dtype() == DType::i8) {
    if (storage == DType::i4 || storage == DType::u4) return pack_nibbles(codes, storage);
    if (storage == DType::u8) return shifted<std::int8_t, std::uint8_t>(codes, storage, 128);
    if (storage == DType::i16) return shifted<std::int8_t, std::int16_t>(codes, storage, 0);
    if (storage == DType::i32) return shifted<std::int8_t, std::int32_t>(codes, storage, 0);
  }
  if (codes.dtype() == DType::i16) {
    if (storage == DType::u16) return shifted<std::int16_t, std::uint16_t>(codes, storage, 32768);
    if (storage == DType::i32) return shifted<std::int16_t, std::int32_t>(codes, storage, 0);
  }
  if (codes.dtype() == storage) return codes;
  return internal_error("codes of {} cannot be stored as {}", name(codes.dtype()), name(storage));
}

bool same_numbers(const Quantization& a, const Quantization& b) {
  return a.params == b.params && a.storage == b.storage;
}

Status set_coded_constant(QuantizedGraph& model, ValueId target, const Tensor& codes,
                          const Quantization& quantization) {
  OCTET_ASSIGN(auto image, dequantize(codes, quantization.params));
  auto& value = model.graph.value(target);
  value.dtype = DType::f32;
  value.shape = image.shape();
  value.constant = std::move(image);
  auto kept = quantization;
  kept.scheme.range = range_of(codes, kept.scheme);
  model.plan.values[target] = std::move(kept);
  model.plan.payloads[target] = codes;
  return {};
}

}  // namespace octet

#include "core/tensor.h"

#include <bit>
#include <cstring>
#include <new>

namespace octet {
namespace {

std::shared_ptr<std::byte[]> allocate(std::size_t bytes) {
  // Rounded up so that vector kernels may read a whole register at the tail.
  const auto rounded = (bytes + 2 * buffer_alignment - 1) / buffer_alignment * buffer_alignment;
  auto* memory =
      static_cast<std::byte*>(::operator new (rounded, std::align_val_t{buffer_alignment}));
  return {memory, [](std::byte* p) { ::operator delete (p, std::align_val_t{buffer_alignment}); }};
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 0xFFU : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

int nibble(const std::uint8_t* packed, std::int64_t i) {
  return (packed[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xF;
}

/// Calls fn(i, value) for every element in its own C++ type; false for types that are not numbers.
template <class Fn>
bool visit_elements(const Tensor& tensor, Fn fn) {
  const auto n = tensor.size();
  const auto each = [&](const auto* p) {
    for (std::int64_t i = 0; i < n; ++i) fn(i, p[i]);
    return true;
  };
  switch (tensor.dtype()) {
    case DType::f32: return each(tensor.data<float>());
    case DType::f64: return each(tensor.data<double>());
    case DType::i8: return each(tensor.data<std::int8_t>());
    case DType::u8:
    case DType::boolean: return each(tensor.data<std::uint8_t>());
    case DType::i16: return each(tensor.data<std::int16_t>());
    case DType::u16: return each(tensor.data<std::uint16_t>());
    case DType::i32: return each(tensor.data<std::int32_t>());
    case DType::u32: return each(tensor.data<std::uint32_t>());
    case DType::i64: return each(tensor.data<std::int64_t>());
    case DType::u64: return each(tensor.data<std::uint64_t>());
    case DType::f16:
      for (std::int64_t i = 0; i < n; ++i) fn(i, half_to_float(tensor.data<std::uint16_t>()[i]));
      return true;
    case DType::bf16:
      for (std::int64_t i = 0; i < n; ++i) {
        const auto high = static_cast<std::uint32_t>(tensor.data<std::uint16_t>()[i]) << 16;
        fn(i, std::bit_cast<float>(high));
      }
      return true;
    case DType::i4:
      for (std::int64_t i = 0; i < n; ++i) {
        const int raw = nibble(tensor.data<std::uint8_t>(), i);
        fn(i, raw >= 8 ? raw - 16 : raw);
      }
      return true;
    case DType::u4:
      for (std::int64_t i = 0; i < n; ++i) fn(i, nibble(tensor.data<std::uint8_t>(), i));
      return true;
    case DType::undefined:
    case DType::string:
    case DType::other: return false;
  }
  return false;
}

}  // namespace

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(std::move(shape)),
      count_(element_count(shape_)),
      storage_(allocate(storage_bytes(dtype_, count_))) {}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor tensor(dtype, std::move(shape));
  std::memset(tensor.storage_.get(), 0, tensor.bytes());
  return tensor;
}

Result<Tensor> Tensor::create(DType dtype, Shape shape) {
  OCTET_TRY(checked_element_count(shape));
  try {
    return Tensor(dtype, std::move(shape));
  } catch (const std::bad_alloc&) {
    return bad_input("not enough memory for a tensor that the input asks for");
  }
}

std::byte* Tensor::mutable_raw() {
  if (storage_ && storage_.use_count() > 1) {
    auto copy = allocate(bytes());
    std::memcpy(copy.get(), storage_.get(), bytes());
    storage_ = std::move(copy);
  }
  return storage_.get();
}

Tensor Tensor::reshaped(Shape shape) const {
  Tensor out = *this;
  out.shape_ = std::move(shape);
  return out;
}

bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

Result<std::vector<std::int64_t>> to_int64(const Tensor& tensor) {
  if (is_float(tensor.dtype())) {
    return bad_input("expected integers, found {}", name(tensor.dtype()));
  }
  std::vector<std::int64_t> out(static_cast<std::size_t>(tensor.size()));
  const bool numeric = visit_elements(tensor, [&](std::int64_t i, auto value) {
    out[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(value);
  });
  if (!numeric) return bad_input("expected integers, found {}", name(tensor.dtype()));
  return out;
}

Result<Tensor> to_f32(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) return tensor;
  Tensor out(DType::f32, tensor.shape());
  float* values = out.mutable_data<float>();
  const bool numeric = visit_elements(
      tensor, [&](std::int64_t i, auto value) { values[i] = static_cast<float>(value); });
  if (!numeric) return bad_input("expected numbers, found {}", name(tensor.dtype()));
  return out;
}

}  // namespace octet

#include <cstring>
#include <limits>

#include "formats/onnx/wire.h"
#include "graph/onnx_dtype.h"

namespace octet::onnx {
namespace {

/// Copies a typed data field of `count` elements, each converted to To; values that To cannot hold
/// are errors.
template <class To, class Field>
Status copy_field(const Field& field, std::int64_t count, std::string_view label, Tensor& out) {
  if (field.size() != count) {
    return bad_input("tensor {}: shape {} needs {} elements, the file has {}", label,
                     to_string(out.shape()), count, field.size());
  }
  To* data = out.mutable_data<To>();
  for (int i = 0; i < field.size(); ++i) {
    data[i] = static_cast<To>(field[i]);
    if constexpr (std::is_integral_v<To>) {
      using From = std::decay_t<decltype(field[i])>;
      if (static_cast<From>(data[i]) != field[i]) {
        return bad_input("tensor {}: element {} is {}, which {} cannot hold", label, i, field[i],
                         name(out.dtype()));
      }
    }
  }
  return {};
}

/// bool is one byte, 0 or 1; anything but 0 is read as 1.
void normalize_booleans(Tensor& tensor) {
  auto* data = tensor.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < tensor.size(); ++i) data[i] = data[i] != 0 ? 1 : 0;
}

Status copy_raw(std::span<const std::byte> raw, std::string_view label, Tensor& out) {
  if (raw.size() != out.bytes()) {
    return bad_input("tensor {}: shape {} of {} needs {} bytes, the file has {}", label,
                     to_string(out.shape()), name(out.dtype()), out.bytes(), raw.size());
  }
  if (!raw.empty()) std::memcpy(out.mutable_raw(), raw.data(), raw.size());
  if (out.dtype() == DType::boolean) normalize_booleans(out);
  return {};
}

Status copy_typed(const wire::TensorProto& tensor, std::string_view label, Tensor& out) {
  const auto n = out.size();
  switch (out.dtype()) {
    case DType::f32: return copy_field<float>(tensor.float_data(), n, label, out);
    case DType::f64: return copy_field<double>(tensor.double_data(), n, label, out);
    case DType::i64: return copy_field<std::int64_t>(tensor.int64_data(), n, label, out);
    case DType::u64: return copy_field<std::uint64_t>(tensor.uint64_data(), n, label, out);
    case DType::u32: return copy_field<std::uint32_t>(tensor.uint64_data(), n, label, out);
    case DType::i32: return copy_field<std::int32_t>(tensor.int32_data(), n, label, out);
    case DType::i16: return copy_field<std::int16_t>(tensor.int32_data(), n, label, out);
    case DType::u16:
    case DType::f16:
    case DType::bf16: return copy_field<std::uint16_t>(tensor.int32_data(), n, label, out);
    case DType::i8: return copy_field<std::int8_t>(tensor.int32_data(), n, label, out);
    case DType::u8: return copy_field<std::uint8_t>(tensor.int32_data(), n, label, out);
    case DType::boolean: {
      OCTET_TRY(copy_field<std::uint8_t>(tensor.int32_data(), n, label, out));
      normalize_booleans(out);
      return {};
    }
    // Two elements to an int32, in its low byte.
    case DType::i4:
    case DType::u4: return copy_field<std::uint8_t>(tensor.int32_data(), (n + 1) / 2, label, out);
    default: return internal_error("no typed data of {}", name(out.dtype()));
  }
}

/// Elements (4-bit types: bytes) that the message holds outside raw_data: refuses a claimed size
/// before memory is taken for it.
std::int64_t typed_elements(const wire::TensorProto& tensor) {
  return std::int64_t{tensor.float_data_size()} + tensor.int32_data_size() +
         tensor.int64_data_size() + tensor.double_data_size() + tensor.uint64_data_size();
}

}  // namespace

DType dtype_from_wire(int data_type) {
  const auto dtype = dtype_from_onnx(data_type);
  // A number newer than octet names a type to pass through.
  return dtype == DType::undefined && data_type != 0 ? DType::other : dtype;
}

int wire_from_dtype(DType dtype) { return static_cast<int>(onnx_code(dtype)); }

bool is_plain(DType dtype) { return bits(dtype) > 0; }

Result<Tensor> decode_tensor(const wire::TensorProto& tensor, std::string_view label,
                             ExternalFiles& files) {
  const auto dtype = dtype_from_wire(tensor.data_type());
  if (dtype == DType::undefined) return bad_input("tensor {} has no element type", label);
  const Shape shape(tensor.dims().begin(), tensor.dims().end());
  for (const auto dim : shape) {
    if (dim < 0) return bad_input("tensor {} has a negative dimension ({})", label, dim);
  }
  auto count = checked_element_count(shape);
  if (!count) return tl::unexpected(count.error().with_context(fmt::format("tensor {}", label)));
  if (!is_plain(dtype)) return Tensor(dtype, shape);

  const bool external = tensor.data_location() == wire::TensorProto::EXTERNAL;
  std::span<const std::byte> raw = std::as_bytes(std::span(tensor.raw_data()));
  if (external) {
    OCTET_ASSIGN(raw, files.bytes(tensor, label));
  }
  const bool is_raw = external || tensor.has_raw_data();
  const auto expected = storage_bytes(dtype, *count);
  const auto held = is_raw ? raw.size() : static_cast<std::size_t>(typed_elements(tensor)) * 8;
  if (expected > held) {
    return bad_input("tensor {}: shape {} of {} needs {} bytes, the file has {}", label,
                     to_string(shape), name(dtype), expected,
                     is_raw ? raw.size() : static_cast<std::size_t>(typed_elements(tensor)));
  }
  OCTET_ASSIGN(auto out, Tensor::create(dtype, shape));
  OCTET_TRY(is_raw ? copy_raw(raw, label, out) : copy_typed(tensor, label, out));
  return out;
}

void encode_tensor(const Tensor& tensor, wire::TensorProto& out) {
  for (const auto dim : tensor.shape()) out.add_dims(dim);
  out.set_data_type(wire_from_dtype(tensor.dtype()));
  out.set_raw_data(tensor.raw(), tensor.bytes());
}

bool strip_tensor(wire::TensorProto& tensor) {
  // Swapping frees the buffers at once; clearing would keep their capacity.
  { wire::TensorProto().mutable_float_data()->Swap(tensor.mutable_float_data()); }
  { wire::TensorProto().mutable_int32_data()->Swap(tensor.mutable_int32_data()); }
  { wire::TensorProto().mutable_int64_data()->Swap(tensor.mutable_int64_data()); }
  { wire::TensorProto().mutable_double_data()->Swap(tensor.mutable_double_data()); }
  { wire::TensorProto().mutable_uint64_data()->Swap(tensor.mutable_uint64_data()); }
  delete tensor.release_raw_data();
  tensor.clear_dims();
  tensor.clear_data_type();
  tensor.clear_external_data();
  tensor.clear_data_location();
  tensor.clear_name();
  return tensor.ByteSizeLong() > 0;
}

}  // namespace octet::onnx

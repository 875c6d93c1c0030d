#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/codes.h"
#include "formats/tflite/reader_checks.h"

namespace octet::tflite {
namespace {

/// Names occur twice or not at all in many files.
class UniqueNames {
 public:
  std::string take(std::string name, std::size_t number) {
    if (name.empty()) name = fmt::format("tensor_{}", number);
    auto unique = name;
    while (!taken_.try_emplace(unique, 0).second) {
      unique = fmt::format("{}_{}", name, ++taken_[name]);
    }
    return unique;
  }

 private:
  std::map<std::string, std::size_t> taken_;
};

DType dtype_of(wire::TensorType type) {
  switch (type) {
    case wire::TensorType::FLOAT32: return DType::f32;
    case wire::TensorType::FLOAT16: return DType::f16;
    case wire::TensorType::FLOAT64: return DType::f64;
    case wire::TensorType::BFLOAT16: return DType::bf16;
    case wire::TensorType::INT4: return DType::i4;
    case wire::TensorType::INT8: return DType::i8;
    case wire::TensorType::UINT8: return DType::u8;
    case wire::TensorType::INT16: return DType::i16;
    case wire::TensorType::UINT16: return DType::u16;
    case wire::TensorType::INT32: return DType::i32;
    case wire::TensorType::UINT32: return DType::u32;
    case wire::TensorType::INT64: return DType::i64;
    case wire::TensorType::UINT64: return DType::u64;
    case wire::TensorType::BOOL: return DType::boolean;
    default: return DType::other;
  }
}

std::string type_name_of(wire::TensorType type) {
  const std::string known = wire::EnumNameTensorType(type);
  return known.empty() ? fmt::format("type {}", static_cast<int>(type)) : known;
}

Result<Shape> read_shape(const wire::Tensor& from) {
  Shape shape;
  if (from.shape() != nullptr) shape.assign(from.shape()->begin(), from.shape()->end());
  if (shape.size() > 8) return bad_input("{} dimensions are too many", shape.size());
  for (const auto extent : shape) {
    if (extent < 0) return bad_input("its shape has the negative extent {}", extent);
  }
  const auto* signature = from.shape_signature();
  if (signature == nullptr || signature->size() == 0) return shape;
  if (signature->size() != shape.size()) {
    return bad_input("its shape has {} extents and its signature {}", shape.size(),
                     signature->size());
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (signature->Get(static_cast<flatbuffers::uoffset_t>(i)) < 0) shape[i] = dynamic_dim;
  }
  return shape;
}

Status read_zero_points(const wire::QuantizationParameters& from, DType dtype, QuantParams& to) {
  const auto count = to.scale.size();
  const auto* zeros = from.zero_point();
  const std::int64_t offset = storage_offset(dtype);
  if (zeros == nullptr || zeros->size() == 0) {
    to.zero_point.assign(count, static_cast<std::int32_t>(-offset));
    return {};
  }
  if (zeros->size() != count)
    return bad_input("{} scales but {} zero points", count, zeros->size());
  const std::int64_t limit = std::int64_t{1} << (std::min(bits(dtype), 16) - 1);
  for (std::size_t i = 0; i < count; ++i) {
    // The verifier does not ask for the alignment of a vector's elements.
    std::int64_t zero = 0;
    std::memcpy(&zero, zeros->Data() + i * sizeof zero, sizeof zero);
    zero = flatbuffers::EndianScalar(zero);
    const bool wide = dtype == DType::i32 || dtype == DType::i64;
    if (wide ? zero != 0 : zero < offset - limit || zero >= offset + limit) {
      return bad_input("its zero point {} is out of range", zero);
    }
    to.zero_point.push_back(static_cast<std::int32_t>(zero - offset));
  }
  return {};
}

/// The channel axis of more than one scale.
Status read_axis(const wire::QuantizationParameters& from, const Shape& shape, QuantParams& to) {
  if (to.scale.size() == 1) return {};
  const auto axis = from.quantized_dimension();
  if (axis < 0 || static_cast<std::size_t>(axis) >= shape.size()) {
    return bad_input("its quantization runs along axis {} of shape {}", axis, to_string(shape));
  }
  const auto extent = shape[static_cast<std::size_t>(axis)];
  if (extent != static_cast<std::int64_t>(to.scale.size())) {
    return bad_input("{} scales along axis {} of shape {}", to.scale.size(), axis,
                     to_string(shape));
  }
  to.axis = axis;
  return {};
}

QuantScheme scheme_of(const QuantParams& params, DType dtype) {
  QuantScheme scheme;
  scheme.bits = bits(dtype);
  const auto& zeros = params.zero_point;
  const bool symmetric = std::all_of(zeros.begin(), zeros.end(), [](auto z) { return z == 0; });
  scheme.symmetry = symmetric ? Symmetry::symmetric : Symmetry::asymmetric;
  if (params.per_channel()) {
    scheme.granularity = Granularity::per_channel;
    scheme.axis = params.axis;
  }
  return scheme;
}

/// Indices and shapes carry scales in some files, which mean nothing; so do floats, whose ranges
/// are leftovers of a conversion.
Status read_quantization(const wire::Tensor& from, FileTensor& to) {
  const auto* quantization = from.quantization();
  if (quantization == nullptr) return {};
  if (quantization->details_type() != wire::QuantizationDetails::NONE) {
    return bad_input("its custom quantization is not supported");
  }
  const auto* scales = quantization->scale();
  if (scales == nullptr || scales->size() == 0) return {};
  const bool wide = to.dtype == DType::i32 || to.dtype == DType::i64;
  if (!wide && !is_code_type(to.dtype)) return {};
  const bool usable = std::all_of(scales->begin(), scales->end(),
                                  [](float s) { return std::isfinite(s) && s > 0; });
  if (!usable && wide) return {};
  if (!usable) return bad_input("its scales are not all finite and positive");
  Quantization found;
  found.origin = Origin::imported;
  found.storage = to.dtype;
  found.params.scale.assign(scales->begin(), scales->end());
  OCTET_TRY(read_zero_points(*quantization, to.dtype, found.params));
  OCTET_TRY(read_axis(*quantization, to.shape, found.params));
  found.scheme = scheme_of(found.params, to.dtype);
  to.quantization = std::move(found);
  return {};
}

Status read_data(const FileModel& model, std::uint32_t buffer, FileTensor& to) {
  OCTET_ASSIGN(to.data, buffer_bytes(model, buffer));
  if (to.data.empty()) return {};
  to.is_constant = true;
  if (to.dtype == DType::other) return {};
  OCTET_ASSIGN(const auto count, checked_element_count(to.shape));
  if (storage_bytes(to.dtype, count) != to.data.size()) {
    return bad_input("its buffer has {} bytes where {} {} needs {}", to.data.size(), to.type_name,
                     to_string(to.shape), storage_bytes(to.dtype, count));
  }
  return {};
}

Status read_tensor(const FileModel& model, const wire::Tensor& from, FileTensor& to) {
  to.dtype = dtype_of(from.type());
  to.type_name = type_name_of(from.type());
  if (from.sparsity() != nullptr) return bad_input("sparse tensors are not supported");
  if (from.is_variable()) return bad_input("variable tensors (state) are not supported");
  OCTET_ASSIGN(to.shape, read_shape(from));
  OCTET_TRY(read_quantization(from, to));
  return read_data(model, from.buffer(), to);
}

}  // namespace

Status read_tensors(const wire::SubGraph& from, FileModel& model) {
  if (from.tensors() == nullptr) return {};
  UniqueNames names;
  for (const auto* tensor : *from.tensors()) {
    const auto number = model.tensors.size();
    FileTensor read;
    read.name = names.take(tensor->name() == nullptr ? "" : tensor->name()->str(), number);
    if (auto status = read_tensor(model, *tensor, read); !status) {
      return tl::unexpected(
          status.error().with_context(fmt::format("tensor {} ({})", number, read.name)));
    }
    model.tensors.push_back(std::move(read));
  }
  return {};
}

}  // namespace octet::tflite

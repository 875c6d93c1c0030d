#include "formats/onnx/wire.h"

namespace octet::onnx {
namespace {

/// Absurd beyond this; also keeps products of dimensions far from overflow.
constexpr std::int64_t largest_extent = std::int64_t{1} << 40;

/// The `type` field, or for files older than it the field that is set.
wire::AttributeProto::AttributeType type_of(const wire::AttributeProto& attribute) {
  if (attribute.type() != wire::AttributeProto::UNDEFINED) return attribute.type();
  if (attribute.has_f()) return wire::AttributeProto::FLOAT;
  if (attribute.has_i()) return wire::AttributeProto::INT;
  if (attribute.has_s()) return wire::AttributeProto::STRING;
  if (attribute.has_t()) return wire::AttributeProto::TENSOR;
  if (attribute.floats_size() > 0) return wire::AttributeProto::FLOATS;
  if (attribute.ints_size() > 0) return wire::AttributeProto::INTS;
  if (attribute.strings_size() > 0) return wire::AttributeProto::STRINGS;
  return wire::AttributeProto::UNDEFINED;
}

Attribute opaque(const wire::AttributeProto& attribute) {
  return OpaqueAttribute{attribute.SerializeAsString()};
}

}  // namespace

namespace extra {

std::string key(std::string_view kind, std::string_view name) {
  return std::string(kind) + std::string(name);
}

const std::string* find(const Graph& graph, std::string_view kind, std::string_view name) {
  const auto it = graph.format_extra.find(key(kind, name));
  return it == graph.format_extra.end() ? nullptr : &it->second;
}

}  // namespace extra

Result<Attribute> decode_attribute(const wire::AttributeProto& attribute, std::string_view label,
                                   ExternalFiles& files) {
  if (!attribute.ref_attr_name().empty()) return opaque(attribute);
  switch (type_of(attribute)) {
    case wire::AttributeProto::FLOAT: return Attribute(attribute.f());
    case wire::AttributeProto::INT: return Attribute(std::int64_t{attribute.i()});
    case wire::AttributeProto::STRING: return Attribute(attribute.s());
    case wire::AttributeProto::FLOATS:
      return Attribute(std::vector<float>(attribute.floats().begin(), attribute.floats().end()));
    case wire::AttributeProto::INTS:
      return Attribute(std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end()));
    case wire::AttributeProto::STRINGS:
      return Attribute(
          std::vector<std::string>(attribute.strings().begin(), attribute.strings().end()));
    case wire::AttributeProto::TENSOR: {
      OCTET_ASSIGN(auto tensor, decode_tensor(attribute.t(), label, files));
      if (!is_plain(tensor.dtype())) return opaque(attribute);
      return Attribute(std::move(tensor));
    }
    default: return opaque(attribute);
  }
}

wire::AttributeProto encode_attribute(const std::string& name, const Attribute& attribute) {
  wire::AttributeProto out;
  if (const auto* kept = std::get_if<OpaqueAttribute>(&attribute)) {
    out.ParseFromString(kept->bytes);
    return out;
  }
  out.set_name(name);
  if (const auto* f = std::get_if<float>(&attribute)) {
    out.set_type(wire::AttributeProto::FLOAT);
    out.set_f(*f);
  } else if (const auto* i = std::get_if<std::int64_t>(&attribute)) {
    out.set_type(wire::AttributeProto::INT);
    out.set_i(*i);
  } else if (const auto* s = std::get_if<std::string>(&attribute)) {
    out.set_type(wire::AttributeProto::STRING);
    out.set_s(*s);
  } else if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&attribute)) {
    out.set_type(wire::AttributeProto::INTS);
    for (const auto value : *ints) out.add_ints(value);
  } else if (const auto* floats = std::get_if<std::vector<float>>(&attribute)) {
    out.set_type(wire::AttributeProto::FLOATS);
    for (const auto value : *floats) out.add_floats(value);
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&attribute)) {
    out.set_type(wire::AttributeProto::STRINGS);
    for (const auto& value : *strings) out.add_strings(value);
  } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
    out.set_type(wire::AttributeProto::TENSOR);
    encode_tensor(*tensor, *out.mutable_t());
  }
  return out;
}

Status decode_value_info(const wire::ValueInfoProto& info, Value& value) {
  if (!info.type().has_tensor_type()) {
    if (info.has_type()) value.dtype = DType::other;
    return {};
  }
  const auto& type = info.type().tensor_type();
  value.dtype = dtype_from_wire(type.elem_type());
  if (!type.has_shape()) return {};
  Shape shape;
  std::vector<std::string> names;
  bool named = false;
  std::int64_t count = 1;
  for (const auto& dim : type.shape().dim()) {
    std::int64_t extent = dynamic_dim;
    if (dim.has_dim_value()) {
      extent = dim.dim_value();
      if (extent < 0) {
        return bad_input("{} has a negative dimension ({} at axis {})", info.name(), extent,
                         shape.size());
      }
      if (extent > largest_extent || (extent > 0 && count > largest_extent / extent)) {
        return bad_input("{} claims an absurdly large shape (dimension {} at axis {})", info.name(),
                         extent, shape.size());
      }
      if (extent > 0) count *= extent;
    }
    named = named || !dim.dim_param().empty();
    names.push_back(dim.dim_param());
    shape.push_back(extent);
  }
  value.shape = std::move(shape);
  if (named) value.dim_names = std::move(names);
  return {};
}

wire::ValueInfoProto encode_value_info(const Value& value, const std::string* kept) {
  wire::ValueInfoProto info;
  if (kept != nullptr) info.ParseFromString(*kept);
  info.set_name(value.name);
  const int elem_type = wire_from_dtype(value.dtype);
  if (elem_type == wire::TensorProto::UNDEFINED) {
    // A type octet does not model stays as the file had it.
    return info;
  }
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(elem_type);
  if (!value.shape) {
    type.clear_shape();
    return info;
  }
  auto& shape = *type.mutable_shape();
  const auto rank = static_cast<int>(value.shape->size());
  if (shape.dim_size() != rank) shape.clear_dim();
  for (int i = 0; i < rank; ++i) {
    auto& dim = i < shape.dim_size() ? *shape.mutable_dim(i) : *shape.add_dim();
    const auto at = static_cast<std::size_t>(i);
    dim.clear_value();
    if ((*value.shape)[at] != dynamic_dim) {
      dim.set_dim_value((*value.shape)[at]);
    } else if (at < value.dim_names.size() && !value.dim_names[at].empty()) {
      dim.set_dim_param(value.dim_names[at]);
    }
  }
  return info;
}

}  // namespace octet::onnx

// Constants of the file in the arrangement that the graph needs.

#include <algorithm>
#include <cstring>

#include "formats/codes.h"
#include "formats/tflite/translator.h"
#include "graph/onnx_dtype.h"

namespace octet::tflite {
namespace {

std::string key_of(const Arrangement& arrangement) {
  std::string key;
  if (arrangement.shape) key = to_string(*arrangement.shape);
  for (const auto axis : arrangement.perm) key += fmt::format(" {}", axis);
  return key;
}

/// Only extents of 1 change places: the bytes stay where they are.
bool keeps_bytes(const Shape& shape, const std::vector<int>& perm) {
  int last = -1;
  for (const auto axis : perm) {
    if (shape[static_cast<std::size_t>(axis)] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

template <class Element>
void permute_into(const Tensor& from, const std::vector<int>& perm, Tensor& to) {
  const auto strides = row_major_strides(from.shape());
  const auto rank = perm.size();
  std::vector<std::int64_t> steps(rank);
  for (std::size_t i = 0; i < rank; ++i) steps[i] = strides[static_cast<std::size_t>(perm[i])];
  std::vector<std::int64_t> at(rank, 0);
  const auto* source = from.data<Element>();
  auto* target = to.mutable_data<Element>();
  const auto inner = to.dim(static_cast<int>(rank) - 1);
  std::int64_t offset = 0;
  for (std::int64_t done = 0; done < to.size(); done += inner) {
    for (std::int64_t i = 0; i < inner; ++i) *target++ = source[offset + i * steps[rank - 1]];
    for (std::size_t axis = rank - 1; axis-- > 0;) {
      offset += steps[axis];
      if (++at[axis] < to.dim(static_cast<int>(axis))) break;
      offset -= steps[axis] * at[axis];
      at[axis] = 0;
    }
  }
}

/// Elements of whole bytes.
Tensor permuted(const Tensor& from, const std::vector<int>& perm) {
  if (perm.empty()) return from;
  Shape shape;
  for (const auto axis : perm) shape.push_back(from.dim(axis));
  if (from.size() == 0 || keeps_bytes(from.shape(), perm)) return from.reshaped(shape);
  Tensor to(from.dtype(), shape);
  switch (bits(from.dtype())) {
    case 8: permute_into<std::uint8_t>(from, perm, to); break;
    case 16: permute_into<std::uint16_t>(from, perm, to); break;
    case 32: permute_into<std::uint32_t>(from, perm, to); break;
    default: permute_into<std::uint64_t>(from, perm, to); break;
  }
  return to;
}

/// The channel axis of an arranged constant.
int arranged_axis(int axis, int rank, const Arrangement& arrangement) {
  if (axis < 0) return axis;
  if (arrangement.shape) axis += static_cast<int>(arrangement.shape->size()) - rank;
  const auto& perm = arrangement.perm;
  const auto found = std::find(perm.begin(), perm.end(), axis);
  return found == perm.end() ? axis : static_cast<int>(found - perm.begin());
}

}  // namespace

/// Contents of a constant; codes signed, and 4 bits to a byte each.
Result<Tensor> Translator::stored(int number, const Arrangement& arrangement) {
  const auto& from = file_.tensor(number);
  // Many tensors may share one buffer; no file that means well makes much of that.
  constexpr std::uint64_t most_copies = 64;
  constexpr std::uint64_t allowance = 1 << 20;
  constexpr std::uint64_t largest_growth = 8;
  constant_bytes_ += from.data.size() * largest_growth;
  if (constant_bytes_ > file_.bytes.size() * most_copies + allowance) {
    return bad_input("the constants take far more space than the file (at tensor {})", from.name);
  }
  OCTET_ASSIGN(auto tensor, Tensor::create(from.dtype, from.shape));
  if (!from.data.empty()) std::memcpy(tensor.mutable_raw(), from.data.data(), from.data.size());
  if (from.quantization || bits(from.dtype) < 8) tensor = codes_from_storage(tensor);
  if (arrangement.shape) tensor = tensor.reshaped(*arrangement.shape);
  return permuted(tensor, arrangement.perm);
}

/// The tensor's own name for its first arrangement.
std::string Translator::constant_name(int number) const {
  const auto& name = file_.tensor(number).name;
  return model_.graph.find_value(name) == ValueId::none ? name : invent(name);
}

Result<ValueId> Translator::make_constant(int number, const Arrangement& arrangement) {
  if (const auto source = casts_[static_cast<std::size_t>(number)]; source >= 0) {
    OCTET_ASSIGN(const auto half, constant(source, arrangement));
    auto cast = node("Cast", {half});
    cast.attributes["to"] = onnx_code(DType::f32);
    return inner(std::move(cast), constant_name(number), DType::f32);
  }
  const auto& from = file_.tensor(number);
  OCTET_ASSIGN(const auto tensor, stored(number, arrangement));
  const auto id = model_.graph.add_constant(constant_name(number), tensor);
  if (!from.is_coded()) return id;
  auto stated = *from.quantization;
  stated.params.axis = arranged_axis(stated.params.axis, from.rank(), arrangement);
  stated.scheme.axis = std::max(stated.params.axis, 0);
  OCTET_TRY(set_coded_constant(model_, id, tensor, stated));
  return id;
}

Result<ValueId> Translator::constant(int number, const Arrangement& arrangement) {
  const auto source = root(number);
  const auto key = std::pair(source, key_of(arrangement));
  if (const auto found = constants_.find(key); found != constants_.end()) return found->second;
  auto made = make_constant(source, arrangement);
  if (!made) return made;
  constants_[key] = *made;
  return made;
}

Result<ValueId> Translator::arranged(int number, const Arrangement& arrangement) {
  if (is_constant(number)) return constant(number, arrangement);
  OCTET_ASSIGN(const auto plain, value(number, Order::file));
  const auto& perm = arrangement.perm;
  if (perm.empty()) return plain;
  return transposed(plain, {perm.begin(), perm.end()},
                    invent(file_.tensor(number).name + "/transposed"));
}

Result<std::vector<std::int64_t>> Translator::integers(const FileOperator& op, std::size_t i,
                                                       std::string_view what) const {
  if (!has_input(op, i)) return bad_input("it lacks the {}", what);
  const auto& from = input(op, i);
  const bool empty = std::find(from.shape.begin(), from.shape.end(), 0) != from.shape.end();
  if (empty) return std::vector<std::int64_t>();
  if (!from.is_constant) return bad_input("the {} ({}) are not constant", what, from.name);
  if (from.dtype != DType::i32 && from.dtype != DType::i64) {
    return bad_input("the {} ({}) are of type {}", what, from.name, from.type_name);
  }
  // Lists of axes and extents: a long one is no such thing.
  constexpr std::size_t longest = 4096;
  if (from.data.size() > longest) return bad_input("the {} ({}) are too many", what, from.name);
  OCTET_ASSIGN(auto tensor, Tensor::create(from.dtype, from.shape));
  std::memcpy(tensor.mutable_raw(), from.data.data(), from.data.size());
  return to_int64(tensor);
}

Result<ValueId> Translator::bias(int number, int input, int weight) {
  const auto& from = file_.tensor(number);
  const bool integer = from.dtype == DType::i32 || from.dtype == DType::i64;
  if (!integer || !is_constant(number)) return value(number, Order::file);
  const auto key = std::pair(number, fmt::format("bias {}", from.quantization ? -1 : weight));
  if (const auto found = constants_.find(key); found != constants_.end()) return found->second;
  const auto* activation = quantization(input);
  const auto* coded = quantization(weight);
  if (activation == nullptr || coded == nullptr) {
    return bad_input("bias {} is of type {} where input and weights are not both quantized",
                     from.name, from.type_name);
  }
  Quantization stated;
  if (from.quantization) {
    stated = *from.quantization;
  } else {
    stated.origin = Origin::imported;
    stated.storage = from.dtype;
    stated.scheme.bits = bits(from.dtype);
    stated.scheme.symmetry = Symmetry::symmetric;
    for (const auto scale : coded->params.scale) {
      stated.params.scale.push_back(activation->params.scale[0] * scale);
    }
    stated.params.zero_point.assign(stated.params.scale.size(), 0);
    if (stated.params.count() > 1) {
      stated.params.axis = 0;
      stated.scheme.granularity = Granularity::per_channel;
    }
  }
  OCTET_ASSIGN(const auto codes, stored(number, {}));
  const auto id = model_.graph.add_constant(constant_name(number), codes);
  OCTET_TRY(set_coded_constant(model_, id, codes, stated));
  constants_[key] = id;
  return id;
}

ValueId Translator::integer_list(const std::vector<std::int64_t>& values, std::string_view hint) {
  const auto count = static_cast<std::int64_t>(values.size());
  return model_.graph.add_constant(invent(std::string(hint)),
                                   Tensor::from<std::int64_t>(values, {count}));
}

ValueId Translator::real(float value, std::string_view hint) {
  const auto [found, added] = reals_.try_emplace(value, ValueId::none);
  if (added) {
    found->second = model_.graph.add_constant(invent(fmt::format("{}/{}", hint, value)),
                                              Tensor::from<float>({value}, {}));
  }
  return found->second;
}

}  // namespace octet::tflite

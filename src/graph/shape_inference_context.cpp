#include <algorithm>

#include "graph/shape_inference_rules.h"

namespace octet {

Shape without_symbols(const Shape& shape) {
  Shape out = shape;
  for (auto& dim : out) dim = std::max(dim, dynamic_dim);
  return out;
}

std::optional<std::vector<std::int64_t>> all_known(const PartialInts& integers) {
  std::vector<std::int64_t> values;
  values.reserve(integers.elements.size());
  for (const auto& element : integers.elements) {
    if (!element.is_known()) return std::nullopt;
    values.push_back(element.value);
  }
  return values;
}

Result<Tensor> constant_node_value(const Node& node) {
  if (const auto* tensor = node.attribute<Tensor>("value")) return *tensor;
  if (const auto* number = node.attribute<std::int64_t>("value_int")) {
    return Tensor::from<std::int64_t>({*number}, {});
  }
  if (const auto* number = node.attribute<float>("value_float")) {
    return Tensor::from<float>({*number}, {});
  }
  if (const auto* list = node.attribute<std::vector<std::int64_t>>("value_ints")) {
    return Tensor::from<std::int64_t>(*list, {static_cast<std::int64_t>(list->size())});
  }
  if (const auto* list = node.attribute<std::vector<float>>("value_floats")) {
    return Tensor::from<float>(*list, {static_cast<std::int64_t>(list->size())});
  }
  return bad_input("a Constant holds no value that octet can read");
}

namespace shape_rules {
namespace {

bool holds_integers(DType dtype) { return dtype == DType::i64 || dtype == DType::i32; }

bool holds_numbers(DType dtype) {
  return holds_integers(dtype) || dtype == DType::boolean || dtype == DType::f32 ||
         dtype == DType::f64;
}

}  // namespace

const ValueFacts* Context::input(std::size_t i) const {
  const auto id = node_.input(i);
  return id == ValueId::none ? nullptr : &facts_[index(id)];
}

const Shape* Context::shape(std::size_t i) const {
  const auto* facts = input(i);
  return facts == nullptr || !facts->shape ? nullptr : &*facts->shape;
}

DType Context::dtype(std::size_t i) const {
  const auto* facts = input(i);
  return facts == nullptr ? DType::undefined : facts->dtype;
}

std::optional<PartialInts> Context::numbers(std::size_t i) const {
  const auto* facts = input(i);
  if (facts == nullptr) return std::nullopt;
  const auto* constant = graph_.constant(node_.input(i));
  if (constant != nullptr) return tensor_numbers(*constant);
  return holds_integers(facts->dtype) ? facts->integers : facts->numbers;
}

std::optional<PartialInts> Context::integers(std::size_t i) const {
  return holds_integers(dtype(i)) ? numbers(i) : std::nullopt;
}

std::optional<std::vector<std::int64_t>> Context::known_integers(std::size_t i) const {
  const auto partial = integers(i);
  return partial ? all_known(*partial) : std::nullopt;
}

bool Context::has_axes(std::size_t i) const {
  return input(i) != nullptr || node_.attributes.contains("axes");
}

std::optional<std::vector<std::int64_t>> Context::axes(std::size_t i) const {
  if (input(i) != nullptr) return known_integers(i);
  const auto* list = node_.attribute<std::vector<std::int64_t>>("axes");
  return list == nullptr ? std::nullopt : std::optional(*list);
}

void Context::set(std::size_t output, DType dtype, std::optional<Shape> shape) {
  if (output >= outputs_.size()) return;
  outputs_[output].dtype = dtype;
  outputs_[output].shape = std::move(shape);
}

void Context::set_numbers(std::size_t output, PartialInts numbers) {
  if (output >= outputs_.size() || !holds_numbers(outputs_[output].dtype)) return;
  if (static_cast<std::int64_t>(numbers.elements.size()) > max_partial_elements) return;
  auto& facts = outputs_[output];
  (holds_integers(facts.dtype) ? facts.integers : facts.numbers) = std::move(numbers);
}

Status check_same_type(DType a, DType b) {
  if (a == DType::undefined || b == DType::undefined || a == b) return {};
  return bad_input("inputs of types {} and {} do not go together", name(a), name(b));
}

bool differ(std::int64_t a, std::int64_t b) { return a >= 0 && b >= 0 && a != b; }

std::optional<Shape> input_shape(const Context& context, std::size_t i) {
  const auto* shape = context.shape(i);
  return shape == nullptr ? std::nullopt : std::optional(*shape);
}

std::optional<PartialInts> tensor_numbers(const Tensor& tensor) {
  if (tensor.size() > max_partial_elements || !holds_numbers(tensor.dtype())) return std::nullopt;
  PartialInts numbers{tensor.shape(), {}};
  if (tensor.dtype() == DType::f32) {
    for (const auto value : tensor.values<float>()) numbers.elements.push_back(real_number(value));
    return numbers;
  }
  if (tensor.dtype() == DType::f64) {
    for (const auto value : tensor.values<double>()) numbers.elements.push_back(real_number(value));
    return numbers;
  }
  const auto values = to_int64(tensor);
  if (!values) return std::nullopt;
  for (const auto value : *values) numbers.elements.push_back({PartialInt::Kind::known, value});
  return numbers;
}

bool few_elements(const Shape& shape) {
  const auto count = checked_element_count(shape);
  return count && *count <= max_partial_elements;
}

std::vector<std::int64_t> broadcast_strides(const Shape& from, const Shape& to) {
  const auto own = row_major_strides(from);
  std::vector<std::int64_t> strides(to.size(), 0);
  const auto missing = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1) strides[i + missing] = own[i];
  }
  return strides;
}

std::string text(const Shape& shape) { return to_string(without_symbols(shape)); }

Result<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const auto db = i < b.size() ? b[b.size() - 1 - i] : 1;
    auto& dim = out[out.size() - 1 - i];
    if (da == db || db == 1) {
      dim = da;
    } else if (da == 1) {
      dim = db;
    } else if (da < 0 && db < 0) {
      dim = dynamic_dim;
    } else if (da < 0 || db < 0) {
      dim = std::max(da, db);
    } else {
      return bad_input("shapes {} and {} do not broadcast", text(a), text(b));
    }
  }
  return out;
}

PartialInts strided_view(const PartialInts& input, const Shape& shape, std::int64_t offset,
                         const std::vector<std::int64_t>& strides) {
  PartialInts out{shape, {}};
  const auto count = element_count(shape);
  std::vector<std::int64_t> position(shape.size(), 0);
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t source = offset;
    for (std::size_t i = 0; i < shape.size(); ++i) source += position[i] * strides[i];
    out.elements.push_back(input.elements[static_cast<std::size_t>(source)]);
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (++position[i] < shape[i]) break;
      position[i] = 0;
    }
  }
  return out;
}

Result<std::int64_t> extent_product(const Shape& dims) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  std::int64_t known = 1;
  std::int64_t symbol = 0;
  int dynamic = 0;
  for (const auto dim : dims) {
    if (dim < 0) {
      symbol = dim;
      ++dynamic;
      continue;
    }
    if (dim > 1 && known > limit / dim) return bad_input("shape {} is absurdly large", text(dims));
    known *= dim;
  }
  if (dynamic == 0 || known == 0) return known;
  return dynamic == 1 && known == 1 ? symbol : dynamic_dim;
}

}  // namespace shape_rules
}  // namespace octet

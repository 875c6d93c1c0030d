#include "engine/integer/value_forms.h"

#include "engine/integer/litert_tables.h"
#include "engine/integer/wide_values.h"

namespace octet::integer {
namespace {

/// Codes of a constant as the arena would hold them: u8, in storage order.
std::vector<std::uint8_t> stored_codes(const Tensor& codes, bool channels_last) {
  const StoredShape stored{codes.shape(), channels_last};
  const auto plain = row_major_strides(codes.shape());
  const auto strides = storage_strides(stored);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(codes.size()));
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < strides.size(); ++d) {
      offset += rest / plain[d] * strides[d];
      rest %= plain[d];
    }
    bytes[static_cast<std::size_t>(offset)] =
        static_cast<std::uint8_t>(codes.data<std::int8_t>()[i] + 128);
  }
  // Kernels may read beyond the end.
  bytes.reserve(bytes.size() + buffer_alignment);
  return bytes;
}

}  // namespace

bool same_params(const kernels::CodeParams& a, const kernels::CodeParams& b) {
  return a.scale == b.scale && a.zero_point == b.zero_point && a.low == b.low && a.high == b.high;
}

ValueForms::ValueForms(const QuantizedGraph& model, Lowered& program)
    : model_(model), program_(program), channels_last_(channels_last_values(model.graph)) {}

int ValueForms::add_buffer(Buffer buffer) {
  program_.buffers.push_back(std::move(buffer));
  return static_cast<int>(program_.buffers.size()) - 1;
}

int ValueForms::add_codes(ValueId value, const kernels::CodeParams& params) {
  return add_codes(value, params,
                   index(value) < channels_last_.size() && channels_last_[index(value)]);
}

int ValueForms::add_codes(ValueId value, const kernels::CodeParams& params, bool channels_last) {
  Buffer buffer;
  buffer.value = value;
  buffer.coded = true;
  buffer.channels_last = channels_last;
  buffer.params = params;
  return add_buffer(std::move(buffer));
}

int ValueForms::add_image(ValueId value, const kernels::CodeParams& params) {
  const int id = add_codes(value, params, true);
  buffer(id).image = true;
  return id;
}

int ValueForms::add_floats(ValueId value) {
  Buffer buffer;
  buffer.value = value;
  return add_buffer(std::move(buffer));
}

void ValueForms::define(ValueId value, int buffer) {
  defined_[value] = buffer;
  program_.taps.push_back({value, buffer, static_cast<int>(program_.steps.size()) - 1});
}

void ValueForms::define_floats(ValueId value, int buffer, NodeId node) {
  const auto* quantization = model_.plan.find(value);
  if (quantization == nullptr || model_.graph.value(value).dtype != DType::f32) {
    define(value, buffer);
    return;
  }
  define(value, quantized(buffer, value, *quantization, node));
}

int ValueForms::quantized(int buffer, ValueId value, const Quantization& quantization,
                          NodeId node) {
  if (is_coded(&quantization)) {
    const int codes = add_codes(value, code_params(quantization, model_.plan.rule));
    add_step(make_quantize_step(node, params(codes), buffer, codes));
    return codes;
  }
  const int floats = add_floats(value);
  add_step(make_fake_quantize_step(node, quantization, model_.plan.rule, buffer, floats));
  return floats;
}

Result<int> ValueForms::defined(ValueId value) const {
  const auto it = defined_.find(value);
  if (it != defined_.end()) return it->second;
  return internal_error("value {} is read before it is made", model_.graph.value(value).name);
}

Result<int> ValueForms::float_of(ValueId value, NodeId node) {
  if (const auto* constant = program_.graph.constant(value); constant != nullptr) {
    return constant_floats(value, *constant);
  }
  OCTET_ASSIGN(const int buffer, defined(value));
  return dequantized(buffer, node);
}

int ValueForms::constant_floats(ValueId value, const Tensor& constant) {
  if (const auto it = constants_.find(value); it != constants_.end()) return it->second;
  const int id = add_floats(value);
  buffer(id).constant = constant;
  constants_[value] = id;
  return id;
}

int ValueForms::dequantized(int id, NodeId node) {
  if (!buffer(id).coded) return id;
  if (const auto it = dequantized_.find(id); it != dequantized_.end()) return it->second;
  const int floats = add_floats(buffer(id).value);
  add_step(make_dequantize_step(node, params(id), id, floats));
  dequantized_[id] = floats;
  return floats;
}

Result<int> ValueForms::float_input(NodeId node, int input) {
  const auto value = program_.graph.node(node).input(static_cast<std::size_t>(input));
  if (value == ValueId::none) return -1;
  OCTET_ASSIGN(const int floats, float_of(value, node));
  const auto it = model_.plan.overrides.find({node, input});
  if (it == model_.plan.overrides.end() || program_.graph.constant(value) != nullptr) {
    return floats;
  }
  if (!is_dynamic(it->second)) {
    const int image = converted_image_of(floats, value, it->second, node);
    return dequantized(quantized(image, value, it->second, node), node);
  }
  if (const auto made = dynamic_fake_.find(floats); made != dynamic_fake_.end()) {
    return made->second;
  }
  const int image = add_floats(value);
  add_step(make_dynamic_fake_quantize_step(node, floats, image));
  return dynamic_fake_[floats] = image;
}

Result<int> ValueForms::coded_input(NodeId node, int input) {
  const auto value = model_.graph.node(node).input(static_cast<std::size_t>(input));
  const auto* quantization = model_.plan.find(model_.graph, {node, input});
  if (!is_coded(quantization)) return internal_error("input {} has no 8-bit codes", input);
  if (model_.graph.constant(value) != nullptr) {
    OCTET_ASSIGN(const auto codes, constant_codes(model_, {node, input}));
    if (codes.dtype() != DType::i8) return internal_error("input {} has wide codes", input);
    const int id = add_codes(value, code_params(*quantization, model_.plan.rule), false);
    buffer(id).constant_codes = stored_codes(codes, false);
    return id;
  }
  OCTET_ASSIGN(const int id, defined(value));
  if (buffer(id).coded) return converted(id, code_params(*quantization, model_.plan.rule), node);
  return quantized(converted_image_of(id, value, *quantization, node), value, *quantization, node);
}

int ValueForms::converted_image_of(int id, ValueId value, const Quantization& wanted, NodeId node) {
  const auto* own = model_.plan.find(value);
  if (!is_litert(model_.plan.rule) || !converts_wide(own, &wanted)) return id;
  const int image = add_floats(value);
  add_step(make_convert_image_step(node, *own, wanted, id, image));
  return image;
}

Result<int> ValueForms::dynamic_input(NodeId node, InputOrder order) {
  const auto value = model_.graph.node(node).input(0);
  OCTET_ASSIGN(const int floats, float_of(value, node));
  // One read by several nodes, as by the three projections of an attention, is quantized once.
  const auto key = std::pair(floats, order);
  if (const auto it = dynamic_.find(key); it != dynamic_.end()) return it->second;
  const int codes = add_floats(value);
  add_step(make_dynamic_quantize_step(node, order, floats, codes));
  return dynamic_[key] = codes;
}

int ValueForms::converted(int id, const kernels::CodeParams& wanted, NodeId node) {
  if (same_params(params(id), wanted)) return id;
  for (const auto& [from, to] : conversions_) {
    // To the other type of a file, LiteRT converts in another way.
    if (from == id && same_params(params(to), wanted) &&
        params(to).stored_unsigned == wanted.stored_unsigned) {
      return to;
    }
  }
  const int target = add_codes(buffer(id).value, wanted, buffer(id).channels_last);
  add_step(make_lookup_step(node, requantize_table(params(id), wanted), id, target));
  conversions_.emplace_back(id, target);
  return target;
}

int ValueForms::joined(int id, const kernels::CodeParams& wanted, NodeId node) {
  if (same_params(params(id), wanted) || !joins_by_table(params(id), wanted)) {
    return converted(id, wanted, node);
  }
  const int target = add_codes(buffer(id).value, wanted, buffer(id).channels_last);
  add_step(make_lookup_step(node, litert_join_table(params(id), wanted), id, target));
  return target;
}

int ValueForms::in_order(int id, bool channels_last, NodeId node) {
  const auto& shape = model_.graph.value(buffer(id).value).shape;
  const bool has_orders = !shape || shape->size() == 4;
  if (buffer(id).channels_last == channels_last || !has_orders) return id;
  const auto key = std::pair(id, channels_last);
  if (const auto it = reordered_.find(key); it != reordered_.end()) return it->second;
  const int target = add_codes(buffer(id).value, params(id), channels_last);
  add_step(make_reshape_step(node, id, target));
  return reordered_[key] = target;
}

}  // namespace octet::integer

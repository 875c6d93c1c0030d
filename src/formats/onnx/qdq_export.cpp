#include <algorithm>

#include "arithmetic/quantize.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/qdq.h"
#include "formats/onnx/qdq_exporter.h"
#include "formats/onnx/wire.h"

namespace octet::onnx {
namespace {

/// First opset with per-channel Q/DQ, and with 16-bit and 4-bit codes.
constexpr std::int64_t per_channel_opset = 13;
constexpr std::int64_t wide_types_opset = 21;

}  // namespace

void Exporter::copy_header() {
  out_.name = from_.name;
  out_.metadata = from_.metadata;
  out_.opsets = from_.opsets;
  out_.producer = from_.producer;
  for (const auto& [key, value] : from_.format_extra) {
    // Types of inner values only repeat what follows from the inputs.
    if (!key.starts_with(extra::value_info)) out_.format_extra.emplace(key, value);
  }
}

Status Exporter::check_opset() const {
  const auto found = from_.opsets.find("");
  if (found == from_.opsets.end() || found->second >= wide_types_opset) return {};
  bool wide = false;
  const auto look = [&](const Quantization& q) {
    wide = wide || (q.storage != DType::i8 && q.storage != DType::u8 && q.storage != DType::i32);
  };
  for (const auto& [id, quantization] : model_.plan.values) look(quantization);
  for (const auto& [use, quantization] : model_.plan.overrides) look(quantization);
  if (wide || found->second < per_channel_opset) {
    return bad_input(
        "the model stays at opset {} because octet does not know all of its ops; "
        "these quantized types need opset {}",
        found->second, wide ? wide_types_opset : per_channel_opset);
  }
  return {};
}

void Exporter::reserve_names() {
  for (std::size_t i = 0; i < from_.node_slots(); ++i) {
    const auto& node = from_.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    reserved_.insert(node.name);
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (const auto id : *list) {
        if (id != ValueId::none) reserved_.insert(from_.value(id).name);
      }
    }
  }
  for (const auto id : from_.inputs) reserved_.insert(from_.value(id).name);
  for (const auto id : from_.outputs) reserved_.insert(from_.value(id).name);
}

/// Short: every name is in the file three times or so.
std::string Exporter::fresh(char prefix) {
  for (;;) {
    auto name = prefix + std::to_string(counters_[prefix]++);
    if (reserved_.insert(name).second) return name;
  }
}

/// A quantized value that the graph gives out: the name of the output belongs behind Q/DQ.
bool Exporter::is_quantized_output(ValueId id) const {
  return model_.plan.find(id) != nullptr && from_.is_output(id) && !from_.is_input(id);
}

ValueId Exporter::copy(ValueId id) {
  if (id == ValueId::none) return id;
  auto& target = copies_[index(id)];
  if (target != ValueId::none) return target;
  Value value = from_.value(id);
  if (is_quantized_output(id)) value.name = fresh('o');
  target = out_.add_value(std::move(value));
  return target;
}

ValueId Exporter::scale_constant(const Quantization& quantization) {
  const auto& params = quantization.params;
  const auto n = static_cast<std::int64_t>(params.scale.size());
  const auto tensor = Tensor::from<float>(params.scale, params.per_channel() ? Shape{n} : Shape{});
  for (const auto id : shared_constants_) {
    if (identical(*out_.constant(id), tensor)) return id;
  }
  shared_constants_.push_back(out_.add_constant(fresh('s'), tensor));
  return shared_constants_.back();
}

Result<ValueId> Exporter::zero_point_constant(const Quantization& quantization) {
  const auto& params = quantization.params;
  const auto n = static_cast<std::int64_t>(params.zero_point.size());
  const Shape shape = params.per_channel() ? Shape{n} : Shape{};
  const auto wide = Tensor::from<std::int32_t>(params.zero_point, shape);
  Tensor codes(bits(quantization.storage) <= 8 ? DType::i8 : DType::i16, shape);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto zero = params.zero_point[static_cast<std::size_t>(i)];
    if (codes.dtype() == DType::i8) {
      codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(zero);
    } else {
      codes.mutable_data<std::int16_t>()[i] = static_cast<std::int16_t>(zero);
    }
  }
  if (quantization.storage == DType::i32) codes = wide;
  OCTET_ASSIGN(const auto stored, codes_to_storage(codes, quantization.storage));
  for (const auto id : shared_constants_) {
    if (identical(*out_.constant(id), stored)) return id;
  }
  shared_constants_.push_back(out_.add_constant(fresh('z'), stored));
  return shared_constants_.back();
}

/// The integer initializer of a constant. It takes the constant's name where that is free.
Result<ValueId> Exporter::stored_constant(ValueId id, const Quantization& quantization) {
  for (const auto& made : stored_[index(id)]) {
    if (same_numbers(made.quantization, quantization)) return made.value;
  }
  const auto& plan = model_.plan;
  const auto& value = from_.value(id);
  const auto payload = plan.payloads.find(id);
  const auto* own = plan.find(id);
  Tensor codes;
  if (payload != plan.payloads.end() && own != nullptr && same_numbers(*own, quantization)) {
    codes = payload->second;
  } else {
    const int width = quantization.scheme.bits;
    const DType type = width <= 8 ? DType::i8 : width <= 16 ? DType::i16 : DType::i32;
    OCTET_ASSIGN(const auto real, to_f32(*value.constant));
    OCTET_ASSIGN(codes, quantize(real, quantization.params, quantization.scheme, type));
  }
  OCTET_ASSIGN(auto stored, codes_to_storage(codes, quantization.storage));
  const bool taken = is_quantized_output(id) || out_.find_value(value.name) != ValueId::none;
  const auto result = out_.add_constant(taken ? fresh('w') : value.name, std::move(stored));
  stored_[index(id)].push_back({quantization, result});
  return result;
}

Result<ValueId> Exporter::quantize_activation(ValueId id, const Quantization& quantization,
                                              const std::vector<ValueId>& params) {
  Value integer;
  integer.name = fresh('q');
  integer.dtype = quantization.storage;
  integer.shape = from_.value(id).shape;
  integer.dim_names = from_.value(id).dim_names;
  Node node;
  node.op = "QuantizeLinear";
  node.name = integer.name;
  node.inputs = {copy(id)};
  node.inputs.insert(node.inputs.end(), params.begin(), params.end());
  if (quantization.params.per_channel()) {
    node.attributes.emplace("axis", std::int64_t{quantization.params.axis});
  }
  const auto result = out_.add_value(std::move(integer));
  node.outputs = {result};
  out_.add_node(std::move(node));
  return result;
}

/// An absent zero point means 0. Only where all readers are Conv: ONNX Runtime (1.32) fuses Conv
/// without zero points of weights and bias, but not Gemm. QuantizeLinear needs it to state a type.
bool Exporter::implies_zero_point(ValueId id, const Quantization& quantization) const {
  if (!from_.value(id).is_constant() || from_.is_output(id)) return false;
  const auto offset = storage_offset(quantization.storage);
  const auto& zeros = quantization.params.zero_point;
  const auto& readers = uses_[index(id)];
  return std::all_of(zeros.begin(), zeros.end(), [&](auto z) { return z + offset == 0; }) &&
         std::all_of(readers.begin(), readers.end(),
                     [&](const Use& use) { return from_.node(use.node).is("Conv"); });
}

/// The value as a reader with this quantization sees it: behind DequantizeLinear, made on the first
/// call and shared afterwards.
Result<ValueId> Exporter::dequantize(ValueId id, const Quantization& quantization) {
  for (const auto& made : dequantized_[index(id)]) {
    if (same_numbers(made.quantization, quantization)) return made.value;
  }
  if (!is_code_type(quantization.storage)) {
    return internal_error("value {} cannot be stored as {}", from_.value(id).name,
                          name(quantization.storage));
  }
  const bool constant = from_.value(id).is_constant();
  std::vector<ValueId> params{scale_constant(quantization)};
  if (!implies_zero_point(id, quantization)) {
    OCTET_ASSIGN(const auto zero_point, zero_point_constant(quantization));
    params.push_back(zero_point);
  }
  OCTET_ASSIGN(const auto integer, constant ? stored_constant(id, quantization)
                                            : quantize_activation(id, quantization, params));
  const auto* own = model_.plan.find(id);
  const bool is_output =
      is_quantized_output(id) && own != nullptr && same_numbers(*own, quantization);
  Node node;
  node.op = "DequantizeLinear";
  node.name = fresh('d');
  node.inputs = {integer};
  node.inputs.insert(node.inputs.end(), params.begin(), params.end());
  if (quantization.params.per_channel()) {
    node.attributes.emplace("axis", std::int64_t{quantization.params.axis});
  }
  Value real;
  real.name = is_output ? from_.value(id).name : node.name;
  real.dtype = DType::f32;
  real.shape = from_.value(id).shape;
  real.dim_names = from_.value(id).dim_names;
  const auto result = out_.add_value(std::move(real));
  node.outputs = {result};
  out_.add_node(std::move(node));
  dequantized_[index(id)].push_back({quantization, result});
  return result;
}

Result<ValueId> Exporter::read(ValueId id, const Quantization* quantization) {
  if (id == ValueId::none || quantization == nullptr) return copy(id);
  // DequantizeLinear takes no 64-bit codes: biases of 16-bit activations are written as floats.
  if (quantization->storage == DType::i64 && from_.value(id).is_constant()) return copy(id);
  return dequantize(id, *quantization);
}

Status Exporter::add_node(NodeId id) {
  if (has_integer_operator(id)) return add_integer_operator(id);
  Node node = from_.node(id);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Use use{id, static_cast<int>(i)};
    const auto* quantization = model_.plan.find(from_, use);
    if (quantization != nullptr && is_dynamic(*quantization)) {
      node.inputs[i] = dequantize_at_run_time(node.inputs[i]);
    } else {
      OCTET_ASSIGN(node.inputs[i], read(node.inputs[i], quantization));
    }
  }
  for (auto& output : node.outputs) output = copy(output);
  out_.add_node(std::move(node));
  return {};
}

Status Exporter::set_outputs() {
  for (const auto id : from_.outputs) {
    const auto* quantization = is_quantized_output(id) ? model_.plan.find(id) : nullptr;
    OCTET_ASSIGN(const auto output, read(id, quantization));
    out_.outputs.push_back(output);
  }
  return {};
}

Result<Graph> Exporter::run() {
  OCTET_TRY(check_opset());
  copy_header();
  reserve_names();
  OCTET_ASSIGN(const auto order, from_.topological_order());
  for (const auto id : from_.inputs) out_.inputs.push_back(copy(id));
  bool captures = false;
  for (const auto id : order) {
    OCTET_TRY(add_node(id));
    for (const auto& [name, attribute] : from_.node(id).attributes) {
      captures = captures || std::holds_alternative<OpaqueAttribute>(attribute);
    }
  }
  OCTET_TRY(set_outputs());
  if (!captures) return std::move(out_);
  // A sub-graph may read any constant by name.
  for (std::size_t i = 0; i < from_.value_slots(); ++i) {
    const auto& value = from_.value(static_cast<ValueId>(i));
    if (value.is_constant() && out_.find_value(value.name) == ValueId::none) {
      copy(static_cast<ValueId>(i));
    }
  }
  return std::move(out_);
}

Result<Graph> emit_qdq(const QuantizedGraph& model) { return Exporter(model).run(); }

}  // namespace octet::onnx

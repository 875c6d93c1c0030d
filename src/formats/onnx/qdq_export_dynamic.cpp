#include "formats/onnx/qdq.h"
#include "formats/onnx/qdq_exporter.h"
#include "graph/onnx_dtype.h"

// An operator whose input is quantized at run time, as ONNX Runtime's optimizer knows it (and fuses
// it to DynamicQuantizeMatMul):
//
//   codes, scale, zero = DynamicQuantizeLinear(x)
//   y = Cast(MatMulInteger(codes, weight, zero)) * (scale * weight_scale) + bias

namespace octet::onnx {

/// Adds a node with one result: `result`, or a value of its own.
ValueId Exporter::emit(std::string_view op, std::vector<ValueId> inputs, DType dtype,
                       const ValueId* result, const Node* attributes_of) {
  Node node;
  node.op = std::string(op);
  node.name = fresh('n');
  node.inputs = std::move(inputs);
  if (attributes_of != nullptr) {
    node.name = attributes_of->name;
    node.attributes = attributes_of->attributes;
  }
  if (op == "Cast") node.attributes.emplace("to", onnx_code(dtype));
  ValueId output = result == nullptr ? ValueId::none : *result;
  if (output == ValueId::none) {
    Value value;
    value.name = fresh('t');
    value.dtype = dtype;
    output = out_.add_value(std::move(value));
  }
  node.outputs = {output};
  out_.add_node(std::move(node));
  return output;
}

/// One DynamicQuantizeLinear for each value.
Exporter::RunTimeCodes& Exporter::quantize_at_run_time(ValueId id) {
  const auto [entry, added] = run_time_codes_.try_emplace(id);
  auto& made = entry->second;
  if (!added) return made;
  const auto add = [&](char prefix, DType dtype, std::optional<Shape> shape) {
    Value value;
    value.name = fresh(prefix);
    value.dtype = dtype;
    value.shape = std::move(shape);
    return out_.add_value(std::move(value));
  };
  made.codes = add('q', DType::u8, from_.value(id).shape);
  made.scale = add('s', DType::f32, Shape{});
  made.zero_point = add('z', DType::u8, Shape{});
  Node node;
  node.op = "DynamicQuantizeLinear";
  node.name = out_.value(made.codes).name;
  node.inputs = {copy(id)};
  node.outputs = {made.codes, made.scale, made.zero_point};
  out_.add_node(std::move(node));
  return made;
}

ValueId Exporter::dequantize_at_run_time(ValueId id) {
  auto& made = quantize_at_run_time(id);
  if (made.real == ValueId::none) {
    made.real = emit("DequantizeLinear", {made.codes, made.scale, made.zero_point}, DType::f32);
  }
  return made.real;
}

/// Whether MatMulInteger or ConvInteger can state the node: constant codes with zero point 0.
bool Exporter::has_integer_operator(NodeId id) const {
  const auto found = model_.plan.overrides.find({id, 0});
  if (found == model_.plan.overrides.end() || !is_dynamic(found->second)) return false;
  if (model_.plan.dynamic_form != DynamicForm::integer_operators) return false;
  const Node& node = from_.node(id);
  const auto* weight = model_.plan.find(from_, {id, 1});
  const auto* constant = from_.constant(node.input(1));
  if (weight == nullptr || constant == nullptr) return false;
  if (weight->storage != DType::i8 && weight->storage != DType::u8) return false;
  for (const auto zero_point : weight->params.zero_point) {
    if (zero_point != 0) return false;
  }
  const int channel_axis = node.is("Conv") ? 0 : 1;
  if (weight->params.per_channel() && weight->params.axis != channel_axis) return false;
  if (node.input(2) != ValueId::none) {
    const auto* bias = from_.constant(node.input(2));
    const bool row = bias != nullptr && bias->rank() == 1 && bias->size() > 0 &&
                     bias->size() == constant->dim(channel_axis);
    if (!row || model_.plan.find(from_, {id, 2}) != nullptr) return false;
  }
  if (node.is("Conv")) return true;
  if (constant->rank() != 2) return false;
  return node.is("MatMul") || (node.is("Gemm") && node.attributes.empty());
}

/// scale of the input * scales of the weight, the latter in `shape`.
Result<ValueId> Exporter::combined_scale(const RunTimeCodes& input, const Quantization& weight,
                                         const Shape& shape) {
  const auto tensor =
      Tensor::from<float>(weight.params.scale, weight.params.per_channel() ? shape : Shape{});
  ValueId scale = ValueId::none;
  for (const auto id : shared_constants_) {
    if (identical(*out_.constant(id), tensor)) scale = id;
  }
  if (scale == ValueId::none) {
    scale = out_.add_constant(fresh('s'), tensor);
    shared_constants_.push_back(scale);
  }
  const auto [entry, added] = combined_scales_.try_emplace({input.scale, scale}, ValueId::none);
  auto& product = entry->second;
  if (added) {
    product = emit("Mul", {input.scale, scale}, DType::f32);
  }
  return product;
}

Status Exporter::add_integer_operator(NodeId id) {
  const Node& node = from_.node(id);
  const auto& weight = *model_.plan.find(from_, {id, 1});
  const auto channels = static_cast<std::int64_t>(weight.params.count());
  Shape along_channels{channels};
  if (node.is("Conv")) {
    along_channels.assign(static_cast<std::size_t>(from_.constant(node.input(1))->rank()), 1);
    along_channels[1] = channels;
  }
  const auto input = quantize_at_run_time(node.input(0));
  OCTET_ASSIGN(const auto codes, stored_constant(node.input(1), weight));
  std::vector<ValueId> inputs{input.codes, codes, input.zero_point};
  if (weight.storage == DType::u8) {
    auto whole = weight;
    whole.params = {{1.0F}, {0}, -1};
    OCTET_ASSIGN(const auto zero_point, zero_point_constant(whole));
    inputs.push_back(zero_point);
  }
  const auto sums = emit(node.is("Conv") ? "ConvInteger" : "MatMulInteger", std::move(inputs),
                         DType::i32, nullptr, &node);
  const auto real = emit("Cast", {sums}, DType::f32);
  OCTET_ASSIGN(const auto scale, combined_scale(input, weight, along_channels));
  const auto output = copy(node.output());
  if (node.input(2) == ValueId::none) {
    emit("Mul", {real, scale}, DType::f32, &output);
    return {};
  }
  const auto product = emit("Mul", {real, scale}, DType::f32);
  ValueId bias = ValueId::none;
  if (node.is("Conv")) {
    auto shape = along_channels;
    shape[1] = from_.constant(node.input(2))->size();
    const auto& name = from_.value(node.input(2)).name;
    const bool taken = out_.find_value(name) != ValueId::none;
    bias = out_.add_constant(taken ? fresh('b') : name,
                             from_.constant(node.input(2))->reshaped(shape));
  } else {
    bias = copy(node.input(2));
  }
  emit("Add", {product, bias}, DType::f32, &output);
  return {};
}

}  // namespace octet::onnx

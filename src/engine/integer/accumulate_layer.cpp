#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "arithmetic/quantize.h"
#include "engine/integer/litert_placement.h"

namespace octet {
namespace {

/// Axis of the constant weight that counts output channels; the error says what is not supported.
Result<int> output_axis(const Node& node, const Tensor& weight) {
  if (node.is("Conv") || node.is("ConvTranspose")) {
    if (weight.rank() == 4 || (weight.rank() == 3 && node.is("Conv"))) {
      return node.is("Conv") ? 0 : 1;
    }
    return bad_input("a {}-D {} does not run in integers", weight.rank() - 2, node.op);
  }
  if (weight.rank() != 2) return bad_input("its weight is not a matrix");
  if (node.is("MatMul")) return 1;
  if (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
      node.int_attribute("transA", 0) != 0) {
    return bad_input("alpha, beta or transA is set");
  }
  return node.int_attribute("transB", 0) != 0 ? 0 : 1;
}

Result<Tensor> to_i8(const Tensor& codes) {
  if (codes.dtype() == DType::i8) return codes;
  OCTET_ASSIGN(const auto wide, to_int64(codes));
  Tensor narrow(DType::i8, codes.shape());
  auto* out = narrow.mutable_data<std::int8_t>();
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (wide[i] < -128 || wide[i] > 127) return bad_input("weight code {} is not 8-bit", wide[i]);
    out[i] = static_cast<std::int8_t>(wide[i]);
  }
  return narrow;
}

/// One scale, and zero point where one is not 0, per output channel. Those along the axis of a
/// grouped ConvTranspose repeat in each group.
Status read_channels(const QuantParams& params, std::int64_t extent, Rule rule,
                     AccumulateLayer& layer) {
  const bool centred = std::all_of(params.zero_point.begin(), params.zero_point.end(),
                                   [](std::int32_t zero_point) { return zero_point == 0; });
  if (!centred && !is_litert(rule)) return bad_input("its weight has a zero point other than 0");
  if (params.per_channel() &&
      (params.axis != layer.output_axis || params.count() != static_cast<std::size_t>(extent))) {
    return bad_input("the scales of its weight do not run along the output channels");
  }
  for (std::int64_t o = 0; o < layer.output_channels; ++o) {
    const std::size_t i = static_cast<std::size_t>(o) % params.count();
    layer.weight_scale.push_back(params.scale[i]);
    if (!centred) layer.weight_zero_point.push_back(params.zero_point[i]);
  }
  return {};
}

/// Whether a bias so quantized counts in units of input scale * weight scale, up to the rounding of
/// the f32 product: the accumulator has no others.
bool in_accumulator_units(const Quantization& bias, float input_scale,
                          const std::vector<float>& weight_scale) {
  const auto& params = bias.params;
  for (std::size_t i = 0; i < weight_scale.size(); ++i) {
    const std::size_t c = params.per_channel() ? i : 0;
    if (c >= params.count() || params.zero_point[c] != 0) return false;
    const double expected = static_cast<double>(input_scale) * weight_scale[i];
    if (std::abs(params.scale[c] - expected) > expected * 0x1.0p-20) return false;
  }
  return true;
}

/// A constant bias as f32: what its codes stand for, or itself.
Status read_float_bias(const QuantizedGraph& model, const Use& use, AccumulateLayer& layer) {
  const auto& constant =
      *model.graph.constant(model.graph.node(use.node).input(static_cast<std::size_t>(use.input)));
  Tensor values = constant;
  if (const auto* quantization = model.plan.find(model.graph, use); quantization != nullptr) {
    OCTET_ASSIGN(const auto codes, constant_codes(model, use));
    OCTET_ASSIGN(values, dequantize(codes, quantization->params));
  }
  if (values.dtype() != DType::f32) return bad_input("its bias is not f32");
  const auto count = static_cast<std::size_t>(layer.output_channels);
  if (values.size() != layer.output_channels && values.size() != 1) {
    return bad_input("its bias is broadcast");
  }
  layer.float_bias.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    layer.float_bias[i] = values.data<float>()[values.size() == 1 ? 0 : i];
  }
  return {};
}

Status read_bias(const QuantizedGraph& model, NodeId id, const NodePlacement& placement,
                 AccumulateLayer& layer) {
  const Node& node = model.graph.node(id);
  layer.bias.assign(static_cast<std::size_t>(layer.output_channels), 0);
  if (placement.input == InputForm::wide) layer.wide_bias.assign(layer.bias.size(), 0);
  if (placement.bias) return read_float_bias(model, *placement.bias, layer);
  if (node.input(2) == ValueId::none) return {};
  const Tensor* constant = model.graph.constant(node.input(2));
  if (constant == nullptr) return bad_input("its bias is not constant");
  if (constant->rank() > 1 && constant->dim(constant->rank() - 1) != constant->size()) {
    return bad_input("its bias is broadcast");
  }
  const auto* quantization = model.plan.find(model.graph, {id, 2});
  const auto* input = model.plan.find(model.graph, {id, 0});
  if (quantization == nullptr || placement.input == InputForm::dynamic ||
      model.plan.rule == Rule::openvino ||
      (!is_litert(model.plan.rule) &&
       !in_accumulator_units(*quantization, input->params.scale[0], layer.weight_scale))) {
    return read_float_bias(model, {id, 2}, layer);
  }
  OCTET_ASSIGN(const auto codes, constant_codes(model, {id, 2}));
  OCTET_ASSIGN(const auto wide, to_int64(codes));
  if (wide.size() != layer.bias.size()) return bad_input("its bias is broadcast");
  if (placement.input == InputForm::wide) {
    layer.wide_bias = wide;
    return {};
  }
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (wide[i] < INT32_MIN || wide[i] > INT32_MAX) return bad_input("its bias overflows int32");
    layer.bias[i] = static_cast<std::int32_t>(wide[i]);
  }
  return {};
}

}  // namespace

Result<AccumulateLayer> accumulate_layer(const QuantizedGraph& model, NodeId id,
                                         const NodePlacement& placement) {
  const Node& node = model.graph.node(id);
  const auto* constant = model.graph.constant(node.input(1));
  const auto* weight = model.plan.find(model.graph, {id, 1});
  if (constant == nullptr) return bad_input("its weight is not constant");
  if (weight == nullptr) return bad_input("its weight is not quantized");
  if (weight->scheme.bits > 8) return bad_input("its weight has more than 8 bits");
  AccumulateLayer layer;
  OCTET_ASSIGN(layer.output_axis, output_axis(node, *constant));
  const std::int64_t extent = constant->dim(layer.output_axis);
  layer.output_channels = extent;
  if (node.is("ConvTranspose")) layer.output_channels *= node.int_attribute("group", 1);
  if (constant->size() == 0 || layer.output_channels < extent) {
    return bad_input("its weight is empty");
  }
  OCTET_TRY(read_channels(weight->params, extent, model.plan.rule, layer));
  OCTET_TRY(read_bias(model, id, placement, layer));
  OCTET_ASSIGN(const auto codes, constant_codes(model, {id, 1}));
  OCTET_ASSIGN(layer.codes, to_i8(codes));
  return layer;
}

std::int64_t wide_sum_bound(const AccumulateLayer& layer) {
  const Tensor& codes = layer.codes;
  const auto axis = static_cast<std::size_t>(layer.output_axis);
  const std::int64_t stride = row_major_strides(codes.shape())[axis];
  std::vector<std::int64_t> sums(static_cast<std::size_t>(codes.shape()[axis]), 0);
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    sums[static_cast<std::size_t>(i / stride % codes.shape()[axis])] +=
        std::abs(int{codes.data<std::int8_t>()[i]});
  }
  return *std::max_element(sums.begin(), sums.end()) * 255;
}

std::vector<float> layer_multipliers(const AccumulateLayer& layer, float input_scale,
                                     float output_scale) {
  std::vector<float> multipliers;
  multipliers.reserve(layer.weight_scale.size());
  for (const float scale : layer.weight_scale) {
    multipliers.push_back(onnx_multiplier(input_scale, scale, output_scale));
  }
  return multipliers;
}

}  // namespace octet

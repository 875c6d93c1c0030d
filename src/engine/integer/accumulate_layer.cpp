#include <cmath>

#include "engine/integer/placement.h"

namespace octet {
namespace {

/// Axis of the constant weight that counts output channels; the error says what is not supported.
Result<int> output_axis(const Graph& graph, const Node& node, const Tensor& weight) {
  if (node.is("Conv")) {
    if (weight.rank() != 3 && weight.rank() != 4) {
      return bad_input("only 1-D and 2-D convolutions run in integers");
    }
    return 0;
  }
  if (weight.rank() != 2) return bad_input("its weight is not a matrix");
  if (node.is("Gemm")) {
    if (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
        node.int_attribute("transA", 0) != 0) {
      return bad_input("alpha, beta or transA is set");
    }
    return node.int_attribute("transB", 0) != 0 ? 0 : 1;
  }
  const auto& shape = graph.value(node.input(0)).shape;
  if (!shape || shape->size() < 2 || shape->size() == 4) {
    return bad_input("its input has rank {}", shape ? static_cast<int>(shape->size()) : -1);
  }
  return 1;
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

/// One scale per output channel.
Result<std::vector<float>> channel_scales(const Quantization& weight, int axis,
                                          std::int64_t channels) {
  for (const auto zero_point : weight.params.zero_point) {
    if (zero_point != 0) return bad_input("its weight has a zero point other than 0");
  }
  const auto count = static_cast<std::size_t>(channels);
  if (!weight.params.per_channel()) return std::vector<float>(count, weight.params.scale[0]);
  if (weight.params.axis != axis || weight.params.count() != count) {
    return bad_input("the scales of its weight do not run along the output channels");
  }
  return weight.params.scale;
}

/// The bias as accumulator units. Its scale must be input scale * weight scale, up to the rounding
/// of the f32 product, since the accumulator has no other.
Status read_bias(const QuantizedGraph& model, NodeId id, float input_scale,
                 AccumulateLayer& layer) {
  const Node& node = model.graph.node(id);
  layer.bias.assign(static_cast<std::size_t>(layer.output_channels), 0);
  if (node.input(2) == ValueId::none) return {};
  const auto* quantization = model.plan.find(model.graph, {id, 2});
  if (model.graph.constant(node.input(2)) == nullptr) return bad_input("its bias is not constant");
  if (quantization == nullptr) return bad_input("its bias is not quantized");
  OCTET_ASSIGN(const auto codes, constant_codes(model, {id, 2}));
  OCTET_ASSIGN(const auto wide, to_int64(codes));
  if (wide.size() != layer.bias.size()) return bad_input("its bias is broadcast");
  const auto& params = quantization->params;
  for (std::size_t i = 0; i < wide.size(); ++i) {
    const std::size_t c = params.per_channel() ? i : 0;
    if (c >= params.count()) return bad_input("its bias has too few scales");
    const double expected = static_cast<double>(input_scale) * layer.weight_scale[i];
    if (params.zero_point[c] != 0 || std::abs(params.scale[c] - expected) > expected * 0x1.0p-20) {
      return bad_input("the scale of its bias is not input scale * weight scale");
    }
    if (wide[i] < INT32_MIN || wide[i] > INT32_MAX) return bad_input("its bias overflows int32");
    layer.bias[i] = static_cast<std::int32_t>(wide[i]);
  }
  return {};
}

}  // namespace

Result<AccumulateLayer> accumulate_layer(const QuantizedGraph& model, NodeId id) {
  const Node& node = model.graph.node(id);
  const auto* constant = model.graph.constant(node.input(1));
  const auto* weight = model.plan.find(model.graph, {id, 1});
  const auto* input = model.plan.find(model.graph, {id, 0});
  if (constant == nullptr) return bad_input("its weight is not constant");
  if (weight == nullptr) return bad_input("its weight is not quantized");
  if (weight->scheme.bits > 8) return bad_input("its weight has more than 8 bits");
  if (!is_coded(input)) return bad_input("its input is not quantized to 8 bits");
  AccumulateLayer layer;
  OCTET_ASSIGN(layer.output_axis, output_axis(model.graph, node, *constant));
  layer.output_channels = constant->dim(layer.output_axis);
  if (constant->size() == 0) return bad_input("its weight is empty");
  OCTET_ASSIGN(layer.weight_scale,
               channel_scales(*weight, layer.output_axis, layer.output_channels));
  OCTET_TRY(read_bias(model, id, input->params.scale[0], layer));
  OCTET_ASSIGN(const auto codes, constant_codes(model, {id, 1}));
  OCTET_ASSIGN(layer.codes, to_i8(codes));
  return layer;
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

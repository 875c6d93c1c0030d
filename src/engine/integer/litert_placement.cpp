#include "engine/integer/litert_placement.h"

#include <algorithm>

namespace octet {
namespace {

using litert::LayerForm;
using litert::Product;
using litert::Scaling;

bool has_zero_points(const Quantization& quantization) {
  const auto& zero_points = quantization.params.zero_point;
  return std::any_of(zero_points.begin(), zero_points.end(),
                     [](std::int32_t zero_point) { return zero_point != 0; });
}

bool is_fully_connected(const QuantizedGraph& model, const Node& node, const Quantization& weight) {
  if (node.is("Gemm")) return true;
  const Tensor* constant = model.graph.constant(node.input(1));
  return node.is("MatMul") && constant != nullptr && constant->rank() == 2 &&
         !has_zero_points(weight);
}

/// DEPTHWISE_CONV_2D, which has an output channel or more for each input channel.
bool is_depthwise(const QuantizedGraph& model, const Node& node) {
  const Tensor* weight = model.graph.constant(node.input(1));
  return node.is("Conv") && weight != nullptr && weight->rank() == 4 && weight->dim(1) == 1 &&
         node.int_attribute("group", 1) > 1;
}

LayerForm reference_form(const QuantizedGraph& model, const Node& node,
                         const Quantization& weight) {
  if (is_fully_connected(model, node, weight)) return {Scaling::real, Product::exact};
  const bool one_scale = node.is("MatMul") || weight.storage == DType::u8;
  return {Scaling::twice_rounded, one_scale ? Product::rounded : Product::exact};
}

LayerForm default_form(const QuantizedGraph& model, const Node& node, const Quantization& weight) {
  // The delegate takes int8 operands on the right only with zero points of 0.
  if (weight.storage == DType::u8 || !has_zero_points(weight)) return {};
  if (is_fully_connected(model, node, weight)) return {Scaling::rounded_up, Product::rounded};
  return {Scaling::twice_rounded, Product::rounded};
}

}  // namespace

litert::LayerForm litert_layer_form(const QuantizedGraph& model, NodeId id) {
  const Node& node = model.graph.node(id);
  const auto& weight = *model.plan.find(model.graph, {id, 1});
  return model.plan.rule == Rule::tflite ? reference_form(model, node, weight)
                                         : default_form(model, node, weight);
}

std::int32_t litert_bound(const QuantizedGraph& model, NodeId producer, float bound,
                          const Quantization& output) {
  const Node& node = model.graph.node(producer);
  const auto* weight = model.plan.find(model.graph, {producer, 1});
  const bool layer =
      node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul");
  const bool unsigned_codes = layer && weight != nullptr && weight->storage == DType::u8;
  const auto qmin = static_cast<std::int32_t>(output.scheme.qmin());
  const auto qmax = static_cast<std::int32_t>(output.scheme.qmax());
  const float scale = output.params.scale[0];
  const std::int32_t zero_point = output.params.zero_point[0];
  const bool built_in = model.plan.rule == Rule::tflite ||
                        (layer && weight != nullptr &&
                         default_form(model, node, *weight).scaling != Scaling::floating) ||
                        (unsigned_codes && is_depthwise(model, node));
  if (built_in) return litert::bound_half_away(bound, scale, zero_point, qmin, qmax);
  const std::int32_t offset = unsigned_codes ? 128 : 0;
  return litert::bound_half_even(bound, scale, zero_point + offset, qmin + offset, qmax + offset) -
         offset;
}

}  // namespace octet

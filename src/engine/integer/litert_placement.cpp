#include "engine/integer/litert_placement.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "graph/resize.h"

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

bool has_known_shape(const Graph& graph, ValueId value) {
  return graph.value(value).shape && is_static(*graph.value(value).shape);
}

LayerForm default_form(const QuantizedGraph& model, const Node& node, const Quantization& weight) {
  // The delegate leaves a shape that is computed at run time to LiteRT's optimized kernel.
  if (node.is("ConvTranspose") && !has_known_shape(model.graph, node.output())) {
    return {Scaling::rounded_up, weight.storage == DType::u8 ? Product::rounded : Product::exact};
  }
  // Nor does it take convolutions by weights of 4 bits.
  if (weight.storage == DType::i4 && node.is("Conv") && !is_depthwise(model, node)) {
    return {Scaling::rounded_up, Product::exact};
  }
  // The delegate takes int8 operands on the right only with zero points of 0.
  if (weight.storage == DType::u8 || !has_zero_points(weight)) return {};
  if (is_fully_connected(model, node, weight)) return {Scaling::rounded_up, Product::rounded};
  return {Scaling::twice_rounded, Product::rounded};
}

using litert::HybridCodes;
using litert::HybridForm;
using litert::HybridOutput;
using litert::HybridUnit;

/// Which XNNPACK computes as a matrix product of pixels.
bool is_pointwise(const QuantizedGraph& model, const Node& node) {
  const Tensor* weight = model.graph.constant(node.input(1));
  const auto all = [&](std::string_view name, std::int64_t value) {
    const auto numbers = node.ints_attribute(name);
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](std::int64_t number) { return number == value; });
  };
  return node.is("Conv") && weight != nullptr && weight->rank() == 4 && weight->dim(2) == 1 &&
         weight->dim(3) == 1 && node.int_attribute("group", 1) == 1 && all("strides", 1) &&
         all("pads", 0);
}

HybridForm reference_hybrid(const QuantizedGraph& model, const Node& node,
                            const Quantization& weight) {
  if (!node.is("Conv") && !node.is("ConvTranspose")) {
    const bool asymmetric = node.int_attribute("asymmetric_quantize_inputs", 0) != 0;
    return {asymmetric ? HybridCodes::asymmetric : HybridCodes::symmetric, HybridUnit::row,
            HybridOutput::scales_first};
  }
  const bool dense = node.is("Conv") && !is_depthwise(model, node);
  if (dense && weight.params.count() == 1) {
    return {HybridCodes::symmetric, HybridUnit::image, HybridOutput::scales_first};
  }
  return {HybridCodes::asymmetric, HybridUnit::image,
          dense ? HybridOutput::channel_first : HybridOutput::scales_first};
}

HybridForm default_hybrid(const QuantizedGraph& model, const Node& node) {
  // The delegate leaves these to LiteRT's optimized kernel.
  if (is_depthwise(model, node)) {
    return {HybridCodes::asymmetric, HybridUnit::image, HybridOutput::channel_first};
  }
  const bool image = node.is("ConvTranspose") || (node.is("Conv") && !is_pointwise(model, node));
  return {HybridCodes::delegate, image ? HybridUnit::image : HybridUnit::row, HybridOutput::fused};
}

}  // namespace

litert::HybridForm litert_hybrid_form(const QuantizedGraph& model, NodeId id) {
  const Node& node = model.graph.node(id);
  const auto& weight = *model.plan.find(model.graph, {id, 1});
  return model.plan.rule == Rule::tflite ? reference_hybrid(model, node, weight)
                                         : default_hybrid(model, node);
}

litert::WideForm litert_wide_form(const QuantizedGraph& model, NodeId id) {
  using litert::WideScaling;
  const Node& node = model.graph.node(id);
  const auto& weight = *model.plan.find(model.graph, {id, 1});
  if (!is_fully_connected(model, node, weight)) {
    return {WideScaling::reduced, node.is("MatMul") ? Product::rounded : Product::exact};
  }
  const auto* bias =
      node.input(2) == ValueId::none ? nullptr : model.plan.find(model.graph, {id, 2});
  const bool wide_bias = bias != nullptr && bias->storage == DType::i64;
  if (model.plan.rule == Rule::tflite || wide_bias) return {WideScaling::real, Product::exact};
  return {WideScaling::rounded_up, weight.params.count() > 1 ? Product::exact : Product::rounded};
}

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
  const bool built_in = model.plan.rule == Rule::tflite || output.scheme.bits > 8 ||
                        node.is("AveragePool") ||
                        (layer && weight != nullptr &&
                         default_form(model, node, *weight).scaling != Scaling::floating);
  if (built_in) return litert::bound_half_away(bound, scale, zero_point, qmin, qmax);
  const std::int32_t offset = unsigned_codes ? 128 : 0;
  return litert::bound_half_even(bound, scale, zero_point + offset, qmin + offset, qmax + offset) -
         offset;
}

std::optional<litert::SoftmaxKind> litert_softmax_kind(const QuantizedGraph& model,
                                                       const Node& node) {
  using litert::SoftmaxKind;
  if (!node.is("Softmax") && !node.is("LogSoftmax")) return std::nullopt;
  const auto kind = node.is("Softmax") ? SoftmaxKind::softmax : SoftmaxKind::logarithmic;
  const auto* output = model.plan.find(node.output());
  const auto wanted = litert::softmax_output(kind);
  const bool fits = is_coded(output) && output->scheme.bits == 8 &&
                    output->params.scale[0] == wanted.scale &&
                    output->params.zero_point[0] == wanted.zero_point - 128;
  return fits ? std::optional(kind) : std::nullopt;
}

namespace {

/// LiteRT knows sizes; a scale that does not give them exactly is another mapping.
bool scales_give_sizes(const Graph& graph, const Node& node, const Shape& in, const Shape& out) {
  const Tensor* scales = graph.constant(node.input(2));
  if (scales == nullptr || scales->dtype() != DType::f32) return false;
  if (scales->size() == 0) return true;
  const auto geometry = resolve_resize(node, in, scales->values<float>(), {});
  if (!geometry || geometry->scales[0] != 1 || geometry->scales[1] != 1) return false;
  for (std::size_t axis = 2; axis < 4; ++axis) {
    const float scale = geometry->scales[axis];
    const bool whole = scale >= 1 && scale == std::floor(scale);
    const bool known = in[axis] != dynamic_dim && out[axis] != dynamic_dim;
    const bool exact =
        known && scale * static_cast<float>(in[axis]) == static_cast<float>(out[axis]);
    if (!whole && !exact) return false;
  }
  return true;
}

}  // namespace

bool is_litert_resample(const Graph& graph, const Node& node) {
  if (!node.is("Resize") || node.string_attribute("mode", "nearest") != "linear") return false;
  const auto coordinates = node.string_attribute("coordinate_transformation_mode", "half_pixel");
  if (coordinates != "half_pixel" && coordinates != "align_corners" &&
      coordinates != "asymmetric") {
    return false;
  }
  const auto& in = graph.value(node.input(0)).shape;
  const auto& out = graph.value(node.output()).shape;
  if (!in || !out || in->size() != 4 || out->size() != 4) return false;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if ((*in)[axis] != (*out)[axis] && (*out)[axis] != dynamic_dim) return false;
  }
  if (node.string_attribute("keep_aspect_ratio_policy", "stretch") != "stretch" ||
      node.int_attribute("antialias", 0) != 0) {
    return false;
  }
  return node.input(2) == ValueId::none || scales_give_sizes(graph, node, *in, *out);
}

bool follows_from_shapes(const Graph& graph, ValueId value) {
  const auto producers = graph.producers();
  std::vector<ValueId> open = {value};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId id = open.back();
    open.pop_back();
    if (id == ValueId::none || graph.constant(id) != nullptr || !seen.insert(id).second) continue;
    const NodeId producer = producers[index(id)];
    if (producer == NodeId::none) return false;
    const Node& node = graph.node(producer);
    if (!node.is("Shape")) open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  return true;
}

std::vector<litert::ResamplePoint> litert_resample_points(const Node& node, litert::Resample form,
                                                          std::int64_t input, std::int64_t output) {
  const auto coordinates = node.string_attribute("coordinate_transformation_mode", "half_pixel");
  const litert::ResampleAxis axis{input, output, coordinates == "align_corners",
                                  coordinates == "half_pixel"};
  std::vector<litert::ResamplePoint> points;
  for (std::int64_t i = 0; i < output; ++i) points.push_back(resample_point(form, axis, i));
  return points;
}

litert::Resample litert_resample_form(const Graph& graph, const Node& node, Rule rule,
                                      bool unsigned_codes) {
  const Shape& out = *graph.value(node.output()).shape;
  const bool computed = node.input(3) != ValueId::none && graph.constant(node.input(3)) == nullptr;
  const bool open = out[2] == dynamic_dim || out[3] == dynamic_dim;
  return litert::resample_form(rule, computed || open, unsigned_codes);
}

Status check_litert_resample(const Shape& input, const Shape& output) {
  const bool images = input.size() == 4 && output.size() == 4;
  if (images && input[0] == output[0] && input[1] == output[1] && element_count(input) > 0) {
    return {};
  }
  return bad_input("cannot resize {} to {}", to_string(input), to_string(output));
}

Result<Shape> litert_resized(const Node& node, const Shape& input, const Tensor* scales,
                             const Tensor* sizes) {
  std::vector<float> factors;
  std::vector<std::int64_t> extents;
  if (scales != nullptr) {
    OCTET_ASSIGN(const auto values, to_f32(*scales));
    factors.assign(values.data<float>(), values.data<float>() + values.size());
  }
  if (sizes != nullptr) {
    OCTET_ASSIGN(extents, to_int64(*sizes));
  }
  OCTET_ASSIGN(auto geometry, resolve_resize(node, input, factors, extents));
  OCTET_TRY(check_litert_resample(input, geometry.output));
  return std::move(geometry.output);
}

std::optional<NodeId> litert_square(const QuantizedGraph& model, const Node& sub,
                                    const std::vector<Use>& readers) {
  const Graph& graph = model.graph;
  if (!sub.is("Sub") || readers.size() != 2 || graph.is_output(sub.output()) ||
      model.plan.find(sub.output()) != nullptr) {
    return std::nullopt;
  }
  const NodeId reader = readers[0].node;
  const Node& mul = graph.node(reader);
  const auto* output = model.plan.find(mul.output());
  const bool overridden =
      model.plan.overrides.contains(readers[0]) || model.plan.overrides.contains(readers[1]);
  if (readers[1].node != reader || !mul.is("Mul") || overridden || !is_coded(output) ||
      output->storage == DType::u8) {
    return std::nullopt;
  }
  return reader;
}

}  // namespace octet

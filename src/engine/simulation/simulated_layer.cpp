#include "engine/simulation/simulated_layer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "arithmetic/dynamic.h"
#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "arithmetic/round.h"
#include "engine/integer/openvino_placement.h"

namespace octet::simulation {
namespace {

constexpr std::int64_t exact_limit = std::int64_t{1} << 24;

/// Max over channels of sum |w| * `reach`, the largest |q - zero_point|.
std::int64_t accumulator_bound(const Node& node, const AccumulateLayer& layer, std::int64_t reach) {
  const Tensor& codes = layer.codes;
  const auto strides = row_major_strides(codes.shape());
  const auto axis = static_cast<std::size_t>(layer.output_axis);
  // A grouped ConvTranspose: the inputs of a group lead to its own outputs.
  const std::int64_t groups = layer.output_channels / codes.shape()[axis];
  const std::int64_t group_inputs = node.is("ConvTranspose") ? codes.dim(0) / groups : 0;
  std::vector<std::int64_t> sums(layer.bias.size(), 0);
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    std::int64_t channel = i / strides[axis] % codes.shape()[axis];
    if (group_inputs > 0) channel += i / strides[0] / group_inputs * codes.shape()[axis];
    sums[static_cast<std::size_t>(channel)] += std::abs(
        codes.data<std::int8_t>()[i] - layer.zero_point(static_cast<std::size_t>(channel)));
  }
  return *std::max_element(sums.begin(), sums.end()) * reach;
}

std::int64_t input_reach(const NodePlacement& placement, const Quantization& input) {
  if (placement.input == InputForm::dynamic) return 255;
  const std::int64_t zero_point = input.params.zero_point[0];
  return std::max(input.scheme.qmax() - zero_point, zero_point - input.scheme.qmin());
}

/// The node alone, without bias, its weight replaced by integer-valued f32.
Result<std::unique_ptr<FloatOp>> integer_valued_op(const QuantizedGraph& model, const Node& node,
                                                   const AccumulateLayer& layer) {
  Graph graph;
  const Value& source = model.graph.value(node.input(0));
  Value input;
  input.name = "codes";
  input.dtype = DType::f32;
  input.shape = source.shape;
  const auto input_id = graph.add_value(std::move(input));
  graph.inputs.push_back(input_id);
  OCTET_ASSIGN(auto weights, to_f32(layer.codes));
  if (!layer.weight_zero_point.empty()) {
    // A grouped ConvTranspose has the same zero points in each group.
    const std::int64_t stride =
        row_major_strides(weights.shape())[static_cast<std::size_t>(layer.output_axis)];
    const std::int64_t extent = weights.dim(layer.output_axis);
    auto* w = weights.mutable_data<float>();
    for (std::int64_t i = 0; i < weights.size(); ++i) {
      w[i] -= static_cast<float>(layer.zero_point(static_cast<std::size_t>(i / stride % extent)));
    }
  }
  const auto weight_id = graph.add_constant("weights", std::move(weights));
  Value output;
  output.name = "accumulator";
  output.dtype = DType::f32;
  output.shape = model.graph.value(node.output()).shape;
  const auto output_id = graph.add_value(std::move(output));
  graph.outputs.push_back(output_id);
  Node copy = node;
  copy.inputs = {input_id, weight_id};
  copy.outputs = {output_id};
  const auto id = graph.add_node(std::move(copy));
  return make_float_op(graph, id);
}

}  // namespace

Result<DynamicCodes> quantize_dynamically(const Activation& values) {
  if (values.tensor.dtype() != DType::f32) {
    return bad_input("cannot quantize {}", name(values.tensor.dtype()));
  }
  float minimum = 0;
  float maximum = 0;
  for (const float x : values.tensor.values<float>()) {
    if (x < minimum) minimum = x;
    if (x > maximum) maximum = x;
  }
  const auto params = dynamic_params(minimum, maximum);
  DynamicCodes result{{Tensor(DType::i8, values.tensor.shape()), values.channels_last},
                      params.zero_point - 128,
                      params.scale};
  const float* x = values.tensor.data<float>();
  auto* q = result.coded.codes.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < values.tensor.size(); ++i) {
    q[i] = static_cast<std::int8_t>(
        quantize_value(x[i], params.scale, params.zero_point - 128, -128, 127));
  }
  return result;
}

Result<std::unique_ptr<AccumulateOp>> AccumulateOp::make(const QuantizedGraph& model, NodeId id,
                                                         const NodePlacement& placement) {
  const Node& node = model.graph.node(id);
  OCTET_ASSIGN(const auto layer, accumulate_layer(model, id, placement));
  const auto& input = *model.plan.find(model.graph, {id, 0});
  auto op = std::make_unique<AccumulateOp>();
  OCTET_ASSIGN(op->op_, integer_valued_op(model, node, layer));
  op->summary_.node = node.name;
  op->summary_.accumulator_bound = accumulator_bound(node, layer, input_reach(placement, input));
  op->summary_.exact = op->summary_.accumulator_bound < exact_limit;
  op->form_ = placement.form;
  op->bias_ = layer.bias;
  op->float_bias_ = layer.float_bias;
  op->channel_axis_is_1_ = node.is("Conv") || node.is("ConvTranspose");
  if (placement.input == InputForm::coded) {
    op->input_scale_ = input.params.scale[0];
    op->input_zero_point_ = input.params.zero_point[0];
  }
  if (placement.form == OutputForm::floats) {
    op->multipliers_ = layer.weight_scale;
    return op;
  }
  const auto& output = *model.plan.find(placement.output);
  if (model.plan.rule == Rule::openvino) {
    const auto form = openvino_layer_form(model.graph, node, !layer.float_bias.empty());
    const auto limits = openvino::limits(output.params.scale[0], output.params.zero_point[0] + 128);
    for (std::size_t c = 0; c < layer.weight_scale.size(); ++c) {
      op->openvino_layers_.push_back(
          openvino::layer(form, input.params.scale[0] * layer.weight_scale[c],
                          layer.float_bias.empty() ? 0.0F : layer.float_bias[c], limits));
    }
  } else {
    op->scaling_ = placement.scaling.scaling;
    for (const float weight_scale : layer.weight_scale) {
      op->channels_.push_back(litert::channel(placement.scaling, input.params.scale[0],
                                              weight_scale, output.params.scale[0]));
    }
  }
  op->output_zero_point_ = output.params.zero_point[0];
  op->low_ = placement.low;
  op->high_ = placement.high;
  return op;
}

Result<Activation> AccumulateOp::sums(const CodedActivation& input, std::int32_t zero_point,
                                      FloatOp::State* state) const {
  Activation centred{Tensor(DType::f32, input.codes.shape()), input.channels_last};
  const auto* q = input.codes.data<std::int8_t>();
  auto* x = centred.tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < input.codes.size(); ++i) {
    x[i] = static_cast<float>(int{q[i]} - zero_point);
  }
  const Activation* const arguments[] = {&centred, nullptr};
  OCTET_ASSIGN(auto results, op_->run(arguments, state));
  return std::move(results[0]);
}

template <class Fn>
void AccumulateOp::for_each_accumulator(const Activation& sums, Fn fn) const {
  const Shape& shape = sums.tensor.shape();
  // Elements from one channel to the next in memory.
  std::int64_t inner = 1;
  if (channel_axis_is_1_ && !sums.channels_last) {
    for (std::size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
  }
  const auto channels = static_cast<std::int64_t>(bias_.size());
  const float* sum = sums.tensor.data<float>();
  for (std::int64_t i = 0; i < sums.tensor.size(); ++i) {
    const auto c = static_cast<std::size_t>(i / inner % channels);
    // Modulo 2^32, as the integer engine's accumulator.
    fn(i, c,
       static_cast<std::int32_t>(
           static_cast<std::int64_t>(round_half_even(static_cast<double>(sum[i]))) + bias_[c]));
  }
}

Result<CodedActivation> AccumulateOp::run(const CodedActivation& input,
                                          FloatOp::State* state) const {
  OCTET_ASSIGN(const auto all, sums(input, input_zero_point_, state));
  CodedActivation output{Tensor(DType::i8, all.tensor.shape()), all.channels_last};
  auto* out = output.codes.mutable_data<std::int8_t>();
  if (!openvino_layers_.empty()) {
    for_each_accumulator(all, [&](std::int64_t i, std::size_t c, std::int32_t accumulator) {
      const auto& layer = openvino_layers_[c];
      const float x = float_output(accumulator, layer.multiplier, layer.bias);
      out[i] = static_cast<std::int8_t>(openvino::quantize(x, layer.line, low_ + 128, high_ + 128) -
                                        128);
    });
    return output;
  }
  for_each_accumulator(all, [&](std::int64_t i, std::size_t c, std::int32_t accumulator) {
    out[i] = static_cast<std::int8_t>(
        litert::requantize(scaling_, channels_[c], accumulator, output_zero_point_, low_, high_));
  });
  return output;
}

Result<Activation> AccumulateOp::run_to_floats(const CodedActivation& input,
                                               FloatOp::State* state) const {
  return run_to_floats(DynamicCodes{input, input_zero_point_, input_scale_}, state);
}

Result<Activation> AccumulateOp::run_to_floats(const DynamicCodes& input,
                                               FloatOp::State* state) const {
  OCTET_ASSIGN(const auto all, sums(input.coded, input.zero_point, state));
  Activation output{Tensor(DType::f32, all.tensor.shape()), all.channels_last};
  auto* out = output.tensor.mutable_data<float>();
  for_each_accumulator(all, [&](std::int64_t i, std::size_t c, std::int32_t accumulator) {
    out[i] = float_output(accumulator, input.scale * multipliers_[c],
                          float_bias_.empty() ? no_bias : float_bias_[c]);
  });
  return output;
}

CodedActivation to_plain_codes(const CodedActivation& codes) {
  if (!codes.channels_last) return codes;
  const Shape& shape = codes.codes.shape();
  CodedActivation plain{Tensor(DType::i8, shape), false};
  const std::int64_t channels = shape[1];
  const std::int64_t pixels = shape[2] * shape[3];
  const auto* in = codes.codes.data<std::int8_t>();
  auto* out = plain.codes.mutable_data<std::int8_t>();
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      for (std::int64_t c = 0; c < channels; ++c) {
        out[(n * channels + c) * pixels + p] = in[(n * pixels + p) * channels + c];
      }
    }
  }
  return plain;
}

}  // namespace octet::simulation

#include "engine/simulation/simulated_layer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <span>

#include "arithmetic/dynamic.h"
#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "arithmetic/round.h"
#include "engine/integer/openvino_placement.h"
#include "engine/integer/wide_values.h"

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
  // Of 16-bit codes each byte is summed by itself.
  if (placement.input != InputForm::coded) return 255;
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

/// Smallest and largest number, NaN passed over; 0 and 0 where there is none.
std::pair<float, float> number_range(std::span<const float> values) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::pair<float, float> range{infinity, -infinity};
  for (const float x : values) {
    if (x < range.first) range.first = x;
    if (x > range.second) range.second = x;
  }
  return range.first <= range.second ? range : std::pair{0.0F, 0.0F};
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
  op->hybrid_ = placement.hybrid;
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
    const bool wide = placement.form == OutputForm::wide;
    op->scaling_ = placement.scaling.scaling;
    op->wide_ = placement.wide;
    op->wide_bias_ = layer.wide_bias;
    op->wide_input_ = input;
    op->wide_output_ = output;
    const auto product = wide ? placement.wide.product : placement.scaling.product;
    for (const float weight_scale : layer.weight_scale) {
      op->channels_.push_back(
          litert::channel(product, input.params.scale[0], weight_scale, output.params.scale[0]));
    }
  }
  op->output_zero_point_ = output.params.zero_point[0];
  op->low_ = placement.low;
  op->high_ = placement.high;
  return op;
}

Result<Activation> AccumulateOp::run_hybrid(const Activation& values, FloatOp::State* state) const {
  if (values.tensor.dtype() != DType::f32) {
    return bad_input("cannot quantize {}", name(values.tensor.dtype()));
  }
  const bool by_row = hybrid_.unit == litert::HybridUnit::row;
  const Activation input =
      channel_axis_is_1_ && values.tensor.rank() == 4 ? to_channels_last(values) : to_plain(values);
  const Shape& shape = input.tensor.shape();
  const std::int64_t size = input.tensor.size();
  const std::int64_t row = channel_axis_is_1_ ? shape[1] : shape.back();
  const std::int64_t length = std::max<std::int64_t>(by_row ? row : size / shape[0], 1);
  Activation centred{Tensor(DType::f32, shape), input.channels_last};
  std::vector<float> scales;
  for (std::int64_t first = 0; first < size; first += length) {
    const auto unit = input.tensor.values<float>().subspan(static_cast<std::size_t>(first),
                                                           static_cast<std::size_t>(length));
    const auto [low, high] = number_range(unit);
    const auto params = litert::hybrid_params(hybrid_.codes, low, high);
    scales.push_back(params.scale);
    float* to = centred.tensor.mutable_data<float>() + first;
    for (const float x : unit) {
      *to++ = static_cast<float>(litert::hybrid_code(hybrid_.codes, params, x) - params.zero_point);
    }
  }
  const Activation* const arguments[] = {&centred, nullptr};
  OCTET_ASSIGN(auto results, op_->run(arguments, state));
  const Activation all =
      centred.channels_last ? to_channels_last(results[0]) : std::move(results[0]);
  Activation output{Tensor(DType::f32, all.tensor.shape()), all.channels_last};
  auto* out = output.tensor.mutable_data<float>();
  const auto units = static_cast<std::int64_t>(scales.size());
  for_each_accumulator(all, [&](std::int64_t i, std::size_t c, std::int32_t accumulator) {
    const auto unit = static_cast<std::size_t>(i / (all.tensor.size() / units));
    out[i] = litert::hybrid_output(hybrid_.output, accumulator, scales[unit], multipliers_[c],
                                   float_bias_.empty() ? 0.0F : float_bias_[c]);
  });
  return output;
}

Result<Activation> AccumulateOp::run_wide(const Activation& values, FloatOp::State* state) const {
  OCTET_ASSIGN(const auto codes, wide_codes(values.tensor, wide_input_));
  Activation high{Tensor(DType::f32, codes.shape()), values.channels_last};
  Activation low = {Tensor(DType::f32, codes.shape()), values.channels_last};
  const auto* q = codes.data<std::int16_t>();
  auto* upper_bytes = high.tensor.mutable_data<float>();
  auto* lower_bytes = low.tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    upper_bytes[i] = static_cast<float>(q[i] >> 8);
    lower_bytes[i] = static_cast<float>(q[i] & 0xFF);
  }
  const Activation* const high_arguments[] = {&high, nullptr};
  const Activation* const low_arguments[] = {&low, nullptr};
  OCTET_ASSIGN(const auto high_sums, op_->run(high_arguments, state));
  OCTET_ASSIGN(const auto low_sums, op_->run(low_arguments, state));
  if (high_sums[0].channels_last != low_sums[0].channels_last) {
    return internal_error("the same operator gave two orders in memory");
  }
  Tensor output(DType::i16, low_sums[0].tensor.shape());
  auto* out = output.mutable_data<std::int16_t>();
  const float* upper = high_sums[0].tensor.data<float>();
  for_each_accumulator(low_sums[0], [&](std::int64_t i, std::size_t c, std::int32_t lower) {
    const auto sum = static_cast<std::int64_t>(round_half_even(upper[i])) * 256 + lower;
    out[i] = static_cast<std::int16_t>(
        litert::requantize_wide(wide_.scaling, channels_[c], sum + wide_bias_[c], low_, high_));
  });
  OCTET_ASSIGN(auto image, wide_image(output, wide_output_));
  return Activation{std::move(image), low_sums[0].channels_last};
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

#include "engine/simulation/simulated_layer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "arithmetic/requantize.h"
#include "arithmetic/round.h"
#include "graph/spatial.h"

namespace octet::simulation {
namespace {

constexpr std::int64_t exact_limit = std::int64_t{1} << 24;

/// Max over channels of sum |w| * max|q - zero_point|.
std::int64_t accumulator_bound(const AccumulateLayer& layer, const Quantization& input) {
  const std::int64_t zero_point = input.params.zero_point[0];
  const std::int64_t reach =
      std::max(input.scheme.qmax() - zero_point, zero_point - input.scheme.qmin());
  const Tensor& codes = layer.codes;
  const auto strides = row_major_strides(codes.shape());
  const auto axis = static_cast<std::size_t>(layer.output_axis);
  std::vector<std::int64_t> sums(layer.bias.size(), 0);
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    const auto channel = static_cast<std::size_t>(i / strides[axis] % codes.shape()[axis]);
    sums[channel] += std::abs(int{codes.data<std::int8_t>()[i]});
  }
  return *std::max_element(sums.begin(), sums.end()) * reach;
}

/// The node alone, without bias, its weight replaced by integer-valued f32.
Result<std::unique_ptr<FloatOp>> integer_valued_op(const QuantizedGraph& model, const Node& node,
                                                   const Tensor& codes) {
  Graph graph;
  const Value& source = model.graph.value(node.input(0));
  Value input;
  input.name = "codes";
  input.dtype = DType::f32;
  input.shape = source.shape;
  const auto input_id = graph.add_value(std::move(input));
  graph.inputs.push_back(input_id);
  OCTET_ASSIGN(auto weights, to_f32(codes));
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

Result<std::unique_ptr<AccumulateOp>> AccumulateOp::make(const QuantizedGraph& model, NodeId id,
                                                         const NodePlacement& placement) {
  const Node& node = model.graph.node(id);
  OCTET_ASSIGN(const auto layer, accumulate_layer(model, id));
  const auto& input = *model.plan.find(model.graph, {id, 0});
  const auto& output = *model.plan.find(placement.output);
  auto op = std::make_unique<AccumulateOp>();
  OCTET_ASSIGN(op->op_, integer_valued_op(model, node, layer.codes));
  op->summary_.node = node.name;
  op->summary_.accumulator_bound = accumulator_bound(layer, input);
  op->summary_.exact = op->summary_.accumulator_bound < exact_limit;
  op->multipliers_ = layer_multipliers(layer, input.params.scale[0], output.params.scale[0]);
  op->bias_ = layer.bias;
  op->input_zero_point_ = input.params.zero_point[0];
  op->output_zero_point_ = output.params.zero_point[0];
  op->low_ = placement.low;
  op->high_ = placement.high;
  op->channel_axis_is_1_ = node.is("Conv");
  return op;
}

Result<CodedActivation> AccumulateOp::run(const CodedActivation& input,
                                          FloatOp::State* state) const {
  Activation centred{Tensor(DType::f32, input.codes.shape()), input.channels_last};
  const auto* q = input.codes.data<std::int8_t>();
  auto* x = centred.tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < input.codes.size(); ++i) {
    x[i] = static_cast<float>(int{q[i]} - input_zero_point_);
  }
  const Activation* const arguments[] = {&centred, nullptr};
  OCTET_ASSIGN(const auto results, op_->run(arguments, state));
  const Activation& sums = results[0];
  const Shape& shape = sums.tensor.shape();
  CodedActivation output{Tensor(DType::i8, shape), sums.channels_last};
  // Elements from one channel to the next in memory.
  std::int64_t inner = 1;
  if (channel_axis_is_1_ && !sums.channels_last) {
    for (std::size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
  }
  const auto channels = static_cast<std::int64_t>(bias_.size());
  const float* sum = sums.tensor.data<float>();
  auto* out = output.codes.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < sums.tensor.size(); ++i) {
    const auto c = static_cast<std::size_t>(i / inner % channels);
    // Modulo 2^32, as the integer engine's accumulator.
    const auto accumulator = static_cast<std::int32_t>(
        static_cast<std::int64_t>(round_half_even(static_cast<double>(sum[i]))) + bias_[c]);
    out[i] = static_cast<std::int8_t>(
        requantize_onnx(accumulator, multipliers_[c], output_zero_point_, low_, high_));
  }
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

namespace {

/// Elements to step in a dense tensor for +1 in each dimension of the shape it broadcasts to.
std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to) {
  auto strides = row_major_strides(shape);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) strides[d] = 0;
  }
  strides.insert(strides.begin(), to.size() - shape.size(), 0);
  return strides;
}

}  // namespace

Result<CodedActivation> average_codes(const Node& node, const Quantization& input,
                                      const Quantization& output, const NodePlacement& placement,
                                      const CodedActivation& codes) {
  const CodedActivation plain = to_plain_codes(codes);
  const Shape& shape = plain.codes.shape();
  const std::int64_t height = shape[2];
  const std::int64_t width = shape[3];
  SpatialGeometry g;
  if (node.is("GlobalAveragePool")) {
    g = {{height, width}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}};
  } else {
    OCTET_ASSIGN(g, resolve_pool(node, shape));
  }
  const bool with_padding = node.int_attribute("count_include_pad", 0) != 0;
  CodedActivation result{Tensor(DType::i8, {shape[0], shape[1], g.output[0], g.output[1]}), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
    const auto* in = plain.codes.data<std::int8_t>() + plane * height * width;
    for (std::int64_t oy = 0; oy < g.output[0]; ++oy) {
      for (std::int64_t ox = 0; ox < g.output[1]; ++ox) {
        std::int64_t sum = 0;
        std::int64_t count = 0;
        for (std::int64_t k = 0; k < g.kernel[0] * g.kernel[1]; ++k) {
          const auto y = oy * g.strides[0] - g.pads_begin[0] + k / g.kernel[1] * g.dilations[0];
          const auto x = ox * g.strides[1] - g.pads_begin[1] + k % g.kernel[1] * g.dilations[1];
          if (y >= height + g.pads_end[0] || x >= width + g.pads_end[1]) continue;
          const bool inside = y >= 0 && y < height && x >= 0 && x < width;
          if (inside) sum += in[y * width + x] - input.params.zero_point[0];
          if (inside || with_padding) ++count;
        }
        const float multiplier = onnx_average_multiplier(
            input.params.scale[0], output.params.scale[0], std::max<std::int64_t>(count, 1));
        *out++ = static_cast<std::int8_t>(requantize_onnx(static_cast<std::int32_t>(sum),
                                                          multiplier, output.params.zero_point[0],
                                                          placement.low, placement.high));
      }
    }
  }
  return result;
}

Result<CodedActivation> add_codes(const Quantization& a_quantization, const CodedActivation& a,
                                  const Quantization& b_quantization, const CodedActivation& b,
                                  const Quantization& output, const NodePlacement& placement) {
  constexpr std::int32_t to_unsigned = 128;
  const QuantParams& pa = a_quantization.params;
  const QuantParams& pb = b_quantization.params;
  const auto add = onnx_add(pa.scale[0], pa.zero_point[0] + to_unsigned, pb.scale[0],
                            pb.zero_point[0] + to_unsigned, output.params.scale[0],
                            output.params.zero_point[0] + to_unsigned);
  const Tensor x = to_plain_codes(a).codes;
  const Tensor y = to_plain_codes(b).codes;
  OCTET_ASSIGN(const auto shape, broadcast_shapes(x.shape(), y.shape()));
  CodedActivation result{Tensor(DType::i8, shape), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  const auto x_strides = broadcast_strides(x.shape(), shape);
  const auto y_strides = broadcast_strides(y.shape(), shape);
  const auto strides = row_major_strides(shape);
  for (std::int64_t i = 0; i < result.codes.size(); ++i) {
    std::int64_t from_x = 0;
    std::int64_t from_y = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const auto position = i / strides[d] % shape[d];
      from_x += position * x_strides[d];
      from_y += position * y_strides[d];
    }
    const auto code = add_onnx(add, x.data<std::int8_t>()[from_x] + to_unsigned,
                               y.data<std::int8_t>()[from_y] + to_unsigned,
                               placement.low + to_unsigned, placement.high + to_unsigned);
    out[i] = static_cast<std::int8_t>(code - to_unsigned);
  }
  return result;
}

}  // namespace octet::simulation

#include "engine/simulation/simulated_ops.h"

#include <algorithm>

#include "arithmetic/openvino.h"
#include "arithmetic/requantize.h"
#include "graph/spatial.h"

namespace octet::simulation {
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

/// How a mean becomes a code; `sum` is of (q - zero_point) over `count` pixels.
class MeanRule {
 public:
  MeanRule(const QuantParams& input, const QuantParams& output, const NodePlacement& placement,
           Rule rule, openvino::Average form)
      : input_(input),
        output_(output),
        low_(placement.low),
        high_(placement.high),
        rule_(rule),
        form_(form) {}

  [[nodiscard]] std::int8_t code(std::int64_t sum, std::int64_t count) const {
    count = std::max<std::int64_t>(count, 1);
    if (rule_ == Rule::openvino) {
      const std::int32_t zero = input_.zero_point[0] + 128;
      const auto line = openvino::average_line(
          input_.scale[0], zero, openvino::limits(output_.scale[0], output_.zero_point[0] + 128));
      const float mean = openvino::average(form_, sum + count * zero, count);
      return static_cast<std::int8_t>(openvino::quantize(mean, line, low_ + 128, high_ + 128) -
                                      128);
    }
    const float multiplier = onnx_average_multiplier(input_.scale[0], output_.scale[0], count);
    return static_cast<std::int8_t>(requantize_onnx(static_cast<std::int32_t>(sum), multiplier,
                                                    output_.zero_point[0], low_, high_));
  }

 private:
  const QuantParams& input_;
  const QuantParams& output_;
  std::int32_t low_;
  std::int32_t high_;
  Rule rule_;
  openvino::Average form_;
};

Result<CodedActivation> average_pool_codes(const Node& node, const Operand& operand,
                                           const Quantization& output,
                                           const NodePlacement& placement, Rule rule) {
  const Quantization& input = *operand.quantization;
  const CodedActivation plain = to_plain_codes(operand.coded);
  const Shape& shape = plain.codes.shape();
  const std::int64_t height = shape[2];
  const std::int64_t width = shape[3];
  OCTET_ASSIGN(const auto g, resolve_pool(node, shape));
  const bool with_padding = node.int_attribute("count_include_pad", 0) != 0;
  CodedActivation result{Tensor(DType::i8, {shape[0], shape[1], g.output[0], g.output[1]}), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  const MeanRule mean(input.params, output.params, placement, rule, openvino::Average::multiplies);
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
        *out++ = mean.code(sum, count);
      }
    }
  }
  return result;
}

/// The mean over neighbouring axes.
Result<CodedActivation> reduce_codes(const Graph& graph, const Node& node, const Operand& operand,
                                     const Quantization& output, const NodePlacement& placement,
                                     Rule rule) {
  const QuantParams& in = operand.quantization->params;
  const CodedActivation plain = to_plain_codes(operand.coded);
  const Shape& shape = plain.codes.shape();
  const auto axes = reduced_axes(graph, node, static_cast<int>(shape.size()));
  if (!axes) return internal_error("the axes are not known");
  const bool keeps_rank = !node.is("ReduceMean") || node.int_attribute("keepdims", 1) != 0;
  Shape reduced_shape;
  std::int64_t count = 1;
  std::int64_t inner = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto axis = static_cast<int>(d);
    const bool reduced = axis >= axes->front() && axis <= axes->back();
    if (reduced) count *= shape[d];
    if (axis > axes->back()) inner *= shape[d];
    if (!reduced) reduced_shape.push_back(shape[d]);
    if (reduced && keeps_rank) reduced_shape.push_back(1);
  }
  CodedActivation result{Tensor(DType::i8, reduced_shape), false};
  const auto* q = plain.codes.data<std::int8_t>();
  auto* out = result.codes.mutable_data<std::int8_t>();
  const MeanRule mean(in, output.params, placement, rule, openvino::Average::divides);
  for (std::int64_t i = 0; i < result.codes.size(); ++i) {
    std::int64_t sum = 0;
    for (std::int64_t k = 0; k < count; ++k) {
      sum += q[(i / inner * count + k) * inner + i % inner] - in.zero_point[0];
    }
    out[i] = mean.code(sum, count);
  }
  return result;
}

constexpr std::int32_t to_unsigned = 128;

/// fn(unsigned code of a, of b) for all elements of the output.
template <class Fn>
Result<CodedActivation> for_each_pair(const Operand& a, const Operand& b, Fn fn) {
  const Tensor x = to_plain_codes(a.coded).codes;
  const Tensor y = to_plain_codes(b.coded).codes;
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
    const std::int32_t code = fn(x.data<std::int8_t>()[from_x] + to_unsigned,
                                 y.data<std::int8_t>()[from_y] + to_unsigned);
    out[i] = static_cast<std::int8_t>(code - to_unsigned);
  }
  return result;
}

openvino::Sum openvino_sum(const QuantParams& kept, float moved_scale, std::int32_t moved_zero,
                           const QuantParams& output) {
  return openvino::sum(kept.scale[0], kept.zero_point[0] + to_unsigned, moved_scale, moved_zero,
                       openvino::limits(output.scale[0], output.zero_point[0] + to_unsigned));
}

/// Of plain codes in i8 or i16.
template <class Code>
Result<ProductSums> sums_of_products(const Tensor& x, std::int64_t zx, const Tensor& y,
                                     std::int64_t zy) {
  if (x.rank() < 2 || y.rank() < 2 || x.shape().back() != y.dim(y.rank() - 2)) {
    return bad_input("cannot multiply {} and {}", to_string(x.shape()), to_string(y.shape()));
  }
  const std::int64_t rows = x.dim(x.rank() - 2);
  const std::int64_t depth = x.shape().back();
  const std::int64_t columns = y.shape().back();
  const Shape x_batch(x.shape().begin(), x.shape().end() - 2);
  const Shape y_batch(y.shape().begin(), y.shape().end() - 2);
  OCTET_ASSIGN(const auto batch, broadcast_shapes(x_batch, y_batch));
  ProductSums result{batch, {}};
  result.shape.insert(result.shape.end(), {rows, columns});
  result.sums.reserve(static_cast<std::size_t>(element_count(result.shape)));
  const auto strides = row_major_strides(batch);
  const auto x_strides = broadcast_strides(x_batch, batch);
  const auto y_strides = broadcast_strides(y_batch, batch);
  for (std::int64_t i = 0; i < element_count(batch); ++i) {
    std::int64_t from_x = 0;
    std::int64_t from_y = 0;
    for (std::size_t d = 0; d < batch.size(); ++d) {
      const auto position = i / strides[d] % batch[d];
      from_x += position * x_strides[d];
      from_y += position * y_strides[d];
    }
    const auto* left = x.data<Code>() + from_x * rows * depth;
    const auto* right = y.data<Code>() + from_y * depth * columns;
    for (std::int64_t m = 0; m < rows; ++m) {
      std::vector<std::int64_t> sums(static_cast<std::size_t>(columns), 0);
      for (std::int64_t k = 0; k < depth; ++k) {
        const std::int64_t factor = left[m * depth + k] - zx;
        for (std::int64_t n = 0; n < columns; ++n) {
          sums[static_cast<std::size_t>(n)] += factor * (right[k * columns + n] - zy);
        }
      }
      result.sums.insert(result.sums.end(), sums.begin(), sums.end());
    }
  }
  return result;
}

}  // namespace

Result<CodedActivation> average_codes(const Graph& graph, const Node& node, const Operand& input,
                                      const Quantization& output, const NodePlacement& placement,
                                      Rule rule) {
  if (node.is("AveragePool")) return average_pool_codes(node, input, output, placement, rule);
  return reduce_codes(graph, node, input, output, placement, rule);
}

Result<CodedActivation> add_codes(const Operand& a, const Operand& b, const Quantization& output,
                                  const NodePlacement& placement) {
  const QuantParams& pa = a.quantization->params;
  const QuantParams& pb = b.quantization->params;
  const auto add = onnx_add(pa.scale[0], pa.zero_point[0] + to_unsigned, pb.scale[0],
                            pb.zero_point[0] + to_unsigned, output.params.scale[0],
                            output.params.zero_point[0] + to_unsigned);
  return for_each_pair(a, b, [&](std::int32_t x, std::int32_t y) {
    return add_onnx(add, x, y, placement.low + to_unsigned, placement.high + to_unsigned);
  });
}

Result<CodedActivation> add_codes_openvino(const MovedOperand& moved, const Operand& a,
                                           const Operand& b, const Quantization& output,
                                           const NodePlacement& placement) {
  const Operand& from = moved.input == 0 ? a : b;
  const Operand& kept = moved.input == 0 ? b : a;
  const QuantParams& params = from.quantization->params;
  const auto sum = openvino_sum(kept.quantization->params, params.scale[0],
                                params.zero_point[0] + to_unsigned, output.params);
  return for_each_pair(from, kept, [&](std::int32_t x, std::int32_t y) {
    const float real =
        moved.own_code ? openvino::moved_own_code(sum, x) : openvino::moved_code(sum, x);
    return openvino::add(sum, real, y, placement.low + to_unsigned, placement.high + to_unsigned);
  });
}

Result<CodedActivation> add_reals_openvino(const Activation& values, const Operand& kept,
                                           const Quantization& output,
                                           const NodePlacement& placement, bool in_layer) {
  const Tensor x = to_plain(values).tensor;
  const Tensor y = to_plain_codes(kept.coded).codes;
  if (x.dtype() != DType::f32 || x.shape() != y.shape()) {
    return bad_input("cannot add {} and {}", to_string(x.shape()), to_string(y.shape()));
  }
  auto sum = openvino_sum(kept.quantization->params, 1.0F, 0, output.params);
  if (in_layer) sum.line = openvino::destination_line(sum.line);
  CodedActivation result{Tensor(DType::i8, y.shape()), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const float moved = openvino::moved_real(sum, x.data<float>()[i]);
    const auto code = openvino::add(sum, moved, y.data<std::int8_t>()[i] + to_unsigned,
                                    placement.low + to_unsigned, placement.high + to_unsigned);
    out[i] = static_cast<std::int8_t>(code - to_unsigned);
  }
  return result;
}

Result<ProductSums> product_sums(const Operand& a, const Operand& b) {
  return sums_of_products<std::int8_t>(
      to_plain_codes(a.coded).codes, a.quantization->params.zero_point[0],
      to_plain_codes(b.coded).codes, b.quantization->params.zero_point[0]);
}

Result<ProductSums> wide_product_sums(const Tensor& a, const Tensor& b) {
  return sums_of_products<std::int16_t>(a, 0, b, 0);
}

}  // namespace octet::simulation

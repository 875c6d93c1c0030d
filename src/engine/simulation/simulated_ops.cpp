#include "engine/simulation/simulated_ops.h"

#include <algorithm>

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

Result<CodedActivation> average_pool_codes(const Node& node, const Operand& operand,
                                           const Quantization& output,
                                           const NodePlacement& placement) {
  const Quantization& input = *operand.quantization;
  const CodedActivation plain = to_plain_codes(operand.coded);
  const Shape& shape = plain.codes.shape();
  const std::int64_t height = shape[2];
  const std::int64_t width = shape[3];
  OCTET_ASSIGN(const auto g, resolve_pool(node, shape));
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

/// The mean over neighbouring axes.
Result<CodedActivation> reduce_codes(const Graph& graph, const Node& node, const Operand& operand,
                                     const Quantization& output, const NodePlacement& placement) {
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
  const float multiplier = onnx_average_multiplier(in.scale[0], output.params.scale[0], count);
  for (std::int64_t i = 0; i < result.codes.size(); ++i) {
    std::int64_t sum = 0;
    for (std::int64_t k = 0; k < count; ++k) {
      sum += q[(i / inner * count + k) * inner + i % inner] - in.zero_point[0];
    }
    out[i] = static_cast<std::int8_t>(requantize_onnx(static_cast<std::int32_t>(sum), multiplier,
                                                      output.params.zero_point[0], placement.low,
                                                      placement.high));
  }
  return result;
}

}  // namespace

Result<CodedActivation> average_codes(const Graph& graph, const Node& node, const Operand& input,
                                      const Quantization& output, const NodePlacement& placement) {
  if (node.is("AveragePool")) return average_pool_codes(node, input, output, placement);
  return reduce_codes(graph, node, input, output, placement);
}

Result<CodedActivation> add_codes(const Operand& a, const Operand& b, const Quantization& output,
                                  const NodePlacement& placement) {
  constexpr std::int32_t to_unsigned = 128;
  const QuantParams& pa = a.quantization->params;
  const QuantParams& pb = b.quantization->params;
  const auto add = onnx_add(pa.scale[0], pa.zero_point[0] + to_unsigned, pb.scale[0],
                            pb.zero_point[0] + to_unsigned, output.params.scale[0],
                            output.params.zero_point[0] + to_unsigned);
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
    const auto code = add_onnx(add, x.data<std::int8_t>()[from_x] + to_unsigned,
                               y.data<std::int8_t>()[from_y] + to_unsigned,
                               placement.low + to_unsigned, placement.high + to_unsigned);
    out[i] = static_cast<std::int8_t>(code - to_unsigned);
  }
  return result;
}

Result<ProductSums> product_sums(const Operand& a, const Operand& b) {
  const Tensor x = to_plain_codes(a.coded).codes;
  const Tensor y = to_plain_codes(b.coded).codes;
  const std::int32_t zx = a.quantization->params.zero_point[0];
  const std::int32_t zy = b.quantization->params.zero_point[0];
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
    const auto* left = x.data<std::int8_t>() + from_x * rows * depth;
    const auto* right = y.data<std::int8_t>() + from_y * depth * columns;
    for (std::int64_t m = 0; m < rows; ++m) {
      // Unsigned, so that it wraps as the integer engine's accumulator does.
      std::vector<std::uint32_t> sums(static_cast<std::size_t>(columns), 0);
      for (std::int64_t k = 0; k < depth; ++k) {
        const std::int32_t factor = left[m * depth + k] - zx;
        for (std::int64_t n = 0; n < columns; ++n) {
          sums[static_cast<std::size_t>(n)] +=
              static_cast<std::uint32_t>(factor * (right[k * columns + n] - zy));
        }
      }
      for (const auto sum : sums) result.sums.push_back(static_cast<std::int32_t>(sum));
    }
  }
  return result;
}

}  // namespace octet::simulation

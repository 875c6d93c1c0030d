// ConvInteger and QLinearConv in any number of spatial dimensions.

#include <algorithm>

#include "arithmetic/requantize.h"
#include "engine/float/columns.h"
#include "engine/float/integer_product.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

/// Elements of the columns made at a time, where a single row of the output is not more already.
constexpr std::int64_t column_elements = std::int64_t{1} << 20;

struct IntegerConv {
  Tensor x;       ///< i16, differences to the zero point: the padding is 0
  Tensor weight;  ///< i16 [M, C / groups, kernel...]
  SpatialGeometry geometry;
  std::int64_t groups = 1;
};

Result<IntegerConv> prepare(const Node& node, const Tensor& x, const Tensor* x_zero,
                            const Tensor& weight, const Tensor* weight_zero) {
  IntegerConv conv;
  OCTET_ASSIGN(conv.geometry, resolve_conv(node, x.shape(), weight.shape()));
  conv.groups = node.int_attribute("group", 1);
  if (conv.groups < 1 || weight.dim(0) < conv.groups || weight.dim(0) % conv.groups != 0 ||
      weight.dim(1) < 1 || x.dim(1) % conv.groups != 0 || x.dim(1) / conv.groups != weight.dim(1)) {
    return bad_input("weight {} with {} groups does not fit input {}", to_string(weight.shape()),
                     conv.groups, to_string(x.shape()));
  }
  OCTET_ASSIGN(conv.x, centered(x, x_zero, {1, 1}));
  OCTET_ASSIGN(conv.weight,
               centered(weight, weight_zero, {weight.dim(0), weight.size() / weight.dim(0)}));
  return conv;
}

void gather_columns(const ColumnWalk& walk, const std::int16_t* image, std::int64_t channels,
                    std::int16_t* columns) {
  const std::int64_t grid = element_count(walk.grid);
  const std::int64_t plane = element_count(walk.image);
  const std::int64_t taps = walk.taps();
  std::fill_n(columns, channels * taps * grid, std::int16_t{0});
  walk.for_each_run([&](std::int64_t tap, std::int64_t from, std::int64_t step, std::int64_t at,
                        std::int64_t count) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int16_t* x = image + c * plane + from;
      std::int16_t* column = columns + (c * taps + tap) * grid + at;
      for (std::int64_t i = 0; i < count; ++i) column[i] = x[i * step];
    }
  });
}

/// The exact sums, [N, M, output...].
Result<Tensor> convolve(const IntegerConv& conv) {
  const Tensor& x = conv.x;
  const Tensor& weight = conv.weight;
  Shape shape{x.dim(0), weight.dim(0)};
  shape.insert(shape.end(), conv.geometry.output.begin(), conv.geometry.output.end());
  OCTET_ASSIGN(Tensor out, new_tensor(DType::i32, std::move(shape)));
  if (out.size() == 0) return out;
  const ColumnWalk walk(conv.geometry, Shape(x.shape().begin() + 2, x.shape().end()),
                        conv.geometry.output);
  const std::int64_t plane = element_count(walk.image);
  const std::int64_t grid = element_count(walk.grid);
  const std::int64_t row = grid / walk.grid[0];
  const std::int64_t channels = weight.dim(1);
  const std::int64_t depth = channels * walk.taps();
  const std::int64_t outputs = weight.dim(0) / conv.groups;
  const std::int64_t rows =
      std::clamp<std::int64_t>(column_elements / (depth * row), 1, walk.grid[0]);
  OCTET_ASSIGN(Tensor columns, new_tensor(DType::i16, {depth, rows * row}));
  OCTET_ASSIGN(Tensor product, new_tensor(DType::i32, {outputs, rows * row}));
  auto* const to = columns.mutable_data<std::int16_t>();
  auto* const sums = product.mutable_data<std::int32_t>();
  auto* const results = out.mutable_data<std::int32_t>();
  for (std::int64_t ng = 0; ng < x.dim(0) * conv.groups; ++ng) {
    for (std::int64_t first = 0; first < walk.grid[0]; first += rows) {
      const std::int64_t count = std::min(rows, walk.grid[0] - first);
      gather_columns(walk.part(first, count), x.data<std::int16_t>() + ng * channels * plane,
                     channels, to);
      integer_product(weight.data<std::int16_t>() + ng % conv.groups * outputs * depth, to, outputs,
                      count * row, depth, sums);
      for (std::int64_t m = 0; m < outputs; ++m) {
        std::copy_n(sums + m * count * row, count * row,
                    results + (ng * outputs + m) * grid + first * row);
      }
    }
  }
  return out;
}

const Tensor* optional_tensor(Inputs inputs, std::size_t i) {
  return i < inputs.size() && inputs[i] != nullptr ? &inputs[i]->tensor : nullptr;
}

Outputs qlinear_conv(const Node& node, Inputs inputs) {
  const Tensor& x_scale = inputs[1]->tensor;
  const Tensor& weight_scale = inputs[4]->tensor;
  const Tensor* bias = optional_tensor(inputs, 8);
  OCTET_ASSIGN(const auto conv, prepare(node, inputs[0]->tensor, &inputs[2]->tensor,
                                        inputs[3]->tensor, &inputs[5]->tensor));
  OCTET_ASSIGN(const auto target, requantization_target(inputs[6]->tensor, inputs[7]->tensor));
  OCTET_TRY(check_scale(x_scale, "the input's scale"));
  OCTET_TRY(check_scale(weight_scale, "the weight's scale"));
  const std::int64_t channels = conv.weight.dim(0);
  if (x_scale.size() != 1 || (weight_scale.size() != 1 && weight_scale.size() != channels)) {
    return bad_input("{} input scales and {} weight scales for {} output channels", x_scale.size(),
                     weight_scale.size(), channels);
  }
  if (bias != nullptr && (bias->dtype() != DType::i32 || bias->size() != channels)) {
    return bad_input("bias {}{}, expected i32[{}]", name(bias->dtype()), to_string(bias->shape()),
                     channels);
  }
  OCTET_ASSIGN(const Tensor sums, convolve(conv));
  OCTET_ASSIGN(Tensor out, new_tensor(inputs[7]->tensor.dtype(), sums.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  const std::int64_t plane = out.size() / (out.dim(0) * channels);
  const std::int32_t* from = sums.data<std::int32_t>();
  auto* to = out.mutable_data<std::uint8_t>();
  for (std::int64_t row = 0; row < out.dim(0) * channels; ++row) {
    const std::int64_t c = row % channels;
    const float multiplier =
        onnx_multiplier(x_scale.data<float>()[0],
                        weight_scale.data<float>()[weight_scale.size() == 1 ? 0 : c], target.scale);
    const auto add =
        static_cast<std::uint32_t>(bias != nullptr ? bias->data<std::int32_t>()[c] : 0);
    for (std::int64_t i = 0; i < plane; ++i) {
      const auto sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(*from++) + add);
      *to++ = static_cast<std::uint8_t>(
          requantize_onnx(sum, multiplier, target.zero_point, target.low, target.high));
    }
  }
  return one_output(std::move(out));
}

Node attributes_of(const Node& node) {
  Node copy;
  copy.op = node.op;
  copy.attributes = node.attributes;
  return copy;
}

}  // namespace

MadeOp make_conv_integer(const OpSource& source) {
  return make_function(
      source, InputOrder::plain, [node = attributes_of(source.node)](Inputs inputs) -> Outputs {
        OCTET_ASSIGN(const auto conv, prepare(node, inputs[0]->tensor, optional_tensor(inputs, 2),
                                              inputs[1]->tensor, optional_tensor(inputs, 3)));
        OCTET_ASSIGN(Tensor out, convolve(conv));
        return one_output(std::move(out));
      });
}

MadeOp make_qlinear_conv(const OpSource& source) {
  return make_function(
      source, InputOrder::plain,
      [node = attributes_of(source.node)](Inputs inputs) { return qlinear_conv(node, inputs); });
}

}  // namespace octet::float_engine

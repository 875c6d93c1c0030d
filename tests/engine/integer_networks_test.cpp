// Transposed convolutions, several inputs of several types, and shapes that the data decides.

#include <gtest/gtest.h>

#include <cmath>

#include "engine/integer/integer_program.h"
#include "engine/integer_model_builder.h"
#include "engine/simulation/simulation_program.h"
#include "kernels/conv.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

struct TransposedCase {
  std::int64_t inputs, outputs, groups, kernel, stride, dilation;
  Ints pads, output_padding;
};

ValueId conv_transpose(ModelBuilder& b, ValueId x, const TransposedCase& c) {
  const auto w = b.constant(
      "weight", b.random_tensor({c.inputs, c.outputs / c.groups, c.kernel, c.kernel}, -0.7F, 0.7F));
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, Granularity::per_channel, 1, CodeRange::narrow};
  q.params.axis = 1;
  for (std::int64_t i = 0; i < c.outputs / c.groups; ++i) {
    q.params.scale.push_back(0.0057F + 0.0002F * static_cast<float>(i));
    q.params.zero_point.push_back(0);
  }
  b.model.plan.values[w] = q;
  return b.node("ConvTranspose", {x, w},
                {{"group", c.groups},
                 {"strides", Ints{c.stride, c.stride}},
                 {"dilations", Ints{c.dilation, c.dilation}},
                 {"pads", c.pads},
                 {"output_padding", c.output_padding}});
}

/// Every input pixel adds its product with the kernel to the output: int64 sums as floats.
std::vector<float> scatter(const ModelBuilder& b, const TransposedCase& c, ValueId x, ValueId y,
                           const Tensor& input, const Shape& out) {
  const auto& qx = b.model.plan.values.at(x).params;
  const auto w_id = b.model.graph.node(b.model.graph.producers()[index(y)]).input(1);
  const Tensor& w = *b.model.graph.constant(w_id);
  const auto& scales = b.model.plan.values.at(w_id).params.scale;
  const std::int64_t per_group = c.outputs / c.groups;
  std::vector<std::int64_t> sums(static_cast<std::size_t>(element_count(out)), 0);
  const auto code = [](float v, float scale) {
    return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(v / scale)));
  };
  for (std::int64_t n = 0; n < input.dim(0); ++n)
    for (std::int64_t i = 0; i < c.inputs; ++i)
      for (std::int64_t p = 0; p < input.dim(2) * input.dim(3); ++p) {
        const std::int64_t plane = n * c.inputs + i;
        const float v = input.data<float>()[plane * input.dim(2) * input.dim(3) + p];
        const std::int64_t q =
            std::min<std::int64_t>(
                std::max<std::int64_t>(code(v, qx.scale[0]) + qx.zero_point[0], -128), 127) -
            qx.zero_point[0];
        for (std::int64_t o = 0; o < per_group; ++o)
          for (std::int64_t k = 0; k < c.kernel * c.kernel; ++k) {
            const auto oy = p / input.dim(3) * c.stride + k / c.kernel * c.dilation - c.pads[0];
            const auto ox = p % input.dim(3) * c.stride + k % c.kernel * c.dilation - c.pads[1];
            if (oy < 0 || ox < 0 || oy >= out[2] || ox >= out[3]) continue;
            const std::int64_t channel = i / (c.inputs / c.groups) * per_group + o;
            const auto at = ((n * c.outputs + channel) * out[2] + oy) * out[3] + ox;
            const float weight = w.data<float>()[(i * per_group + o) * c.kernel * c.kernel + k];
            sums[static_cast<std::size_t>(at)] +=
                q * std::max<std::int64_t>(code(weight, scales[static_cast<std::size_t>(o)]), -127);
          }
      }
  std::vector<float> y_values;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto channel = static_cast<std::int64_t>(i) / (out[2] * out[3]) % c.outputs;
    const float scale = qx.scale[0] * scales[static_cast<std::size_t>(channel % per_group)];
    y_values.push_back(static_cast<float>(sums[i]) * scale);
  }
  return y_values;
}

TEST(IntegerConvTranspose, EqualsScatteringOnEveryIsa) {
  for (const auto& c : {TransposedCase{6, 10, 1, 2, 2, 1, {0, 0, 0, 0}, {0, 0}},
                        TransposedCase{6, 4, 2, 3, 2, 1, {1, 1, 1, 1}, {1, 0}},
                        TransposedCase{8, 8, 8, 4, 2, 1, {1, 2, 1, 0}, {0, 0}},
                        TransposedCase{5, 20, 1, 3, 1, 2, {0, 1, 2, 0}, {0, 0}},
                        TransposedCase{4, 20, 1, 5, 3, 1, {1, 1, 2, 0}, {1, 0}},
                        TransposedCase{16, 34, 1, 4, 2, 1, {1, 1, 1, 1}, {0, 0}},
                        TransposedCase{4, 3, 1, 2, 3, 1, {2, 2, 1, 1}, {0, 2}}}) {
    ModelBuilder b;
    const auto x = b.quantize(b.input("x", {dynamic_dim, c.inputs, 5, 4}), -1, 2);
    const auto y = conv_transpose(b, x, c);
    b.output(y);
    const auto input = b.random_tensor({2, c.inputs, 5, 4}, -1.1F, 2.1F);
    for (const auto isa : kernels::all_isas) {
      if (!kernels::isa_available(isa)) continue;
      const auto program = compile_integer(b.model, {std::string(kernels::name(isa))});
      ASSERT_TRUE(program) << program.error().message;
      const auto seen = observe(**program, b.model.graph, {input});
      ASSERT_EQ(seen.outputs.size(), 1U);
      const auto want = scatter(b, c, x, y, input, seen.outputs[0].shape());
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_EQ(seen.outputs[0].data<float>()[i], want[i]) << kernels::name(isa) << " " << i;
      }
    }
    expect_simulation_equals_integer(b.model, {input});
  }
}

TEST(IntegerConvTranspose, BetweenCodesAndDynamic) {
  const TransposedCase c{6, 10, 1, 3, 2, 1, {1, 1, 1, 1}, {1, 1}};
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 6, 5, 4}), -1, 2);
  const auto y = b.quantize(b.node("Relu", {conv_transpose(b, x, c)}), 0, 7);
  b.output(b.quantize(b.conv(y, {4, 10, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}), -9, 9));
  const auto z = b.input("z", {dynamic_dim, 6, 5, 4});
  const auto dynamic = conv_transpose(b, z, c);
  b.model.plan.overrides[{b.model.graph.producers()[index(dynamic)], 0}] = dynamic_quantization();
  b.output(dynamic);
  const auto one = b.random_tensor({2, 6, 5, 4}, -1, 2);
  const auto two = b.random_tensor({1, 6, 5, 4}, -3, 1);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {one, two}), 5);
}

/// A decoder as of a UNet whose resizing reads the size of another value.
TEST(IntegerNetworks, ResizesToASizeComputedFromShapes) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 4, dynamic_dim, dynamic_dim}), -1, 2);
  const auto pooled =
      b.share(b.node("MaxPool", {x}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}), x);
  const auto deep = b.quantize(b.conv(pooled, {4, 4, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}), -5, 5);
  const auto size = b.node("Shape", {x});
  b.model.graph.value(size).dtype = DType::i64;
  const auto up = b.share(b.node("Resize", {deep, ValueId::none, ValueId::none, size},
                                 {{"mode", std::string("nearest")},
                                  {"coordinate_transformation_mode", std::string("asymmetric")},
                                  {"nearest_mode", std::string("floor")}}),
                          deep);
  auto joined = b.node("Concat", {up, x}, {{"axis", std::int64_t{1}}});
  joined = b.quantize(joined, -5, 5);
  b.output(b.quantize(b.conv(joined, {3, 8, 1, 1}, {}), -9, 9));
  for (const Shape& shape : {Shape{1, 4, 8, 6}, Shape{2, 4, 6, 10}}) {
    EXPECT_EQ(expect_simulation_equals_integer(b.model, {b.random_tensor(shape, -1, 2)}), 6);
  }
}

TEST(IntegerNetworks, TokensAndMasks) {
  ModelBuilder b;
  const auto tokens = b.input("tokens", {dynamic_dim, dynamic_dim}, DType::i64);
  const auto mask = b.input("mask", {dynamic_dim, dynamic_dim}, DType::boolean);
  const auto table = b.quantize(b.constant("table", b.random_tensor({30, 16}, -1, 1)), -1, 1);
  const auto x = b.share(b.node("Gather", {table, tokens}), table);
  const auto w = b.constant("w", b.random_tensor({16, 16}, -0.5F, 0.5F));
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::narrow};
  q.params = {{0.5F / 127}, {0}, -1};
  b.model.plan.values[w] = q;
  const auto h = b.node("MatMul", {x, w});
  b.model.plan.overrides[{b.model.graph.producers()[index(h)], 0}] = dynamic_quantization();
  const auto wide = b.node("Unsqueeze", {mask, b.ints("axes", {2})});
  b.model.graph.value(wide).dtype = DType::boolean;
  const auto low = b.constant("low", Tensor::from<float>({-9}, {}));
  b.output(b.node("Where", {wide, h, low}));
  b.output(mask);
  for (const std::int64_t length : {4, 7}) {
    Tensor ids(DType::i64, {2, length});
    Tensor keep(DType::boolean, {2, length});
    for (std::int64_t i = 0; i < 2 * length; ++i) {
      ids.mutable_data<std::int64_t>()[i] = i * 7 % 30;
      keep.mutable_data<std::uint8_t>()[i] = i % 3 != 0;
    }
    EXPECT_GE(expect_simulation_equals_integer(b.model, {ids, keep}), 3);
  }
}

/// Non-zero counts: only the run knows how many boxes are left.
ModelBuilder data_dependent(bool quantized) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 8}), -1, 2);
  const auto count = b.input("count", {1}, DType::i64);
  const auto y = b.gemm(x, 6, 8);
  const auto top = b.node("TopK", {y, count}, {{"axis", std::int64_t{1}}});
  Value positions;
  positions.name = "positions";
  positions.dtype = DType::i64;
  const auto id = b.model.graph.add_value(std::move(positions));
  b.model.graph.node(b.model.graph.producers()[index(top)]).outputs.push_back(id);
  const auto relu = b.node("Relu", {top});
  if (quantized) b.quantize(relu, 0, 3);
  b.output(relu);
  return b;
}

TEST(IntegerNetworks, ShapesThatTheDataDecidesRunInFloat) {
  auto b = data_dependent(false);
  const auto input = b.random_tensor({3, 8}, -1, 2);
  for (const std::int64_t k : {2, 5}) {
    const auto count = Tensor::from<std::int64_t>({k}, {1});
    expect_simulation_equals_integer(b.model, {input, count});
    const auto program = compile_integer(b.model);
    ASSERT_TRUE(program);
    auto session = (*program)->session();
    const auto outputs = (*session)->run(std::vector<Tensor>{input, count});
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].shape(), (Shape{3, k}));
  }
}

TEST(IntegerNetworks, OrAreRefusedWithOneLine) {
  auto b = data_dependent(true);
  const auto program = compile_integer(b.model);
  ASSERT_TRUE(program);
  auto session = (*program)->session();
  const auto outputs = (*session)->run(
      std::vector<Tensor>{b.random_tensor({3, 8}, -1, 2), Tensor::from<std::int64_t>({2}, {1})});
  ASSERT_FALSE(outputs);
  EXPECT_NE(outputs.error().message.find("Relu_out"), std::string::npos);
  EXPECT_NE(outputs.error().message.find("depends on the data"), std::string::npos)
      << outputs.error().message;
}

}  // namespace
}  // namespace octet::testing

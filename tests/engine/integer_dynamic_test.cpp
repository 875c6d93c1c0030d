// Dynamic quantization and float outputs of accumulating nodes, against loops of their own.

#include <gtest/gtest.h>

#include <cmath>

#include "engine/integer/integer_program.h"
#include "engine/integer_model_builder.h"
#include "engine/simulation/simulation_program.h"
#include "kernels/conv.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

/// A weight coded with one scale for each index of `axis`.
ValueId coded_weight(ModelBuilder& b, Tensor tensor, int axis) {
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, Granularity::per_channel, axis, CodeRange::narrow};
  q.params.axis = axis;
  for (std::int64_t i = 0; i < tensor.dim(axis); ++i) {
    q.params.scale.push_back(0.0058F + 0.0003F * static_cast<float>(i % 5));
    q.params.zero_point.push_back(0);
  }
  const auto id = b.constant("weight", std::move(tensor));
  b.model.plan.values[id] = q;
  return id;
}

void make_dynamic(ModelBuilder& b, ValueId output) {
  b.model.plan.overrides[{b.model.graph.producers()[index(output)], 0}] = dynamic_quantization();
}

std::vector<int> weight_codes(const ModelBuilder& b, ValueId weight) {
  const Tensor& w = *b.model.graph.constant(weight);
  const auto& q = b.model.plan.values.at(weight);
  std::int64_t inner = 1;
  for (int d = q.params.axis + 1; d < w.rank(); ++d) inner *= w.dim(d);
  std::vector<int> codes;
  for (std::int64_t i = 0; i < w.size(); ++i) {
    const auto c = static_cast<std::size_t>(i / inner % w.dim(q.params.axis));
    const double x = static_cast<double>(w.data<float>()[i] / q.params.scale[c]);
    codes.push_back(static_cast<int>(std::min(std::max(std::nearbyint(x), -127.0), 127.0)));
  }
  return codes;
}

/// The specification's DynamicQuantizeLinear.
struct Codes {
  std::vector<int> q;
  float scale = 1;
  int zero_point = 0;
};
Codes spec_codes(const Tensor& x) {
  float low = 0;
  float high = 0;
  for (const float v : x.values<float>()) {
    low = std::fmin(low, v);
    high = std::fmax(high, v);
  }
  Codes codes;
  codes.scale = low == high ? 1.0F : (high - low) / 255.0F;
  const double zero = std::nearbyint(static_cast<double>(-low / codes.scale));
  codes.zero_point = static_cast<int>(std::fmin(std::fmax(zero, 0.0), 255.0));
  for (const float v : x.values<float>()) {
    const double q = std::nearbyint(static_cast<double>(v / codes.scale)) + codes.zero_point;
    codes.q.push_back(static_cast<int>(std::fmin(std::fmax(q, 0.0), 255.0)));
  }
  return codes;
}

/// y[r,n] for x of rows by depth; weights [depth, columns] or [columns, depth].
std::vector<float> spec_matrix(const ModelBuilder& b, const Tensor& x, ValueId weight,
                               const float* bias) {
  const auto codes = spec_codes(x);
  const auto w = weight_codes(b, weight);
  const auto& q = b.model.plan.values.at(weight);
  const Tensor& tensor = *b.model.graph.constant(weight);
  const std::int64_t columns = tensor.dim(q.params.axis);
  const std::int64_t depth = tensor.size() / columns;
  std::vector<float> y;
  for (std::int64_t r = 0; r < x.size() / depth; ++r) {
    for (std::int64_t n = 0; n < columns; ++n) {
      std::int64_t sum = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        const auto at = q.params.axis == 1 ? k * columns + n : n * depth + k;
        sum += std::int64_t{codes.q[static_cast<std::size_t>(r * depth + k)] - codes.zero_point} *
               w[static_cast<std::size_t>(at)];
      }
      const float scale = codes.scale * q.params.scale[static_cast<std::size_t>(n)];
      float value = static_cast<float>(sum) * scale;
      if (bias != nullptr) value += bias[n];
      y.push_back(value);
    }
  }
  return y;
}

std::vector<std::string> available_kernels() {
  std::vector<std::string> names;
  for (const auto isa : kernels::all_isas) {
    if (kernels::isa_available(isa)) names.emplace_back(kernels::name(isa));
  }
  return names;
}

/// Output `i` on every instruction set and number of threads, all of them the same.
Tensor run_all(const QuantizedGraph& model, const std::vector<Tensor>& inputs, std::size_t i) {
  Tensor result;
  for (const auto& isa : available_kernels()) {
    for (const int threads : {1, 2}) {
      const auto program = compile_integer(model, {isa});
      if (!program) {
        ADD_FAILURE() << program.error().message;
        return result;
      }
      const auto seen = observe(**program, model.graph, inputs, threads);
      if (i >= seen.outputs.size()) return result;
      if (!result.empty()) {
        EXPECT_TRUE(identical(result, seen.outputs[i])) << isa;
      }
      result = seen.outputs[i];
    }
  }
  return result;
}

void expect_values(const Tensor& got, const std::vector<float>& want) {
  ASSERT_EQ(static_cast<std::size_t>(got.size()), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got.data<float>()[i], want[i]) << "element " << i;
  }
}

/// Steps whose kernel begins with `prefix`.
int count_steps(const QuantizedGraph& model, const std::vector<Tensor>& inputs,
                const std::string& prefix) {
  const auto program = compile_integer(model);
  if (!program) return -1;
  auto session = (*program)->session();
  (*session)->set_profiling(true);
  if (!(*session)->run(inputs)) return -1;
  int count = 0;
  for (const auto& step : (*session)->step_times()) count += step.kernel.starts_with(prefix);
  return count;
}

TEST(IntegerDynamic, MatMulOfAnyRankWithItsBias) {
  for (const Shape& shape : {Shape{5, 19}, Shape{2, 7, 19}, Shape{2, 3, 4, 19}}) {
    ModelBuilder b(static_cast<unsigned>(shape.size()));
    Shape dynamic_shape = shape;
    dynamic_shape[0] = dynamic_dim;
    const auto x = b.input("x", dynamic_shape);
    const auto w = coded_weight(b, b.random_tensor({19, 70}, -0.7F, 0.7F), 1);
    const auto product = b.node("MatMul", {x, w});
    make_dynamic(b, product);
    const auto bias = b.constant("bias", b.random_tensor({70}, -1, 1));
    b.output(b.node("Add", {bias, product}));
    const auto input = b.random_tensor(shape, -1.5F, 3);
    const Tensor y = run_all(b.model, {input}, 0);
    expect_values(y, spec_matrix(b, input, w, b.model.graph.constant(bias)->data<float>()));
    expect_simulation_equals_integer(b.model, {input});
    EXPECT_EQ(count_steps(b.model, {input}, "float"), 0) << "the bias is added by the kernel";
  }
}

/// Enough weights for threads to share them by output channels.
TEST(IntegerDynamic, RowsOfManyWeights) {
  for (const std::int64_t rows : {1, 3}) {
    ModelBuilder b;
    const auto x = b.input("x", {dynamic_dim, 640});
    const auto w = coded_weight(b, b.random_tensor({640, 1100}, -0.7F, 0.7F), 1);
    const auto product = b.node("MatMul", {x, w});
    make_dynamic(b, product);
    b.output(product);
    const auto input = b.random_tensor({rows, 640}, -1.5F, 3);
    const Tensor y = run_all(b.model, {input}, 0);
    const std::vector<float> none(1100, 0.0F);
    expect_values(y, spec_matrix(b, input, w, none.data()));
  }
}

TEST(IntegerDynamic, GemmAndRangesOfAllKinds) {
  ModelBuilder b;
  const auto x = b.input("x", {dynamic_dim, 24});
  const auto w = coded_weight(b, b.random_tensor({10, 24}, -0.7F, 0.7F), 0);
  const auto bias = b.constant("bias", b.random_tensor({10}, -1, 1));
  const auto y = b.node("Gemm", {x, w, bias}, {{"transB", std::int64_t{1}}});
  make_dynamic(b, y);
  b.output(y);
  const float* bias_values = b.model.graph.constant(bias)->data<float>();
  for (const auto& [low, high] : {std::pair{-2.0F, 2.0F}, std::pair{1.0F, 2.0F},
                                  std::pair{-5.0F, -4.0F}, std::pair{0.0F, 0.0F}}) {
    const auto input = b.random_tensor({33, 24}, low, high);
    expect_values(run_all(b.model, {input}, 0), spec_matrix(b, input, w, bias_values));
    expect_simulation_equals_integer(b.model, {input});
  }
}

TEST(IntegerDynamic, NodesThatReadOneValueShareItsCodes) {
  ModelBuilder b;
  const auto x = b.input("x", {dynamic_dim, 6, 16});
  for (int i = 0; i < 3; ++i) {
    const auto w = coded_weight(b, b.random_tensor({16, 8}, -0.7F, 0.7F), 1);
    const auto y = b.node("MatMul", {x, w});
    make_dynamic(b, y);
    b.output(y);
  }
  const auto input = b.random_tensor({2, 6, 16}, -1, 1);
  EXPECT_EQ(count_steps(b.model, {input}, "u8_dynamicquantize"), 1);
  expect_simulation_equals_integer(b.model, {input});
}

/// Direct convolution of codes, [N,C,H,W] and [O,C/g,kh,kw].
std::vector<float> spec_conv(const ModelBuilder& b, const Tensor& x, ValueId weight, int stride,
                             int dilation, int pad, std::int64_t groups, const float* bias) {
  const auto codes = spec_codes(x);
  const auto w = weight_codes(b, weight);
  const Tensor& t = *b.model.graph.constant(weight);
  const auto& scales = b.model.plan.values.at(weight).params.scale;
  const std::int64_t height = x.dim(2), width = x.dim(3), kh = t.dim(2), kw = t.dim(3);
  const std::int64_t oh = (height + 2 * pad - (kh - 1) * dilation - 1) / stride + 1;
  const std::int64_t ow = (width + 2 * pad - (kw - 1) * dilation - 1) / stride + 1;
  std::vector<float> y;
  for (std::int64_t n = 0; n < x.dim(0); ++n)
    for (std::int64_t o = 0; o < t.dim(0); ++o)
      for (std::int64_t i = 0; i < oh; ++i)
        for (std::int64_t j = 0; j < ow; ++j) {
          std::int64_t sum = 0;
          for (std::int64_t c = 0; c < t.dim(1); ++c)
            for (std::int64_t k = 0; k < kh * kw; ++k) {
              const std::int64_t iy = i * stride - pad + k / kw * dilation;
              const std::int64_t ix = j * stride - pad + k % kw * dilation;
              if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
              const std::int64_t channel = o / (t.dim(0) / groups) * t.dim(1) + c;
              const auto at = ((n * x.dim(1) + channel) * height + iy) * width + ix;
              sum += std::int64_t{codes.q[static_cast<std::size_t>(at)] - codes.zero_point} *
                     w[static_cast<std::size_t>((o * t.dim(1) + c) * kh * kw + k)];
            }
          const float scale = codes.scale * scales[static_cast<std::size_t>(o)];
          y.push_back(static_cast<float>(sum) * scale + bias[o]);
        }
  return y;
}

TEST(IntegerDynamic, ConvolutionsWithPaddingGroupsAndDilation) {
  struct Case {
    Shape weight;
    std::int64_t channels, groups;
    int stride, dilation, pad;
  };
  for (const auto& c : {Case{{20, 6, 3, 3}, 6, 1, 1, 1, 1}, Case{{12, 3, 3, 3}, 6, 2, 2, 1, 1},
                        Case{{16, 1, 3, 3}, 16, 16, 1, 1, 1}, Case{{16, 1, 5, 5}, 16, 16, 1, 2, 3},
                        Case{{70, 9, 1, 1}, 9, 1, 1, 1, 0}, Case{{8, 6, 3, 3}, 6, 1, 1, 2, 2}}) {
    ModelBuilder b;
    const auto x = b.input("x", {dynamic_dim, c.channels, 11, 9});
    const auto w = coded_weight(b, b.random_tensor(c.weight, -0.7F, 0.7F), 0);
    const auto bias = b.constant("bias", b.random_tensor({c.weight[0]}, -1, 1));
    const auto y = b.node("Conv", {x, w, bias},
                          {{"pads", Ints{c.pad, c.pad, c.pad, c.pad}},
                           {"strides", Ints{c.stride, c.stride}},
                           {"dilations", Ints{c.dilation, c.dilation}},
                           {"group", c.groups}});
    make_dynamic(b, y);
    b.output(y);
    const auto input = b.random_tensor({2, c.channels, 11, 9}, -1.2F, 2);
    expect_values(run_all(b.model, {input}, 0),
                  spec_conv(b, input, w, c.stride, c.dilation, c.pad, c.groups,
                            b.model.graph.constant(bias)->data<float>()));
    expect_simulation_equals_integer(b.model, {input});
  }
}

TEST(IntegerDynamic, OneDimensionalConvolution) {
  ModelBuilder b;
  const auto x = b.input("x", {dynamic_dim, 6, dynamic_dim});
  const auto w = coded_weight(b, b.random_tensor({8, 3, 5}, -0.7F, 0.7F), 0);
  const auto y = b.node("Conv", {x, w},
                        {{"group", std::int64_t{2}}, {"pads", Ints{2, 1}}, {"strides", Ints{2}}});
  make_dynamic(b, y);
  b.output(y);
  for (const std::int64_t length : {20, 9}) {
    const auto input = b.random_tensor({3, 6, length}, -1, 2);
    EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 2);
  }
}

TEST(IntegerDynamic, WithoutIntegerWeightsTheNodeRunsInFloat) {
  ModelBuilder b;
  const auto x = b.input("x", {dynamic_dim, 12});
  const auto w = b.constant("weight", b.random_tensor({12, 4}, -1, 1));
  const auto y = b.node("MatMul", {x, w});
  make_dynamic(b, y);
  b.output(y);
  const auto input = b.random_tensor({3, 12}, -1, 2);
  EXPECT_EQ(count_steps(b.model, {input}, "float MatMul"), 1);
  expect_simulation_equals_integer(b.model, {input});
}

TEST(IntegerFloatOutput, IsTheScaledAccumulator) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 24}), -1, 2);
  const auto y = b.gemm(x, 10, 24);  // with an int32 bias
  b.output(y);
  const auto w = b.model.graph.node(b.model.graph.producers()[index(y)]).input(1);
  const auto bias = b.model.graph.node(b.model.graph.producers()[index(y)]).input(2);
  const auto input = b.random_tensor({4, 24}, -1.2F, 2.2F);
  const Tensor got = run_all(b.model, {input}, 0);
  const auto codes = weight_codes(b, w);
  const auto& q = b.model.plan.values.at(x).params;
  const auto& scales = b.model.plan.values.at(w).params.scale;
  std::vector<float> want;
  for (std::int64_t r = 0; r < 4; ++r) {
    for (std::size_t n = 0; n < 10; ++n) {
      const float scale = q.scale[0] * scales[n];
      auto sum = static_cast<std::int64_t>(std::nearbyint(
          static_cast<double>(b.model.graph.constant(bias)->data<float>()[n] / scale)));
      for (std::size_t k = 0; k < 24; ++k) {
        const float v = input.data<float>()[static_cast<std::size_t>(r) * 24 + k];
        const double code = std::nearbyint(static_cast<double>(v / q.scale[0])) + q.zero_point[0];
        sum += (static_cast<std::int64_t>(std::fmin(std::fmax(code, -128.0), 127.0)) -
                q.zero_point[0]) *
               codes[n * 24 + k];
      }
      want.push_back(static_cast<float>(sum) * scale);
    }
  }
  expect_values(got, want);
  expect_simulation_equals_integer(b.model, {input});
}

TEST(IntegerFloatOutput, FeedsFloatOpsAndIsQuantizedAfterAFloatBias) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 8, 6, 6}), -1, 2);
  const auto w = coded_weight(b, b.random_tensor({8, 8, 3, 3}, -0.7F, 0.7F), 0);
  const auto bias = b.constant("bias", b.random_tensor({8}, -1, 1));  // stays f32
  const auto conv = b.quantize(b.node("Conv", {x, w, bias}, {{"pads", Ints{1, 1, 1, 1}}}), -8, 8);
  const auto second = b.conv(conv, {6, 8, 1, 1}, {});
  const auto softmax = b.node("Softmax", {second}, {{"axis", std::int64_t{1}}});
  b.output(softmax);
  b.output(b.quantize(b.conv(conv, {6, 8, 1, 1}, {}), -9, 9, 16));
  const auto input = b.random_tensor({2, 8, 6, 6}, -1, 2);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 5);
  EXPECT_EQ(count_steps(b.model, {input}, "float Conv"), 0);
}

}  // namespace
}  // namespace octet::testing

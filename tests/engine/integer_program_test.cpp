#include "engine/integer/integer_program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

/// Convolutions of several kinds, a residual add, pooling, concat, flatten and a matrix.
ModelBuilder small_network() {
  ModelBuilder b;
  const auto x = b.quantize(b.input("image", {dynamic_dim, 3, 12, 10}), -1.1, 2.3);
  auto stem = b.conv(x, {16, 3, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}});
  stem = b.quantize(b.node("Relu", {stem}), 0, 8);
  auto body = b.conv(stem, {16, 16, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}, Granularity::per_tensor);
  body = b.quantize(body, -40, 40);
  auto sum = b.node("Add", {body, stem});
  sum = b.quantize(b.node("Relu", {sum}), 0, 45);
  auto depthwise =
      b.conv(sum, {16, 1, 3, 3},
             {{"group", std::int64_t{16}}, {"pads", Ints{0, 0, 1, 1}}, {"strides", Ints{2, 2}}});
  const auto low = b.constant("low", Tensor::from<float>({0}, {}));
  const auto six = b.constant("six", Tensor::from<float>({6}, {}));
  depthwise = b.quantize(b.node("Clip", {depthwise, low, six}), 0, 6);
  auto pooled = b.node("MaxPool", {sum}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  pooled = b.share(pooled, sum);
  auto joined = b.node("Concat", {depthwise, pooled}, {{"axis", std::int64_t{1}}});
  joined = b.quantize(joined, 0, 40);
  auto average =
      b.node("AveragePool", {joined}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}});
  average = b.quantize(average, 0, 30);
  auto flat = b.share(b.node("Flatten", {average}), average);
  auto logits = b.quantize(b.gemm(flat, 10, 32 * 6 * 5), -200, 200);
  b.output(b.node("Softmax", {logits}));
  b.output(logits);
  b.output(joined);
  return b;
}

TEST(IntegerProgram, EqualsTheSimulationOnEveryValue) {
  auto b = small_network();
  const auto input = b.random_tensor({2, 3, 12, 10}, -1.2F, 2.4F);
  EXPECT_GE(expect_simulation_equals_integer(b.model, {input}), 11);
}

/// Signal over noise of the dequantized output against the float engine, in dB.
double sqnr(const Tensor& reference, const Tensor& other) {
  double signal = 0;
  double noise = 0;
  for (std::int64_t i = 0; i < reference.size(); ++i) {
    const double r = reference.data<float>()[i];
    const double d = r - other.data<float>()[i];
    signal += r * r;
    noise += d * d;
  }
  return 10 * std::log10(signal / std::max(noise, 1e-30));
}

TEST(IntegerProgram, IsCloseToTheFloatEngine) {
  auto b = small_network();
  const auto input = b.random_tensor({3, 3, 12, 10}, -1.0F, 2.2F);
  auto integer = compile_integer(b.model);
  auto floating = compile_float(b.model.graph);
  ASSERT_TRUE(integer) << integer.error().message;
  ASSERT_TRUE(floating) << floating.error().message;
  const auto a = observe(**integer, b.model.graph, {input});
  auto session = (*floating)->session();
  ASSERT_TRUE(session);
  const auto f = (*session)->run(std::vector<Tensor>{input});
  ASSERT_TRUE(f) << f.error().message;
  ASSERT_EQ(a.outputs.size(), 3U);
  ASSERT_EQ(a.outputs[1].shape(), (*f)[1].shape());
  EXPECT_GT(sqnr((*f)[1], a.outputs[1]), 20);
  EXPECT_GT(sqnr((*f)[2], a.outputs[2]), 20);
}

TEST(IntegerProgram, SameBytesForAnyThreadsBatchAndKernels) {
  auto b = small_network();
  const auto input = b.random_tensor({3, 3, 12, 10}, -1.2F, 2.4F);
  auto program = compile_integer(b.model);
  ASSERT_TRUE(program) << program.error().message;
  const auto one = observe(**program, b.model.graph, {input}, 1);
  const auto two = observe(**program, b.model.graph, {input}, 2);
  ASSERT_EQ(one.outputs.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(identical(one.outputs[i], two.outputs[i]));
  auto reference = compile_integer(b.model, {"reference"});
  ASSERT_TRUE(reference);
  const auto plain = observe(**reference, b.model.graph, {input});
  for (const auto& [name, seen] : one.values) EXPECT_EQ(seen.codes, plain.values.at(name).codes);
  // One image at a time, in one session.
  auto session = (*program)->session();
  ASSERT_TRUE(session);
  const std::int64_t count = 3 * 12 * 10;
  for (std::int64_t n = 0; n < 3; ++n) {
    Tensor image(DType::f32, {1, 3, 12, 10});
    std::copy_n(input.data<float>() + n * count, count, image.mutable_data<float>());
    auto outputs = (*session)->run(std::vector<Tensor>{image});
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::int64_t i = 0; i < 10; ++i) {
      EXPECT_EQ((*outputs)[1].data<float>()[i], one.outputs[1].data<float>()[n * 10 + i]);
    }
  }
  // And another image size in between leaves the session sound.
  auto again = (*session)->run(std::vector<Tensor>{input});
  ASSERT_TRUE(again);
  EXPECT_TRUE(identical((*again)[0], one.outputs[0]));
}

TEST(IntegerProgram, RunsAllButSoftmaxInIntegers) {
  auto b = small_network();
  auto program = compile_integer(b.model);
  ASSERT_TRUE(program);
  auto session = (*program)->session();
  ASSERT_TRUE(session);
  (*session)->set_profiling(true);
  ASSERT_TRUE((*session)->run(std::vector<Tensor>{b.random_tensor({1, 3, 12, 10}, -1, 2)}));
  std::multiset<std::string> floating;
  std::int64_t macs = 0;
  for (const auto& step : (*session)->step_times()) {
    if (step.kernel.starts_with("float ")) floating.insert(step.op);
    macs += step.macs;
    EXPECT_GE(step.milliseconds, 0);
  }
  EXPECT_EQ(floating, (std::multiset<std::string>{"Softmax"}));
  EXPECT_EQ(macs, 120 * 16 * 27 + 120 * 16 * 144 + 30 * 16 * 9 + 10 * 960);
}

TEST(IntegerProgram, MovesCodesLikeTheFloatOps) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 4, 6, 5}), -2, 3);
  const auto moved = [&](ValueId v) { return b.share(v, x); };
  const auto transposed = moved(b.node("Transpose", {x}, {{"perm", Ints{0, 2, 3, 1}}}));
  const auto reshaped = moved(b.node("Reshape", {transposed, b.ints("shape", {0, 5, 4, 6})}));
  const auto flat = moved(b.node("Reshape", {reshaped, b.ints("flat", {0, -1, 3})}));
  const auto back = moved(b.node("Reshape", {flat, b.ints("back", {0, 4, 6, 5})}));
  const auto sliced =
      moved(b.node("Slice", {back, b.ints("starts", {-1, 1}), b.ints("ends", {-7, 6}),
                             b.ints("axes", {1, 2}), b.ints("steps", {-2, 2})}));
  const auto fill = b.constant("fill", Tensor::from<float>({1.5F}, {}));
  const auto padded =
      moved(b.node("Pad", {sliced, b.ints("pads", {0, 1, 2, -1, 0, 0, 1, 3}), fill}));
  auto joined = b.node("Concat", {padded, padded}, {{"axis", std::int64_t{-1}}});
  joined = moved(joined);
  const auto squeezed = moved(b.node("Unsqueeze", {flat, b.ints("axes2", {1})}));
  b.output(joined);
  b.output(squeezed);
  const auto input = b.random_tensor({2, 4, 6, 5}, -2.5F, 3.5F);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 9);
}

TEST(IntegerProgram, LooksUpActivationsAndBroadcasts) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 8, 5, 4}), -4, 5);
  const auto gate = b.quantize(b.node("GlobalAveragePool", {x}), -2, 2);
  const auto hard = b.quantize(b.node("HardSigmoid", {gate}), 0, 1);
  const auto gated = b.quantize(b.node("Mul", {x, hard}), -3, 4);
  const auto swish = b.quantize(b.node("HardSwish", {gated}), -0.4, 4);
  const auto sigmoid = b.quantize(b.node("Sigmoid", {swish}), 0, 1);
  const auto offset = b.quantize(b.constant("offset", b.random_tensor({8, 1, 1}, -1, 1)), -1, 1);
  const auto shifted = b.quantize(b.node("Add", {sigmoid, offset}), -1, 2);
  const auto relu = b.quantize(b.node("Relu", {shifted}), 0, 2);
  const auto requantized = b.quantize(b.node("Sub", {relu, x}), -5, 6, 6);
  b.output(requantized);
  const auto input = b.random_tensor({2, 8, 5, 4}, -4.5F, 5.5F);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 9);
}

TEST(IntegerProgram, RunsOneDimensionalConvolutionsAndMatMul) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 6, 20}), -2, 2);
  auto conv = b.conv(x, {8, 3, 5},
                     {{"group", std::int64_t{2}}, {"pads", Ints{2, 1}}, {"strides", Ints{2}}});
  conv = b.quantize(b.node("Relu", {conv}), 0, 5);
  const auto w = b.constant("matrix", b.random_tensor({10, 7}, -0.7F, 0.7F));
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, Granularity::per_channel, 1, CodeRange::narrow};
  q.params.axis = 1;
  for (int i = 0; i < 7; ++i) {
    q.params.scale.push_back(0.006F + 0.0001F * static_cast<float>(i));
    q.params.zero_point.push_back(0);
  }
  b.model.plan.values[w] = q;
  const auto product = b.quantize(b.node("MatMul", {conv, w}), -9, 9);
  b.output(product);
  const auto input = b.random_tensor({3, 6, 20}, -2.5F, 2.5F);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 3);
}

TEST(IntegerProgram, KeepsUnquantizedNodesInFloat) {
  ModelBuilder b;
  const auto x = b.input("x", {dynamic_dim, 3, 8, 8});
  b.quantize(x, -1, 1);
  // Its output is not quantized: a float convolution on what the codes stand for.
  const auto wide = b.conv(x, {4, 3, 3, 3}, {});
  const auto exp = b.node("Tanh", {wide});
  const auto back = b.quantize(exp, -1, 1);
  const auto conv = b.conv(back, {4, 4, 1, 1}, {});
  const auto sixteen = b.quantize(conv, -4, 4, 16);
  b.output(b.node("Relu", {sixteen}));
  const auto input = b.random_tensor({2, 3, 8, 8}, -1, 1);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 5);
}

TEST(IntegerProgram, WeightsWithAZeroPointRunInFloat) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 3, 8, 8}), -1, 1);
  const auto conv = b.quantize(b.conv(x, {4, 3, 3, 3}, {}, Granularity::per_tensor), -4, 4);
  b.output(conv);
  for (auto& [id, q] : b.model.plan.values) {
    if (b.model.graph.value(id).name == "weight") {
      q.scheme.symmetry = Symmetry::asymmetric;
      q.scheme.range = CodeRange::full;
      q.params.zero_point = {5};
    }
  }
  auto program = compile_integer(b.model);
  ASSERT_TRUE(program) << program.error().message;
  auto session = (*program)->session();
  ASSERT_TRUE(session);
  (*session)->set_profiling(true);
  const auto input = b.random_tensor({1, 3, 8, 8}, -1, 1);
  ASSERT_TRUE((*session)->run(std::vector<Tensor>{input}));
  bool found = false;
  for (const auto& step : (*session)->step_times()) found |= step.kernel == "float Conv";
  EXPECT_TRUE(found);
}

/// Kernels of the steps of one run.
std::vector<std::string> kernels_of(const ModelBuilder& b, const Tensor& input) {
  const auto program = compile_integer(b.model);
  if (!program) return {program.error().message};
  const auto session = (*program)->session();
  (*session)->set_profiling(true);
  if (!(*session)->run(std::vector<Tensor>{input})) return {"failed"};
  std::vector<std::string> kernels;
  for (const auto& step : (*session)->step_times()) kernels.push_back(step.kernel);
  return kernels;
}

TEST(IntegerProgram, FunctionsOfOneValueBecomeOneTable) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 4, 6, 6}), -3, 3);
  const auto gate = b.quantize(b.node("Sigmoid", {x}), 0, 1);
  const auto swish = b.quantize(b.node("Mul", {x, gate}), -1, 3);
  const auto more = b.quantize(b.node("Tanh", {swish}), -1, 1);
  const auto sum = b.quantize(b.node("Add", {more, gate}), -1, 2);
  b.output(sum);
  const auto input = b.random_tensor({2, 4, 6, 6}, -3, 3);
  EXPECT_EQ(kernels_of(b, input),
            (std::vector<std::string>{"u8_quantize_tensor_onnx_1", "u8_lookup_tensor_any_1",
                                      "u8_dequantize_tensor_onnx_1"}));
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 5) << "taps see them all";
}

TEST(IntegerProgram, FunctionsOfTwoValuesStayWhatTheyAre) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 4, 6, 6}), -3, 3);
  const auto y = b.quantize(b.input("y", {dynamic_dim, 4, 1, 1}), -3, 3);
  const auto gate = b.quantize(b.node("Sigmoid", {y}), 0, 1);
  const auto gated = b.quantize(b.node("Mul", {x, gate}), -3, 3);
  b.output(gated);
  b.output(gate);
  const auto inputs = std::vector<Tensor>{b.random_tensor({2, 4, 6, 6}, -3, 3),
                                          b.random_tensor({2, 4, 1, 1}, -3, 3)};
  EXPECT_EQ(expect_simulation_equals_integer(b.model, inputs), 4);
}

TEST(IntegerProgram, OverridesOfAUseAreRequantized) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 4, 6, 6}), -2, 2);
  const auto first = b.quantize(b.node("Relu", {x}), 0, 2);
  const auto sum = b.quantize(b.node("Add", {first, x}), -2, 4);
  b.output(sum);
  Quantization coarse;
  coarse.params = params_from_range(-1, 1, coarse.scheme);
  b.model.plan.overrides[{b.model.graph.producers()[index(sum)], 1}] = coarse;
  const auto input = b.random_tensor({2, 4, 6, 6}, -2, 2);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 3);
}

TEST(IntegerProgram, BadRequestsAreErrors) {
  auto b = small_network();
  EXPECT_FALSE(compile_integer(b.model, {"sse9"}));
  auto program = compile_integer(b.model);
  ASSERT_TRUE(program);
  auto session = (*program)->session();
  ASSERT_TRUE(session);
  EXPECT_FALSE((*session)->run(std::vector<Tensor>{}));
  EXPECT_FALSE((*session)->run(std::vector<Tensor>{Tensor::zeros(DType::f32, {1, 3, 12})}));
  EXPECT_FALSE((*session)->run(std::vector<Tensor>{Tensor::zeros(DType::f32, {1, 4, 12, 10})}));
  EXPECT_FALSE((*session)->run(std::vector<Tensor>{Tensor::zeros(DType::i64, {1, 3, 12, 10})}));
}

}  // namespace
}  // namespace octet::testing

#include "passes/float_function.h"

#include <gtest/gtest.h>

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/float_program.h"
#include "graph/graph_builder.h"
#include "graph/quantizations.h"
#include "graph/shape_inference.h"
#include "passes/scale_fit.h"

namespace octet::testing {
namespace {

TEST(FloatFunction, SeesThroughEqualizationAndAbsorbedActivations) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 4});
  const auto made = b.node("Gemm", {x, b.weights("w1", {6, 4}, 1), b.weights("b1", {6}, 2)}, "made",
                           {{"transB", std::int64_t{1}}});
  const auto h = b.node("Relu", {made}, "h");
  b.output(b.node("Gemm", {h, b.weights("w2", {3, 6}, 3), b.weights("b2", {3}, 4)}, "y",
                  {{"transB", std::int64_t{1}}}));
  ASSERT_TRUE(infer_shapes(b.graph));
  // The same with channels scaled, the Relu left to the codes, and codes alone for the weights.
  GraphBuilder q;
  const auto xq = q.input("x", {dynamic_dim, 4});
  const std::vector<float> t = {1, 2, 0.5F, 4, 1, 0.25F};
  auto w1 = GraphBuilder::pseudo_random({6, 4}, 1);
  auto b1 = GraphBuilder::pseudo_random({6}, 2);
  auto w2 = GraphBuilder::pseudo_random({3, 6}, 3);
  for (std::int64_t o = 0; o < 6; ++o) {
    const float scale = t[static_cast<std::size_t>(o)];
    for (std::int64_t i = 0; i < 4; ++i) w1.mutable_data<float>()[o * 4 + i] *= scale;
    b1.mutable_data<float>()[o] *= scale;
    for (std::int64_t k = 0; k < 3; ++k) w2.mutable_data<float>()[k * 6 + o] /= scale;
  }
  const auto coded = [&](const char* name, const Tensor& values, float scale, int bits) {
    Quantization quantization = weight(8);
    quantization.params.scale = {scale};
    quantization.scheme.bits = bits;
    const auto codes = quantize(values, quantization.params, quantization.scheme,
                                bits == 16 ? DType::i16 : DType::i32);
    const auto id = q.constant(name, *dequantize(*codes, quantization.params));
    return std::tuple(id, quantization, *codes);
  };
  const auto [v1, q1, c1] = coded("w1", w1, 4.0F / 32767, 16);
  const auto [v2, q2, c2] = coded("w2", w2, 4.0F / 32767, 16);
  const auto [vb, qb, cb] = coded("b1", b1, 4.0F / 32767 / 127, 32);
  const auto hq = q.node("Gemm", {xq, v1, vb}, "h", {{"transB", std::int64_t{1}}});
  const auto yq =
      q.node("Gemm", {hq, v2, q.weights("b2", {3}, 4)}, "y", {{"transB", std::int64_t{1}}});
  q.output(yq);
  q.graph.node(static_cast<NodeId>(0)).name = "made_node";
  QuantizedGraph model{std::move(q.graph), {}};
  model.plan.values = {{xq, activation(-1, 1)},
                       {hq, activation(0, 8)},
                       {yq, activation(-8, 8)},
                       {v1, q1},
                       {v2, q2},
                       {vb, qb}};
  model.plan.payloads = {{v1, c1}, {v2, c2}, {vb, cb}};
  std::vector<std::string> unmatched;
  const auto restored = float_function(model, b.graph, unmatched);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_TRUE(unmatched.empty());
  const auto expected = compile_float(b.graph);
  const auto found = compile_float(restored->graph);
  ASSERT_TRUE(expected && found);
  for (int i = 0; i < 5; ++i) {
    const std::vector<Tensor> inputs = {GraphBuilder::pseudo_random({1, 4}, i)};
    const auto y = (*(*expected)->session())->run(inputs);
    const auto z = (*(*found)->session())->run(inputs);
    ASSERT_TRUE(y && z);
    for (std::int64_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(y->front().data<float>()[k], z->front().data<float>()[k], 0.002) << i;
    }
  }
}

/// Of a layer whose bias has given 0.5 to the layer behind it.
TEST(FloatFunction, KeepsBiasesThatWereMoved) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 4});
  b.output(b.node("Gemm", {x, b.weights("w", {3, 4}, 1), b.weights("b", {3}, 2)}, "y",
                  {{"transB", std::int64_t{1}}}));
  ASSERT_TRUE(infer_shapes(b.graph));
  auto moved = GraphBuilder::pseudo_random({3}, 2);
  for (std::int64_t o = 0; o < 3; ++o) moved.mutable_data<float>()[o] -= 0.5F;
  QuantizedGraph model{b.graph, {}};
  const Node& layer = maker_of(model.graph, "y");
  Quantization of_weights = weight(8);
  of_weights.params.scale = {1.0F / 127};
  Quantization of_bias = weight(8);
  of_bias.params.scale = {1e-6F};
  of_bias.scheme.bits = 32;
  const auto set = [&](std::size_t input, const Quantization& q, const Tensor& values, DType type) {
    model.plan.values[layer.input(input)] = q;
    model.plan.payloads[layer.input(input)] = *quantize(values, q.params, q.scheme, type);
  };
  set(1, of_weights, GraphBuilder::pseudo_random({3, 4}, 1), DType::i8);
  set(2, of_bias, moved, DType::i32);
  for (const bool biases_moved : {false, true}) {
    std::vector<std::string> unmatched;
    const auto restored = float_function(model, b.graph, unmatched, biases_moved);
    ASSERT_TRUE(restored) << restored.error().message;
    const auto* bias = restored->graph.constant(maker_of(restored->graph, "y").input(2));
    ASSERT_NE(bias, nullptr);
    for (std::int64_t o = 0; o < 3; ++o) {
      const float want = moved.data<float>()[o] + (biases_moved ? 0.0F : 0.5F);
      EXPECT_NEAR(bias->data<float>()[o], want, 1e-5F) << biases_moved;
    }
  }
}

/// Three layers of 16 channels, and what 4 bits leave of their weights with channels scaled.
struct Chain {
  Graph original;
  std::map<NodeId, Tensor> coded;
};

Chain chain(const std::vector<double>& first, const std::vector<double>& second) {
  GraphBuilder b;
  const auto gemm = [&](ValueId x, const char* name, int seed) {
    const auto w = b.weights(std::string("w") + name, {16, 16}, seed);
    return b.node("Gemm", {x, w}, name, {{"transB", std::int64_t{1}}});
  };
  const auto x = b.input("x", {dynamic_dim, 16});
  const auto u = b.node("Relu", {gemm(x, "a", 1)}, "u");
  const auto v = b.node("Relu", {gemm(u, "b", 2)}, "v");
  b.output(gemm(v, "y", 3));
  EXPECT_TRUE(infer_shapes(b.graph));
  Chain out{std::move(b.graph), {}};
  const std::vector<const std::vector<double>*> sides = {nullptr, &first, &second, nullptr};
  int layer = 0;
  for (const auto* name : {"a", "b", "y"}) {
    const Node& node = maker_of(out.original, name);
    auto weights = scaled_weights(node, *out.original.constant(node.input(1)),
                                  sides[static_cast<std::size_t>(layer) + 1],
                                  sides[static_cast<std::size_t>(layer)]);
    auto q = weight(4);
    float largest = 0;
    for (const float w : weights.values<float>()) largest = std::max(largest, std::abs(w));
    q.params =
        params_from_range(-static_cast<double>(largest), static_cast<double>(largest), q.scheme);
    const auto id = out.original.producers()[index(out.original.find_value(name))];
    out.coded[id] = *dequantize(*quantize(weights, q.params, q.scheme, DType::i8), q.params);
    ++layer;
  }
  return out;
}

TEST(ScaleFit, FindsScalesInWeightsOfFourBits) {
  std::vector<double> first;
  std::vector<double> second;
  for (int c = 0; c < 16; ++c) {
    first.push_back(std::exp(0.8 * std::sin(c)));
    second.push_back(std::exp(0.8 * std::cos(3 * c)));
  }
  const auto [original, coded] = chain(first, second);
  const auto classes = scale_classes(original);
  ASSERT_EQ(classes.size(), 2U);
  const auto fit = fit_scales(original, classes, coded);
  for (std::size_t c = 0; c < 16; ++c) {
    EXPECT_NEAR(fit.scales[0][c] / first[c], 1, 0.15) << c;
    EXPECT_NEAR(fit.scales[1][c] / second[c], 1, 0.15) << c;
  }
  for (const auto& [id, error] : fit.errors) EXPECT_LT(error, 0.05);
}

TEST(ScaleFit, LeavesChannelsThatWereNotScaled) {
  const std::vector<double> ones(16, 1);
  const auto [original, coded] = chain(ones, ones);
  const auto fit = fit_scales(original, scale_classes(original), coded);
  int moved = 0;
  for (const auto& scales : fit.scales) {
    for (const double scale : scales) moved += scale == 1 ? 0 : 1;
  }
  EXPECT_LE(moved, 6) << "of 32: one in twenty by chance";
}

TEST(ScaleFit, SaysWhichWeightsItDoesNotExplain) {
  const std::vector<double> ones(16, 1);
  auto [original, coded] = chain(ones, ones);
  auto& other = coded.begin()->second;
  other = GraphBuilder::pseudo_random(other.shape(), 99);
  const auto fit = fit_scales(original, scale_classes(original), coded);
  EXPECT_GT(fit.errors.at(coded.begin()->first), 0.35);
}

}  // namespace
}  // namespace octet::testing

#include "training/fake_quant.h"

#include <gtest/gtest.h>

#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/integer_model_builder.h"
#include "engine/simulation/simulation_program.h"
#include "graph/shape_inference.h"
#include "passes/state_bits.h"
#include "training/network.h"

namespace octet::testing {
namespace {

/// input -> Conv -> Relu -> MaxPool -> Flatten -> Gemm, all quantized to `bits`.
QuantizedGraph small_network(int bits) {
  ModelBuilder b(3);
  const auto x = b.quantize(b.input("x", {1, 3, 8, 8}), -1, 1, bits);
  const auto y = b.quantize(b.node("Relu", {b.conv(x, {4, 3, 3, 3}, {})}), 0, 2, bits);
  const auto pooled = b.node("MaxPool", {y},
                             {{"kernel_shape", std::vector<std::int64_t>{2, 2}},
                              {"strides", std::vector<std::int64_t>{2, 2}}});
  b.share(pooled, y);
  const auto flat = b.node("Flatten", {pooled});
  b.share(flat, pooled);
  b.output(b.gemm(flat, 5, 36));
  EXPECT_TRUE(infer_shapes(b.model.graph).has_value());
  return b.model;
}

int count_nodes(const Graph& graph, std::string_view op) {
  int count = 0;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    count += node.alive && node.op == op ? 1 : 0;
  }
  return count;
}

TEST(InsertFakeQuant, QuantizesEachValueOnceAndSharesScalesOfMovedCodes) {
  const auto model = small_network(8);
  const auto trained = insert_fake_quant(model);
  ASSERT_TRUE(trained.has_value());
  // Input, two weights, the Relu's output; pooling and Flatten move its codes.
  EXPECT_EQ(count_nodes(trained->graph, "FakeQuant"), 4);
  EXPECT_EQ(trained->scales.size(), 4U);
  std::size_t most = 0;
  for (const auto& scale : trained->scales) most = std::max(most, scale.values.size());
  EXPECT_EQ(most, 3U);
}

/// What a product reads with fewer bits is an image of the value's codes, as in the integer engine.
TEST(InsertFakeQuant, NarrowUsesReadThroughTheCodesOfTheValue) {
  ModelBuilder b(3);
  const auto x = b.quantize(b.input("x", {1, 3, 8, 8}), -1, 1);
  const auto y = b.conv(x, {4, 3, 3, 3}, {});
  b.output(y);
  const auto conv = b.model.graph.producers()[index(y)];
  auto narrow = b.model.plan.values.at(x);
  narrow.scheme.bits = 4;
  narrow.params.scale[0] *= 17;
  narrow.params.zero_point[0] = 0;
  b.model.plan.overrides[{conv, 0}] = narrow;
  const auto trained = insert_fake_quant(b.model);
  ASSERT_TRUE(trained.has_value());
  const auto producers = trained->graph.producers();
  const auto read = producers[index(trained->graph.node(conv).input(0))];
  ASSERT_NE(read, NodeId::none);
  EXPECT_EQ(trained->graph.node(read).int_attribute("qmax", 0), 7);
  const auto codes = producers[index(trained->graph.node(read).input(0))];
  ASSERT_NE(codes, NodeId::none);
  EXPECT_EQ(trained->graph.node(codes).int_attribute("qmax", 0), 127);
}

TEST(InsertFakeQuant, MethodsTrainScalesOrOffsetsOrNothing) {
  const auto model = small_network(8);
  const auto roles = [&](ScaleMethod method) {
    const auto network = Network::make(model.graph, *insert_fake_quant(model, method));
    std::map<ParameterRole, int> count;
    for (const auto& [id, role] : network->roles()) ++count[role];
    return count;
  };
  EXPECT_EQ(roles(ScaleMethod::fixed)[ParameterRole::scale], 0);
  EXPECT_EQ(roles(ScaleMethod::lsq)[ParameterRole::scale], 4);
  EXPECT_EQ(roles(ScaleMethod::pact)[ParameterRole::scale], 0);
  EXPECT_EQ(roles(ScaleMethod::pact)[ParameterRole::clip], 2) << "activations alone";
  EXPECT_EQ(roles(ScaleMethod::lsq_plus)[ParameterRole::scale], 4);
  EXPECT_EQ(roles(ScaleMethod::lsq_plus)[ParameterRole::plain],
            roles(ScaleMethod::lsq)[ParameterRole::plain] + 2)
      << "zero points of activations";
}

TEST(AdoptParameters, RoundsTrainedOffsetsToZeroPoints) {
  auto model = small_network(8);
  const auto trained = insert_fake_quant(model, ScaleMethod::lsq_plus);
  ASSERT_TRUE(trained.has_value());
  std::map<ValueId, Tensor> parameters;
  for (const auto& scale : trained->scales) {
    parameters.emplace(scale.constant, *trained->graph.constant(scale.constant));
    if (scale.offset == ValueId::none) continue;
    parameters.emplace(scale.offset,
                       Tensor::from<float>({scale.values.size() > 1 ? -300 : 3.4F}, {1}));
  }
  ASSERT_TRUE(adopt_parameters(model, *trained, parameters).has_value());
  for (const auto& scale : trained->scales) {
    if (scale.offset == ValueId::none) continue;
    for (const auto id : scale.values) {
      EXPECT_EQ(model.plan.values.at(id).params.zero_point[0], scale.values.size() > 1 ? -128 : 3);
    }
  }
}

TEST(InsertFakeQuant, RefusesDynamicInputs) {
  auto model = small_network(8);
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    if (model.graph.node(static_cast<NodeId>(i)).is("Gemm")) {
      model.plan.overrides[{static_cast<NodeId>(i), 0}] = dynamic_quantization();
    }
  }
  EXPECT_FALSE(insert_fake_quant(model).has_value());
}

/// Training sees what the simulation of the quantized model computes, but for biases, which it
/// leaves float.
TEST(Network, ForwardEqualsTheFakeQuantizedModel) {
  const auto model = small_network(8);
  const auto trained = insert_fake_quant(model);
  ASSERT_TRUE(trained.has_value());
  const auto network = Network::make(model.graph, *trained);
  ASSERT_TRUE(network.has_value()) << network.error().message;
  const auto tape = network->tape(1);
  ASSERT_TRUE(tape.has_value()) << tape.error().message;
  ASSERT_TRUE((*tape)->update({}).has_value());
  auto session = (*tape)->session();
  const Tensor input = ModelBuilder(9).random_tensor({1, 3, 8, 8}, -1.2F, 1.2F);
  const auto scores = (*session)->forward(std::span(&input, 1));
  ASSERT_TRUE(scores.has_value()) << scores.error().message;

  const auto program = compile_simulation(model);
  ASSERT_TRUE(program.has_value());
  auto reference = program->program->session();
  const auto expected = (*reference)->run(std::span(&input, 1));
  ASSERT_TRUE(expected.has_value());
  for (std::int64_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(scores->front().data<float>()[i], expected->front().data<float>()[i], 2e-2F);
  }
}

TEST(AdoptParameters, RoundsWeightsAndBiasesAnew) {
  auto model = small_network(8);
  const auto trained = insert_fake_quant(model);
  ASSERT_TRUE(trained.has_value());
  std::map<ValueId, Tensor> parameters;
  for (const auto& scale : trained->scales) {
    Tensor doubled = *trained->graph.constant(scale.constant);
    for (std::int64_t i = 0; i < doubled.size(); ++i) doubled.mutable_data<float>()[i] *= 2;
    parameters.emplace(scale.constant, doubled);
  }
  const auto before = model.plan;
  ASSERT_TRUE(adopt_parameters(model, *trained, parameters).has_value());
  int biases = 0;
  for (const auto& [id, q] : model.plan.values) {
    const Tensor* constant = model.graph.constant(id);
    const float factor = q.scheme.bits > 16 ? 4.0F : 2.0F;
    for (std::size_t i = 0; i < q.params.scale.size(); ++i) {
      EXPECT_FLOAT_EQ(q.params.scale[i], factor * before.values.at(id).params.scale[i]);
    }
    if (q.scheme.bits <= 16) {
      EXPECT_EQ(q.origin, Origin::learned);
    } else {
      ++biases;
    }
    if (constant == nullptr) continue;
    const auto codes = model.plan.payloads.at(id);
    const auto back = dequantize(codes, q.params);
    ASSERT_TRUE(back.has_value());
    for (std::int64_t i = 0; i < codes.size(); ++i) {
      const std::size_t channel =
          q.params.per_channel() ? static_cast<std::size_t>(i / (codes.size() / codes.dim(0))) : 0;
      EXPECT_LE(std::abs(back->data<float>()[i] - constant->data<float>()[i]),
                0.5001F * q.params.scale[channel]);
    }
  }
  EXPECT_EQ(biases, 2);
}

TEST(StateBits, LimitsCodesOfFewBitsByAClip) {
  auto model = small_network(4);
  state_bits(model);
  // The input and the Relu, which became one; pooling and Flatten hold codes that are limited.
  EXPECT_EQ(count_nodes(model.graph, "Clip"), 2);
  EXPECT_EQ(count_nodes(model.graph, "Relu"), 0);
  for (const auto& [id, q] : model.plan.values) {
    if (model.graph.constant(id) != nullptr) continue;
    EXPECT_EQ(q.scheme.bits, 8);
  }
  auto eight = small_network(8);
  state_bits(eight);
  EXPECT_EQ(count_nodes(eight.graph, "Clip"), 0);
}

}  // namespace
}  // namespace octet::testing

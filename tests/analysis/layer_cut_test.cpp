#include "analysis/layer_cut.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/integer/integer_program.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

Quantization codes_of(float scale, std::int32_t zero_point) {
  return {QuantScheme{}, {{scale}, {zero_point}, -1}, Origin::observed, DType::u8};
}

Quantization weight_codes(float scale) {
  Quantization q{QuantScheme{}, {{scale}, {0}, -1}, Origin::observed, DType::i8};
  q.scheme.symmetry = Symmetry::symmetric;
  q.scheme.range = CodeRange::narrow;
  return q;
}

/// x -> MatMul -> Relu -> h -> MatMul -> y, all in codes.
QuantizedGraph two_layers() {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 2});
  const auto w1 = b.constant("w1", Tensor::from<float>({0.5F, -1.0F, 0.25F, 0.75F}, {2, 2}));
  const auto w2 = b.constant("w2", Tensor::from<float>({1.0F, -0.5F}, {2, 1}));
  const auto made = b.node("MatMul", {x, w1}, "made");
  const auto h = b.node("Relu", {made}, "h");
  const auto y = b.node("MatMul", {h, w2}, "y");
  b.output(y);
  EXPECT_TRUE(infer_shapes(b.graph));
  QuantizedGraph model{std::move(b.graph), {}};
  model.plan.values[x] = codes_of(0.125F, 0);
  model.plan.values[h] = codes_of(0.0625F, -128);
  model.plan.values[y] = codes_of(0.25F, 3);
  model.plan.values[w1] = weight_codes(0.25F);
  model.plan.values[w2] = weight_codes(0.5F);
  return model;
}

std::string value_name(const QuantizedGraph& model, ValueId id) {
  return model.graph.value(id).name;
}

TEST(LayerCut, OneModelForEachLayerWithItsActivation) {
  const auto model = two_layers();
  const auto cuts = cut_layers(model);
  ASSERT_TRUE(cuts) << cuts.error().message;
  ASSERT_EQ(cuts->size(), 2U);
  const auto& first = (*cuts)[0];
  EXPECT_EQ(value_name(model, first.inputs.at(0)), "x");
  EXPECT_EQ(value_name(model, first.outputs.at(0)), "h");
  EXPECT_EQ(first.model.graph.node_slots(), 2U);
  const auto& second = (*cuts)[1];
  EXPECT_EQ(value_name(model, second.inputs.at(0)), "h");
  EXPECT_EQ(value_name(model, second.outputs.at(0)), "y");
  EXPECT_EQ(second.model.graph.node_slots(), 1U);
}

TEST(LayerCut, ReportsWhatLayersGiveAndNotWhatTheyHoldInside) {
  const auto model = two_layers();
  const auto outputs = layer_outputs(model);
  ASSERT_TRUE(outputs);
  const auto listed = [&](const char* name) {
    return static_cast<bool>((*outputs)[index(model.graph.find_value(name))]);
  };
  EXPECT_TRUE(listed("h"));
  EXPECT_TRUE(listed("y"));
  EXPECT_FALSE(listed("made"));
  EXPECT_FALSE(listed("w1"));
}

TEST(LayerCut, FedFloatsItLosesWhatTheLayerAloneLoses) {
  const auto cuts = cut_layers(two_layers());
  ASSERT_TRUE(cuts);
  const auto program = compile_integer((*cuts)[1].model);
  ASSERT_TRUE(program) << program.error().message;
  const auto session = (*program)->session();
  ASSERT_TRUE(session);
  const std::vector<Tensor> inputs = {Tensor::from<float>({1.03F, 0.47F}, {1, 2})};
  const auto outputs = (*session)->run(inputs);
  ASSERT_TRUE(outputs) << outputs.error().message;
  // By hand: the inputs become multiples of 1/16 (1.03 -> 1, 0.47 -> 0.5), the weights are exact,
  // and the sum 1 * 1 - 0.5 * 0.5 = 0.75 is a multiple of 1/4.
  EXPECT_EQ((*outputs)[0].data<float>()[0], 0.75F);
}

TEST(LayerCut, DynamicInputsAndFloatNodes) {
  auto model = two_layers();
  for (const auto* name : {"x", "h", "y"}) model.plan.values.erase(model.graph.find_value(name));
  NodeId last = NodeId::none;
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    if (model.graph.node(static_cast<NodeId>(i)).is("MatMul")) last = static_cast<NodeId>(i);
  }
  model.plan.overrides[{last, 0}] = dynamic_quantization();
  const auto cuts = cut_layers(model);
  ASSERT_TRUE(cuts) << cuts.error().message;
  ASSERT_EQ(cuts->size(), 2U);  // the Relu between them has no part in the plan
  EXPECT_EQ(cuts->back().model.plan.overrides.size(), 1U);
  EXPECT_TRUE(is_dynamic(cuts->back().model.plan.overrides.begin()->second));
}

}  // namespace
}  // namespace octet::testing

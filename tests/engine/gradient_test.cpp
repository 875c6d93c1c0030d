// Gradients of the tape against central differences, and its forward pass against the float engine.

#include <cmath>

#include "engine/gradient/tape.h"
#include "engine/gradient_cases.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

using gradient::Parameters;
using gradient::Tape;
using Ints = std::vector<std::int64_t>;

struct Made {
  ModelBuilder builder;
  std::vector<Tensor> inputs;
  std::vector<ValueId> trained;
  std::unique_ptr<Tape> tape;
  Parameters parameters;
  std::vector<Tensor> directions;  ///< loss = sum of outputs times these
};

void make(const GradientCase& c, Made& made, bool recompute = false) {
  c.build(made.builder, made.inputs, made.trained);
  Graph& graph = made.builder.model.graph;
  OCTET_ASSERT_OK(infer_shapes(graph));
  gradient::TapeOptions options;
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    options.shapes.push_back(graph.value(static_cast<ValueId>(i)).shape);
  }
  options.trained = made.trained;
  options.outputs = graph.outputs;
  options.recompute = recompute;
  auto tape = Tape::compile(graph, options);
  OCTET_ASSERT_OK(tape);
  made.tape = std::move(*tape);
  for (const auto id : made.trained) made.parameters.emplace(id, *graph.constant(id));
  for (const auto id : graph.outputs) {
    made.directions.push_back(random_tensor(*graph.value(id).shape, 77));
  }
}

double loss(Made& made) {
  EXPECT_TRUE(made.tape->update(made.parameters).has_value());
  auto session = made.tape->session();
  EXPECT_TRUE(session.has_value());
  auto outputs = (*session)->forward(made.inputs);
  EXPECT_TRUE(outputs.has_value()) << outputs.error().message;
  double sum = 0;
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    for (std::int64_t k = 0; k < (*outputs)[i].size(); ++k) {
      sum += static_cast<double>((*outputs)[i].data<float>()[k]) *
             static_cast<double>(made.directions[i].data<float>()[k]);
    }
  }
  return sum;
}

Parameters gradients(Made& made) {
  (void)loss(made);
  auto session = made.tape->session();
  EXPECT_TRUE((*session)->forward(made.inputs).has_value());
  std::vector<float> leaves(made.tape->leaf_count());
  EXPECT_TRUE((*session)->backward(made.directions, leaves).has_value());
  auto found = made.tape->gradients(leaves);
  EXPECT_TRUE(found.has_value());
  return *found;
}

class GradientOfGraph : public ::testing::TestWithParam<GradientCase> {};

TEST_P(GradientOfGraph, EqualsCentralDifferences) {
  Made made;
  make(GetParam(), made);
  const auto found = gradients(made);
  for (const auto id : made.trained) {
    ASSERT_TRUE(found.contains(id)) << made.builder.model.graph.value(id).name;
    Tensor& parameter = made.parameters.at(id);
    const Tensor& gradient = found.at(id);
    const auto stride = std::max<std::int64_t>(1, parameter.size() / 23);
    int kinks = 0;
    int compared = 0;
    for (std::int64_t i = 0; i < parameter.size(); i += stride, ++compared) {
      const float kept = parameter.data<float>()[i];
      const auto at = [&](double shift) {
        parameter.mutable_data<float>()[i] = static_cast<float>(static_cast<double>(kept) + shift);
        return loss(made);
      };
      const double step = GetParam().step;
      const double right = (at(step) - at(0)) / step;
      const double left = (at(0) - at(-step)) / step;
      parameter.mutable_data<float>()[i] = kept;
      const double actual = static_cast<double>(gradient.data<float>()[i]);
      // At a kink (Relu, maxima) both sides are right.
      if (std::abs(right - left) > 0.05 * (1 + std::abs(actual))) {
        ++kinks;
        continue;
      }
      ASSERT_NEAR(actual, (left + right) / 2, 0.01 * (1 + std::abs(actual)))
          << made.builder.model.graph.value(id).name << "[" << i << "]";
    }
    EXPECT_LE(kinks, 1 + compared / 4);
  }
}

TEST_P(GradientOfGraph, ForwardEqualsTheFloatEngine) {
  if (GetParam().batch_statistics) GTEST_SKIP() << "normalizes by the batch";
  Made made;
  make(GetParam(), made);
  OCTET_ASSERT_OK(made.tape->update(made.parameters));
  auto session = made.tape->session();
  OCTET_ASSERT_OK(session);
  const auto outputs = (*session)->forward(made.inputs);
  OCTET_ASSERT_OK(outputs);
  const auto program = compile_float(made.builder.model.graph);
  OCTET_ASSERT_OK(program);
  auto reference = (*program)->session();
  OCTET_ASSERT_OK(reference);
  const auto expected = (*reference)->run(made.inputs);
  OCTET_ASSERT_OK(expected);
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    expect_near((*outputs)[i], (*expected)[i], 1e-5, "output");
  }
}

/// With recomputation, to the bit.
TEST_P(GradientOfGraph, RecomputedGivesTheSame) {
  Made kept;
  Made again;
  make(GetParam(), kept);
  make(GetParam(), again, true);
  const auto expected = gradients(kept);
  const auto found = gradients(again);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [id, tensor] : expected) EXPECT_TRUE(identical(tensor, found.at(id)));
}

std::string case_name(const ::testing::TestParamInfo<GradientCase>& info) {
  std::string name = std::to_string(info.index) + "_";
  for (const char c : info.param.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Ops, GradientOfGraph, ::testing::ValuesIn(gradient_cases()), case_name);

TEST(Gradient, BackwardTwiceGivesTheSame) {
  Made made;
  make(gradient_cases().back(), made);
  const auto first = gradients(made);
  const auto second = gradients(made);
  for (const auto& [id, tensor] : first) EXPECT_TRUE(identical(tensor, second.at(id)));
}

TEST(Gradient, OperatorsWithoutOneAreNamed) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto shift = b.constant("shift", random_tensor({4}, 1));
  b.output(b.node("Sin", {b.node("Add", {x, shift})}));
  Graph& graph = b.model.graph;
  OCTET_ASSERT_OK(infer_shapes(graph));
  gradient::TapeOptions options;
  options.trained = {shift};
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    options.shapes.push_back(graph.value(static_cast<ValueId>(i)).shape);
  }
  options.outputs = graph.outputs;
  const auto tape = Tape::compile(graph, options);
  ASSERT_FALSE(tape.has_value());
  EXPECT_NE(tape.error().message.find("Sin"), std::string::npos);
}

/// What no trained constant reaches may have any type and operator.
TEST(Gradient, MasksAndPositionsAreComputedBefore) {
  Made made;
  make({"masked",
        [](ModelBuilder& b, auto& inputs, auto& trained) {
          const auto x = movable(b, inputs, trained, {2, 3, 4, 4});
          inputs.push_back(Tensor::from<std::int64_t>({1, 0, 1, 1, 1, 1, 0, 0}, {2, 4}));
          const auto mask = b.input("mask", {2, 4}, DType::i64);
          const auto cut = b.constant("cut", Tensor::from<std::int64_t>({0}, {}));
          const auto keep = b.node("Greater", {mask, cut});
          b.model.graph.value(keep).dtype = DType::boolean;
          const auto wide = b.node("Unsqueeze", {keep, b.ints("axes", {1, 2})});
          b.model.graph.value(wide).dtype = DType::boolean;
          b.output(b.node("Where", {wide, x, b.constant("low", Tensor::from<float>({-9}, {}))}));
        }},
       made);
  const auto found = gradients(made);
  const auto& g = found.at(made.trained.front());
  const auto& direction = made.directions.front();
  const auto* keep = made.inputs[1].data<std::int64_t>();
  for (std::int64_t i = 0; i < g.size(); ++i) {
    const bool kept = keep[i / 48 * 4 + i % 4] != 0;
    EXPECT_EQ(g.data<float>()[i], kept ? direction.data<float>()[i] : 0.0F) << i;
  }
}

/// x on a grid of codes in [-8, 7] with zero point -3, scale 0.5; gradients for output gradients
/// 1, 2, 3, 4.
class FakeQuant : public ::testing::Test {
 protected:
  void run(const std::string& estimator, std::optional<float> offset) {
    const auto x = b_.input("x", {1, 4});
    shift_ = b_.constant("shift", Tensor::from<float>({0, 0, 0, 0}, {4}));
    scale_ = b_.constant("scale", Tensor::from<float>({0.5F}, {1}));
    Node node;
    node.op = "FakeQuant";
    node.domain = "octet";
    node.inputs = {b_.node("Add", {x, shift_}), scale_};
    gradient::TapeOptions options;
    options.trained = {shift_, scale_};
    if (offset) {
      offset_ = b_.constant("offset", Tensor::from<float>({*offset}, {1}));
      node.inputs.push_back(offset_);
      options.trained.push_back(offset_);
    }
    node.attributes = {{"zero_point", Ints{offset ? 0 : -3}},
                       {"qmin", std::int64_t{-8}},
                       {"qmax", std::int64_t{7}},
                       {"estimator", estimator}};
    Value out;
    out.name = "y";
    out.dtype = DType::f32;
    node.outputs = {b_.model.graph.add_value(out)};
    options.outputs = node.outputs;
    b_.model.graph.add_node(node);
    options.shapes.assign(b_.model.graph.value_slots(), Shape{1, 4});
    auto tape = Tape::compile(b_.model.graph, options);
    OCTET_ASSERT_OK(tape);
    OCTET_ASSERT_OK((*tape)->update({}));
    auto session = (*tape)->session();
    const std::vector<Tensor> inputs = {Tensor::from<float>({0.6F, -1.1F, 9, -9}, {1, 4})};
    const auto outputs = (*session)->forward(inputs);
    OCTET_ASSERT_OK(outputs);
    const auto values = outputs->front().values<float>();
    values_.assign(values.begin(), values.end());
    std::vector<float> leaves((*tape)->leaf_count());
    const std::vector<Tensor> slopes = {Tensor::from<float>({1, 2, 3, 4}, {1, 4})};
    OCTET_ASSERT_OK((*session)->backward(slopes, leaves));
    auto found = (*tape)->gradients(leaves);
    OCTET_ASSERT_OK(found);
    gradients_ = *found;
    const auto passed = gradients_.at(shift_).values<float>();
    EXPECT_EQ(std::vector<float>(passed.begin(), passed.end()), (std::vector<float>{1, 2, 0, 0}));
    EXPECT_EQ(values_, (std::vector<float>{0.5F, -1.0F, 5.0F, -2.5F}));
  }

  ModelBuilder b_;
  ValueId shift_ = ValueId::none, scale_ = ValueId::none, offset_ = ValueId::none;
  std::vector<float> values_;
  gradient::Parameters gradients_;
};

TEST_F(FakeQuant, PassesTheGradientWithinTheCodes) {
  run("lsq", std::nullopt);
  // 1 * (1 - 1.2) + 2 * (-2 + 2.2) + 3 * 10 + 4 * (-5)
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.2F, 1e-5F);
}

TEST_F(FakeQuant, PactCountsWhatIsClippedAlone) {
  run("pact", std::nullopt);
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.0F, 1e-5F);
}

TEST_F(FakeQuant, OffsetsRoundToZeroPointsAndLearnFromWhatIsClipped) {
  run("lsq", -2.8F);
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.2F, 1e-5F);
  // -0.5 * (3 + 4)
  EXPECT_NEAR(gradients_.at(offset_).data<float>()[0], -3.5F, 1e-5F);
}

}  // namespace
}  // namespace octet::testing

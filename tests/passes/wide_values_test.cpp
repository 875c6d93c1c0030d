// Single values of 16 bits among others of 8.

#include <cmath>

#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "engine/simulation/simulation_program.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::GraphBuilder;

const Shape image = {1, 8, 6, 6};

/// conv, relu, conv, relu, conv; the middle one has a bias.
Graph network() {
  GraphBuilder b;
  auto y = b.input("x", image);
  for (int k = 0; k < 3; ++k) {
    const auto name = std::to_string(k);
    y = b.node("Conv", {y, b.weights("w" + name, {8, 8, 1, 1}, k + 1), b.weights("b" + name, {8})},
               "c" + name);
    if (k < 2) y = b.node("Relu", {y}, "a" + name);
  }
  b.output(y);
  return b.graph;
}

/// The range of a1 is a hundred times what it needs: 8 bits leave it a few codes.
const testing::Ranges ranges = {{"x", {-1, 1}}, {"a0", {0, 4}}, {"a1", {0, 400}}, {"c2", {-9, 9}}};

testing::Quantized quantized(std::vector<std::string> wide, int activation_bits = 8) {
  QuantizeOptions options;
  options.activation_bits = activation_bits;
  options.wide = std::move(wide);
  return testing::quantize(network(), ranges, options);
}

Tensor output(const Program& program) {
  const auto session = program.session();
  const auto outputs = (*session)->run(std::vector<Tensor>{GraphBuilder::pseudo_random(image, 3)});
  EXPECT_TRUE(outputs) << outputs.error().message;
  return (*outputs)[0];
}

double error(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    sum += std::pow(static_cast<double>(a.data<float>()[i] - b.data<float>()[i]), 2);
  }
  return sum;
}

TEST(WideValues, HaveSixteenBitsWhereNamedAndEightElsewhere) {
  for (const std::string glob : {"a1", "a*1", "c1", "c1_node"}) {
    const auto model = quantized({glob});
    const auto* wide = model.find("a1");
    ASSERT_NE(wide, nullptr);
    EXPECT_EQ(wide->scheme.bits, 16) << glob;
    EXPECT_EQ(wide->scheme.symmetry, Symmetry::asymmetric);
    EXPECT_EQ(wide->storage, DType::u16);
    EXPECT_NEAR(wide->params.scale[0], 400.0 / 65535, 1e-6);
    EXPECT_EQ(model.find("a0")->scheme.bits, 8);
    EXPECT_EQ(model.find("x")->storage, DType::u8);
  }
}

TEST(WideValues, LetTheirOperatorsRunInFloat) {
  const auto model = quantized({"a1"});
  EXPECT_NE(model.reason("c1_node").find("16-bit"), std::string::npos);
  EXPECT_NE(model.reason("c2_node").find("16-bit"), std::string::npos);
  EXPECT_EQ(model.reason("c0_node"), "");
  EXPECT_NEAR(model.report.integer_mac_share, 1.0 / 3, 1e-6);
  // No int32 holds what such codes and weights multiply to: the bias of their reader stays float.
  EXPECT_EQ(model.find("b2"), nullptr);
  ASSERT_NE(model.find("b1"), nullptr);
  EXPECT_EQ(model.find("b1")->storage, DType::i32);
}

TEST(WideValues, KeepWhatEightBitsLose) {
  const auto exact = output(*compile_float(network()).value());
  const auto narrow = output(*compile_integer(quantized({}).model).value());
  const auto model = quantized({"a1"}).model;
  const auto wide = output(*compile_integer(model).value());
  EXPECT_LT(error(exact, wide), 0.05 * error(exact, narrow));
  const auto simulated = output(*compile_simulation(model).value().program);
  EXPECT_EQ(error(simulated, wide), 0);
}

/// A name says more than the width of all activations.
TEST(WideValues, KeepTheirBitsWhereOthersHaveFew) {
  const auto few = quantized({}, 4);
  EXPECT_EQ(few.find("a0")->scheme.bits, 4);
  const auto model = quantized({"a0"}, 4);
  EXPECT_EQ(model.find("a0")->scheme.bits, 16);
  EXPECT_EQ(model.find("a0")->storage, DType::u16);
  EXPECT_TRUE(model.model.plan.overrides.empty());
  EXPECT_EQ(model.find("x")->scheme.bits, few.find("x")->scheme.bits);
}

TEST(WideValues, NotesPatternsThatFitNothing) {
  EXPECT_TRUE(quantized({"nothing*"}).noted("--int16 nothing* matches no value"));
}

}  // namespace
}  // namespace octet

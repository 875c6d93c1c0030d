// Rules tflite and xnnpack in the integer engine and in the simulation, operators besides
// convolutions and products. Oracles: codes that LiteRT 2.3.0 gave (tests/parity has millions
// more), and each engine for the other.

#include <gtest/gtest.h>

#include "arithmetic/litert_softmax.h"
#include "engine/integer/integer_program.h"
#include "engine/integer/placement.h"
#include "engine/integer_model_builder.h"
#include "graph/litert_attributes.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr Rule both_rules[] = {Rule::tflite, Rule::xnnpack};
using Codes = std::vector<int>;

Quantization params_of(float scale, int zero_point, DType storage = DType::i8) {
  Quantization q;
  q.params = {{scale}, {zero_point}, -1};
  q.storage = storage;
  q.origin = Origin::imported;
  return q;
}

Tensor image_of(const Codes& codes, const Quantization& q) {
  const auto count = static_cast<std::int64_t>(codes.size());
  Tensor image(DType::f32, {1, count});
  for (std::int64_t i = 0; i < count; ++i) {
    image.mutable_data<float>()[i] =
        q.params.scale[0] *
        static_cast<float>(codes[static_cast<std::size_t>(i)] - q.params.zero_point[0]);
  }
  return image;
}

/// What both engines make of one operator: of signed codes, whatever the file has.
Codes run(const std::string& op, std::map<std::string, Attribute, std::less<>> attributes,
          const std::vector<std::pair<Codes, Quantization>>& inputs, const Quantization& output,
          Rule rule) {
  ModelBuilder b;
  b.model.plan.rule = rule;
  std::vector<ValueId> values;
  std::vector<Tensor> tensors;
  for (const auto& [codes, quantization] : inputs) {
    tensors.push_back(image_of(codes, quantization));
    values.push_back(b.input("x" + std::to_string(values.size()), tensors.back().shape()));
    b.model.plan.values[values.back()] = quantization;
  }
  const auto y = b.node(op, values, std::move(attributes));
  b.model.plan.values[y] = output;
  b.output(y);
  expect_simulation_equals_integer(b.model, tensors);
  const auto program = compile_integer(b.model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  return observe(**program, b.model.graph, tensors).values.at(b.model.graph.value(y).name).codes;
}

TEST(LitertElementwise, SumsAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-114, -106, -87, -81, -77, -51, -24, -22, 28, 29, 36, 44, 45, 49, 70, 88},
      params_of(0.0234375F, -5)};
  const std::pair<Codes, Quantization> x1{
      {-51, -99, 13, -80, -71, 65, -58, -3, -42, 61, 101, -107, -95, -95, 52, -17},
      params_of(0.013671875F, 17)};
  const auto y = params_of(0.03125F, 3);
  EXPECT_EQ(run("Add", {}, {x0, x1}, y, Rule::tflite),
            (Codes{-109, -124, -60, -96, -90, -11, -44, -19, 2, 48, 71, -15, -9, -6, 75, 58}));
  EXPECT_EQ(run("Add", {}, {x0, x1}, y, Rule::xnnpack),
            (Codes{-108, -123, -60, -96, -89, -10, -44, -18, 2, 48, 71, -14, -8, -5, 75, 58}));
}

TEST(LitertElementwise, DifferencesAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-123, -97, -76, -72, -56, 2, 12, 20, 25, 29, 40, 46, 68, 96, 105, 116},
      params_of(0.023399999365210533F, -5)};
  const std::pair<Codes, Quantization> x1{
      {-65, 64, -16, -31, -97, -76, -111, 91, 31, -55, 61, 59, -1, -89, -76, -45},
      params_of(0.017100000753998756F, 17)};
  const auto y = params_of(0.03125F, 3);
  EXPECT_EQ(run("Sub", {}, {x0, x1}, y, Rule::tflite),
            (Codes{-40, -92, -32, -21, 27, 59, 86, -19, 18, 68, 13, 18, 68, 127, 127, 127}));
  EXPECT_EQ(run("Sub", {}, {x0, x1}, y, Rule::xnnpack),
            (Codes{-40, -92, -32, -21, 27, 59, 86, -19, 18, 68, 13, 18, 68, 127, 127, 127}));
}

TEST(LitertElementwise, ProductsAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-113, -101, -90, -51, -41, -25, -3, 2, 7, 9, 23, 28, 65, 73, 81, 118},
      params_of(0.023399999365210533F, -5)};
  const std::pair<Codes, Quantization> x1{
      {-2, -15, -92, -78, 74, -57, -2, -91, -26, 78, -27, -22, 23, 9, -5, 60},
      params_of(0.017100000753998756F, 17)};
  const auto y = params_of(0.010203570127487183F, -9);
  EXPECT_EQ(run("Mul", {}, {x0, x1}, y, Rule::tflite),
            (Codes{72, 112, 127, 127, -90, 49, -11, -39, -29, 25, -57, -60, 8, -34, -83, 127}));
  EXPECT_EQ(run("Mul", {}, {x0, x1}, y, Rule::xnnpack),
            (Codes{71, 111, 127, 127, -89, 49, -10, -39, -29, 24, -57, -59, 7, -33, -83, 127}));
}

TEST(LitertElementwise, LeakyRelusAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-125, -100, -95, -89, -86, -79, -61, -52, -35, -18, -17, 12, 26, 29, 40, 64},
      params_of(0.023399999365210533F, -5)};
  const auto y = params_of(0.017100000753998756F, 17);
  EXPECT_EQ(run("LeakyRelu", {{"alpha", 0.3F}}, {x0}, y, Rule::tflite),
            (Codes{-33, -22, -20, -18, -17, -14, -6, -3, 4, 11, 12, 40, 59, 64, 79, 111}));
  EXPECT_EQ(run("LeakyRelu", {{"alpha", 0.3F}}, {x0}, y, Rule::xnnpack),
            (Codes{-32, -22, -20, -17, -16, -13, -6, -2, 5, 12, 12, 40, 59, 63, 79, 111}));
}

TEST(LitertElementwise, RootsAreRoundedDownAndNegationsNegateCodes) {
  for (const auto rule : both_rules) {
    const std::pair<Codes, Quantization> x{{-128, -127, -100, 0, 127}, params_of(0.02F, -128)};
    EXPECT_EQ(run("Sqrt", {}, {x}, params_of(0.01F, -120), rule),
              (Codes{-120, -106, -46, 40, 105}));
    const std::pair<Codes, Quantization> z{{-128, -3, 0, 7, 127}, params_of(0.1F, 5)};
    EXPECT_EQ(run("Neg", {}, {z}, params_of(0.1F, 5), rule), (Codes{-128, 3, 0, -7, -127}));
  }
}

TEST(LitertElementwise, NodesKeptInFloatStaySo) {
  ModelBuilder b;
  b.model.plan.rule = Rule::xnnpack;
  const auto x = b.input("x", {1, 4});
  const auto y = b.node("Relu", {x});
  b.output(y);
  b.model.plan.values[x] = params_of(0.05F, 3);
  b.model.plan.values[y] = params_of(0.05F, 3);
  ASSERT_TRUE(infer_shapes(b.model.graph));
  auto placed = place_nodes(b.model);
  ASSERT_TRUE(placed);
  const auto maker = b.model.graph.producers()[index(y)];
  EXPECT_EQ((*placed)[index(maker)].role, Role::lookup);
  keep_float(b.model, maker);
  placed = place_nodes(b.model);
  ASSERT_TRUE(placed);
  EXPECT_EQ((*placed)[index(maker)].role, Role::floating);
}

TEST(LitertElementwise, ConversionsAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-107, -96, -94, -88, -84, -80, -78, -77, -66, -58, -40, -39, 38, 48, 67, 96},
      params_of(0.023399999365210533F, -5)};
  const auto y = params_of(0.017100000753998756F, 17);
  EXPECT_EQ(
      run("Identity", {}, {x0}, y, Rule::tflite),
      (Codes{-123, -108, -105, -97, -91, -86, -83, -82, -66, -56, -31, -30, 76, 90, 116, 127}));
  EXPECT_EQ(
      run("Identity", {}, {x0}, y, Rule::xnnpack),
      (Codes{-122, -107, -105, -96, -91, -86, -83, -81, -66, -55, -31, -29, 76, 89, 115, 127}));
}

TEST(LitertElementwise, HardSwishesAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-93, -65, -16, -15, -6, 31, 35, 38, 39, 45, 62, 75, 80, 114, 119, 127},
      params_of(0.033399999141693115F, -5)};
  const auto y = params_of(0.017100000753998756F, -80);
  EXPECT_EQ(run("HardSwish", {}, {x0}, y, Rule::tflite),
            (Codes{-82, -99, -89, -89, -81, -31, -24, -18, -16, -4, 34, 68, 82, 127, 127, 127}));
  EXPECT_EQ(run("HardSwish", {}, {x0}, y, Rule::xnnpack),
            (Codes{-82, -99, -89, -89, -81, -31, -24, -18, -16, -4, 34, 68, 82, 127, 127, 127}));
}

TEST(LitertElementwise, LogisticsAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {-121, -96, -90, -89, -88, -70, -51, -29, -9, 4, 43, 52, 94, 96, 105, 106},
      params_of(0.05330228433012962F, 121)};
  const auto y = params_of(0.00390625F, -128);
  EXPECT_EQ(run("Sigmoid", {}, {x0}, y, Rule::tflite),
            (Codes{-128, -128, -128, -128, -128, -128, -128, -128, -128, -127, -124, -122, -79, -75,
                   -51, -49}));
  EXPECT_EQ(run("Sigmoid", {}, {x0}, y, Rule::xnnpack),
            (Codes{-128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -124, -122, -79, -75,
                   -51, -49}));
}

TEST(LitertElementwise, SoftmaxesAsLiteRT) {
  const std::pair<Codes, Quantization> x0{
      {1, -6, -1, 5, -7, -16, -7, -4, -8, 13, -14, 15, -12, -8, -9, -9},
      params_of(0.23956769704818726F, 3)};
  const auto y = params_of(0.00390625F, -128);
  EXPECT_EQ(run("Softmax", {}, {x0}, y, Rule::tflite),
            (Codes{-123, -127, -125, -115, -127, -128, -127, -127, -127, -40, -128, 13, -128, -127,
                   -128, -128}));
  EXPECT_EQ(run("Softmax", {}, {x0}, y, Rule::xnnpack),
            (Codes{-123, -127, -125, -115, -127, -128, -127, -127, -127, -41, -128, 13, -128, -127,
                   -128, -128}));
}

ValueId imported(ModelBuilder& b, ValueId value, float scale, int zero_point, DType storage) {
  b.model.plan.values[value] = params_of(scale, zero_point, storage);
  return value;
}

ValueId resized(ModelBuilder& b, ValueId x, std::vector<std::int64_t> sizes,
                const std::string& coordinates) {
  return b.node("Resize", {x, ValueId::none, ValueId::none, b.ints("sizes", std::move(sizes))},
                {{"mode", std::string("linear")}, {"coordinate_transformation_mode", coordinates}});
}

/// Every role that the rules have a formula for, between params that differ.
QuantizedGraph network(unsigned seed, Rule rule, DType storage) {
  ModelBuilder b(seed);
  b.model.plan.rule = rule;
  const auto as = [&](ValueId value, float scale, int zero_point) {
    return imported(b, value, scale, zero_point, storage);
  };
  const auto x = as(b.input("x", {2, 6, 9, 7}), 0.021F, -11);
  const auto z = as(b.input("z", {2, 6, 9, 7}), 0.013F, 40);
  const auto row = as(b.constant("row", b.random_tensor({1, 6, 1, 1}, -1, 1)), 0.011F, 3);
  const auto sum = as(b.node("Add", {x, z}), 0.031F, 5);
  const auto relu = as(b.node("Relu", {b.node("Sub", {sum, row})}), 0.02F, -128);
  const auto product = as(b.node("Mul", {relu, x}), 0.017F, -60);
  const auto difference = b.node("Sub", {product, z});
  const auto square = as(b.node("Mul", {difference, difference}), 0.03F, -128);
  const auto slope = as(b.node("PRelu", {sum, row}), 0.029F, 2);
  const auto pool = as(b.node("AveragePool", {square},
                              {{"kernel_shape", std::vector<std::int64_t>{3, 2}},
                               {"pads", std::vector<std::int64_t>{1, 0, 1, 1}}}),
                       0.03F, -128);
  const auto other_pool = as(
      b.node("Clip",
             {b.node("AveragePool", {slope}, {{"kernel_shape", std::vector<std::int64_t>{9, 7}}}),
              b.constant("low", Tensor::from<float>(std::vector<float>{-1}, {})),
              b.constant("high", Tensor::from<float>(std::vector<float>{1}, {}))}),
      0.012F, 20);
  const auto largest = as(
      b.node("MaxPool", {pool}, {{"kernel_shape", std::vector<std::int64_t>{2, 2}}}), 0.041F, -100);
  const auto resized_up = as(resized(b, largest, {2, 6, 13, 11}, "half_pixel"), 0.035F, -90);
  const auto corners = as(resized(b, largest, {2, 6, 5, 17}, "align_corners"), 0.041F, -100);
  const auto mean = as(b.node("ReduceMean", {resized_up, b.ints("axes", {2, 3})}), 0.02F, -70);
  const auto total = as(b.node("ReduceSum", {corners, b.ints("axes", {1})}), 0.2F, -77);
  const auto global = as(b.node("GlobalAveragePool", {corners}), 0.037F, 0);
  const auto joined =
      as(b.node("Concat", {mean, other_pool, global}, {{"axis", std::int64_t{1}}}), 0.03F, -20);
  const auto parts = b.split(joined, 1, {10, 8});
  const auto left = as(parts[0], 0.03F, -20);
  const auto right = as(parts[1], 0.05F, 9);
  const auto padded =
      as(b.node("Pad", {right, b.ints("pads", {0, 0, 1, 0, 0, 0, 2, 1}),
                        b.constant("fill", Tensor::from<float>(std::vector<float>{0.3F}, {}))}),
         0.06F, 10);
  const auto flat = as(b.node("Reshape", {left, b.ints("shape", {2, 10})}), 0.03F, -20);
  const auto softmax = litert::softmax_output(litert::SoftmaxKind::softmax);
  const auto logarithm = litert::softmax_output(litert::SoftmaxKind::logarithmic);
  b.output(as(b.node("Softmax", {flat}), softmax.scale, softmax.zero_point - 128));
  b.output(as(b.node("LogSoftmax", {flat}), logarithm.scale, logarithm.zero_point - 128));
  b.output(as(b.node("Softmax", {padded}, {{"axis", std::int64_t{1}}}), softmax.scale,
              softmax.zero_point - 128));
  b.output(as(b.node("Identity", {total}), 0.15F, -50));
  b.output(imported(b, b.node("Identity", {total}), 0.15F, -50,
                    storage == DType::i8 ? DType::u8 : DType::i8));
  for (const auto* op :
       {"Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSwish", "Gelu", "Exp", "Abs", "Softplus"}) {
    b.output(as(b.node(op, {sum}), 0.019F, -30));
  }
  const auto above = as(b.node("Relu", {sum}), 0.02F, -128);
  b.output(as(b.node("Log", {above}), 0.03F, 60));
  b.output(as(b.node("Reciprocal", {b.node("Sqrt", {above})}), 0.04F, -128));
  return b.model;
}

std::vector<Tensor> inputs_for(unsigned seed) {
  ModelBuilder random(seed + 100);
  return {random.random_tensor({2, 6, 9, 7}, -2.5F, 2.9F),
          random.random_tensor({2, 6, 9, 7}, -2.2F, 1.1F)};
}

TEST(LitertElementwise, SimulationEqualsIntegerEngine) {
  for (const auto rule : both_rules) {
    for (const auto storage : {DType::i8, DType::u8}) {
      for (unsigned seed = 1; seed <= 3; ++seed) {
        const auto model = network(seed, rule, storage);
        const int compared = expect_simulation_equals_integer(model, inputs_for(seed));
        EXPECT_GE(compared, 37) << name(rule);
      }
    }
  }
}

TEST(LitertElementwise, NothingRunsInFloat) {
  for (const auto rule : both_rules) {
    auto model = network(1, rule, DType::i8);
    ASSERT_TRUE(infer_shapes(model.graph));
    const auto placements = place_nodes(model);
    ASSERT_TRUE(placements);
    int floating = 0;
    for (const auto& placement : *placements) floating += placement.role == Role::floating;
    EXPECT_EQ(floating, 0);
  }
}

TEST(LitertElementwise, AnyNumberOfThreadsGivesTheSame) {
  for (const auto rule : both_rules) {
    const auto model = network(5, rule, DType::i8);
    const auto inputs = inputs_for(5);
    const auto reference = compile_integer(model);
    ASSERT_TRUE(reference) << reference.error().message;
    const auto want = observe(**reference, model.graph, inputs);
    const auto seen = observe(**reference, model.graph, inputs, 3);
    for (const auto& [name, value] : want.values) {
      EXPECT_EQ(seen.values.at(name).codes, value.codes) << name;
    }
  }
}

TEST(LitertElementwise, SquaresAndRootsAreOneOperatorOnlyWhereNothingElseReadsThem) {
  ModelBuilder b(1);
  b.model.plan.rule = Rule::tflite;
  const auto x = imported(b, b.input("x", {1, 8}), 0.02F, 0, DType::i8);
  const auto z = imported(b, b.input("z", {1, 8}), 0.03F, 0, DType::i8);
  const auto d = b.node("Sub", {x, z});
  b.output(imported(b, b.node("Mul", {d, d}), 0.01F, 0, DType::i8));
  b.output(d);
  const auto placements = place_nodes(b.model);
  ASSERT_TRUE(placements);
  const auto sub = b.model.graph.producers()[index(d)];
  EXPECT_FALSE((*placements)[index(sub)].squares);
  EXPECT_EQ((*placements)[index(sub)].role, Role::floating);
}

TEST(LitertElementwise, ASoftmaxWithOtherParamsStaysFloat) {
  ModelBuilder b(1);
  b.model.plan.rule = Rule::xnnpack;
  const auto x = imported(b, b.input("x", {1, 8}), 0.02F, 0, DType::i8);
  const auto y = imported(b, b.node("Softmax", {x}), 0.01F, -128, DType::i8);
  b.output(y);
  const auto placements = place_nodes(b.model);
  ASSERT_TRUE(placements);
  EXPECT_EQ((*placements)[index(b.model.graph.producers()[index(y)])].role, Role::floating);
}

/// What XNNPACK leaves to other kernels where sizes are computed at run time.
TEST(LitertElementwise, ImagesOfAnySize) {
  for (const auto rule : both_rules) {
    ModelBuilder b(8);
    b.model.plan.rule = rule;
    const auto as = [&](ValueId value) { return imported(b, value, 0.02F, -7, DType::i8); };
    const auto x = as(b.input("x", {dynamic_dim, 3, dynamic_dim, dynamic_dim}));
    const auto scales =
        b.constant("scales", Tensor::from<float>(std::vector<float>{1, 1, 2, 3}, {4}));
    const auto larger = as(b.node("Resize", {x, ValueId::none, scales},
                                  {{"mode", std::string("linear")},
                                   {"coordinate_transformation_mode", std::string("half_pixel")}}));
    const auto w = b.constant("weight", b.random_tensor({3, 4, 2, 2}, -0.7F, 0.7F));
    Quantization q;
    q.params = {{0.75F / 127}, {0}, -1};
    b.model.plan.values[w] = q;
    b.output(
        as(b.node("ConvTranspose", {larger, w}, {{"strides", std::vector<std::int64_t>{2, 2}}})));
    auto inferred = b.model;
    ASSERT_TRUE(infer_shapes(inferred.graph));
    const auto placements = place_nodes(inferred);
    ASSERT_TRUE(placements);
    EXPECT_EQ(placements->at(0).role, Role::resample);
    EXPECT_EQ(placements->at(1).scaling.scaling,
              rule == Rule::tflite ? litert::Scaling::twice_rounded : litert::Scaling::rounded_up);
    for (const Shape& shape : {Shape{2, 3, 5, 4}, Shape{1, 3, 2, 7}}) {
      expect_simulation_equals_integer(b.model, {b.random_tensor(shape, -3, 3)});
    }
  }
}

}  // namespace
}  // namespace octet::testing

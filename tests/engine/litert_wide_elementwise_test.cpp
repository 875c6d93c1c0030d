// 16-bit activations by rules tflite and xnnpack, operators that do not accumulate. Oracles: codes
// that LiteRT 2.3.0 gave (tests/parity/litert_rows_wide.py has millions more), and each engine for
// the other.

#include <gtest/gtest.h>

#include "arithmetic/litert_wide.h"
#include "engine/integer/integer_program.h"
#include "engine/integer/placement.h"
#include "engine/integer/wide_values.h"
#include "engine/integer_model_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr Rule both_rules[] = {Rule::tflite, Rule::xnnpack};
using Codes = std::vector<int>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

Quantization bytes(float scale, int zero_point) {
  Quantization q;
  q.params = {{scale}, {zero_point}, -1};
  q.storage = DType::i8;
  q.origin = Origin::imported;
  return q;
}

struct Input {
  Codes codes;
  Quantization quantization;
  Shape shape = {1, static_cast<std::int64_t>(codes.size())};
};

Tensor image_of(const Input& input) {
  Tensor codes(DType::i16, input.shape);
  std::copy(input.codes.begin(), input.codes.end(), codes.mutable_data<std::int16_t>());
  auto image = wide_image(codes, input.quantization);
  EXPECT_TRUE(image);
  return *image;
}

Codes codes_in(const Tensor& image, const Quantization& quantization) {
  const auto codes = wide_codes(image, quantization);
  EXPECT_TRUE(codes);
  const auto values = codes->values<std::int16_t>();
  return {values.begin(), values.end()};
}

/// What both engines make of one operator, which must not run in float.
Codes run(const std::string& op, Attributes attributes, const std::vector<Input>& inputs,
          const Quantization& output, Rule rule,
          const std::vector<std::vector<std::int64_t>>& constants = {}) {
  ModelBuilder b;
  b.model.plan.rule = rule;
  std::vector<ValueId> values;
  std::vector<Tensor> tensors;
  for (const auto& input : inputs) {
    tensors.push_back(image_of(input));
    values.push_back(b.input("x" + std::to_string(values.size()), input.shape));
    b.model.plan.values[values.back()] = input.quantization;
  }
  if (op == "Resize") values.insert(values.end(), {ValueId::none, ValueId::none});
  for (const auto& numbers : constants) {
    values.push_back(b.ints("c" + std::to_string(values.size()), numbers));
  }
  const auto y = b.node(op, values, std::move(attributes));
  b.model.plan.values[y] = output;
  b.output(y);
  EXPECT_TRUE(infer_shapes(b.model.graph));
  const auto placements = place_nodes(b.model);
  EXPECT_TRUE(placements && placements->at(0).role == Role::wide) << op;
  expect_simulation_equals_integer(b.model, tensors);
  const auto program = compile_integer(b.model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  return codes_in(observe(**program, b.model.graph, tensors).outputs.at(0), output);
}

const Input left{{-4082, -3326, 11120, 7489, -29730, 9966, 9238, -9091, 25414, -28289, -4250, 19642,
                  24182, -2375, 9455, 14401, 16836, -23070},
                 sixteen_bits(0.0005175254F)};
const Input right{{-2572, -3220, 2984, 3210, -2428, -3596, 2644, -2798, 4132, -2266, 2308, 1340,
                   2868, 2506, -3258, 2218, 4128, -2628},
                  sixteen_bits(0.0018113389F)};

/// The last two codes are beyond the last block of 16.
TEST(LitertWideElementwise, SumsAsLiteRT) {
  const auto y = sixteen_bits(0.0041402034F);
  EXPECT_EQ(run("Add", {}, {left, right}, y, Rule::tflite),
            (Codes{-1636, -1825, 2696, 2341, -4779, -327, 2312, -2361, 4985, -4528, 478, 3042, 4278,
                   799, -243, 2771, 3911, -4034}));
  EXPECT_EQ(run("Add", {}, {left, right}, y, Rule::xnnpack),
            (Codes{-1635, -1824, 2695, 2340, -4778, -328, 2311, -2360, 4984, -4527, 479, 3041, 4277,
                   800, -244, 2770, 3911, -4034}));
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Sub", {}, {left, right}, y, rule),
              (Codes{615, 993, 85, -468, -2654, 2819, -2, 88, 1369, -2545, -1541, 1869, 1768, -1393,
                     2607, 830, 299, -1734}));
  }
}

TEST(LitertWideElementwise, ProductsAsLiteRT) {
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Mul", {}, {left, right}, sixteen_bits(0.02F), rule),
              (Codes{492, 502, 1555, 1127, 3383, -1680, 1145, 1192, 4922, 3005, -460, 1234, 3251,
                     -279, -1444, 1497, 3257, 2842}));
  }
}

TEST(LitertWideElementwise, SumsOfPowersOfTwoShift) {
  Input a = left;
  Input c = right;
  a.quantization = sixteen_bits(0x1p-12F);
  c.quantization = sixteen_bits(0x1p-9F);
  const Attributes shifts{{"pot_scale_int16", std::int64_t{1}}};
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Add", shifts, {a, c}, sixteen_bits(0x1p-9F), rule),
              (Codes{-3082, -3636, 4374, 4146, -6144, -2350, 3799, -3934, 7309, -5802, 1777, 3795,
                     5891, 2209, -2076, 4018, 6233, -5512}));
  }
}

TEST(LitertWideElementwise, FunctionsAsLiteRT) {
  const Input x{{-32768, -2069, -703, -413, -1, 0, 57, 413, 703, 2066, 32767},
                sixteen_bits(0.0027276727F)};
  const Input z{{695, 2085, -3475, 4865, 7645, 32767}, sixteen_bits(0.0014426578F)};
  const Input negative{{-695, -2085, 3475, -4865, -7645, -32767}, sixteen_bits(0.0014426578F)};
  const auto y = sixteen_bits(0.00036400332F);
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Sigmoid", {}, {x}, sixteen_bits(litert::wide_unit), rule),
              (Codes{1, 115, 4198, 8021, 16361, 16384, 17656, 24747, 28570, 32652, 32767}));
    EXPECT_EQ(run("Tanh", {}, {x}, sixteen_bits(litert::wide_unit), rule),
              (Codes{-32767, -32767, -31382, -26537, -91, 0, 5055, 26537, 31382, 32767, 32767}));
    EXPECT_EQ(run("Relu", {}, {z}, y, rule), (Codes{2754, 8263, 0, 19281, 30299, 32767}));
    EXPECT_EQ(run("LeakyRelu", {{"alpha", 0.3F}}, {negative}, y, rule),
              (Codes{-826, -2479, 13772, -5784, -9090, -32768}));
  }
}

TEST(LitertWideElementwise, SoftmaxAsLiteRT) {
  const Input x{{100, -3000, 2500, 2400, 32767, -32768, 32000, 31000}, sixteen_bits(0.0007F)};
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Softmax", {}, {x}, sixteen_bits(litert::wide_unit), rule),
              (Codes{1, 1, 1, 1, 17475, 1, 10215, 5073}));
  }
}

TEST(LitertWideElementwise, WindowsAsLiteRT) {
  const auto q = sixteen_bits(0.0005175254F);
  const Input image{{32767, -32768, 5, -6, 7, 32766, -32767, 100, -100}, q, {1, 1, 3, 3}};
  const std::vector<std::int64_t> two = {2, 2};
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("AveragePool", {{"kernel_shape", two}}, {image}, q, rule),
              (Codes{0, 3, -8167, 8193}));
    EXPECT_EQ(run("MaxPool", {{"kernel_shape", two}}, {image}, q, rule),
              (Codes{32767, 32766, 100, 32766}));
    EXPECT_EQ(run("Resize", {{"mode", std::string("linear")}}, {image}, q, rule, {{1, 1, 5, 4}}),
              (Codes{32767, -8192, -20478, 5,     19677, -4919, -7389,  13090,  26, -6,
                     12260, 32734, -19618, -7318, 4948,  13091, -32767, -12225, 25, -100}));
  }
}

TEST(LitertWideElementwise, ConversionsAsLiteRT) {
  const Input x{{-26, -32753, 0, 26, 15, 32767, -1}, sixteen_bits(0.012294451F)};
  const Input z{{-128, -7, 0, 5, 127}, bytes(0.05F, 5)};
  for (const auto rule : both_rules) {
    EXPECT_EQ(run("Identity", {}, {x}, sixteen_bits(0.21413578F), rule),
              (Codes{-2, -1881, 0, 2, 1, 1881, 0}));
    EXPECT_EQ(run("Identity", {}, {x}, bytes(1.1712018F, 5), rule),
              (Codes{5, -128, 5, 5, 5, 127, 5}));
    EXPECT_EQ(run("Identity", {}, {z}, sixteen_bits(0.0007F), rule),
              (Codes{-9500, -857, -357, 0, 8714}));
  }
}

/// Moves, poolings, a mean and overrides between two widths, of images and of matrices.
QuantizedGraph network(Rule rule) {
  ModelBuilder b(5);
  b.model.plan.rule = rule;
  const auto as = [&](ValueId value, const Quantization& q) {
    b.model.plan.values[value] = q;
    return value;
  };
  const std::vector<std::int64_t> three = {3, 3};
  const std::vector<std::int64_t> around = {1, 1, 1, 1};
  const auto x = as(b.input("x", {2, 5, 7, 6}), sixteen_bits(2e-4F));
  const auto pooled =
      as(b.node("MaxPool", {x}, {{"kernel_shape", three}, {"pads", around}}), sixteen_bits(2e-4F));
  const auto averaged = as(b.node("AveragePool", {x}, {{"kernel_shape", three}, {"pads", around}}),
                           sixteen_bits(3e-4F));
  const auto sum = as(b.node("Relu", {b.node("Add", {pooled, averaged})}), sixteen_bits(4e-4F));
  const auto joined =
      as(b.node("Concat", {sum, pooled}, {{"axis", std::int64_t{1}}}), sixteen_bits(4e-4F));
  const auto turned = as(b.node("Transpose", {joined}), sixteen_bits(4e-4F));
  const auto parts = b.split(turned, 3, {1, 1});
  as(parts[0], sixteen_bits(4e-4F));
  as(parts[1], sixteen_bits(5e-4F));
  const auto larger = as(b.node("Max", {parts[0], parts[1]}), sixteen_bits(5e-4F));
  const auto mean =
      as(b.node("ReduceMean", {larger, b.ints("axes", {0, 2})}, {{"keepdims", std::int64_t{0}}}),
         sixteen_bits(3e-4F));
  // An operator of 8 bits reads words, and one of 16 bits reads bytes.
  const auto small = as(b.node("Mul", {mean, mean}), bytes(4e-2F, -100));
  b.model.plan.overrides[{b.model.graph.producers()[index(small)], 0}] = bytes(5e-2F, -3);
  b.model.plan.overrides[{b.model.graph.producers()[index(small)], 1}] = bytes(4e-2F, 4);
  const auto last = as(b.node("Sub", {small, mean}), sixteen_bits(3e-4F));
  b.model.plan.overrides[{b.model.graph.producers()[index(last)], 0}] = sixteen_bits(2e-4F);
  b.output(last);
  return b.model;
}

TEST(LitertWideElementwise, SimulationEqualsIntegerEngine) {
  for (const auto rule : both_rules) {
    const auto model = network(rule);
    auto inferred = model;
    ASSERT_TRUE(infer_shapes(inferred.graph));
    const auto placements = place_nodes(inferred);
    ASSERT_TRUE(placements);
    int floating = 0;
    int wide = 0;
    for (const auto& placement : *placements) {
      floating += placement.role == Role::floating;
      wide += placement.role == Role::wide;
    }
    EXPECT_EQ(floating, 0);
    EXPECT_EQ(wide, 9);
    ModelBuilder random(4);
    expect_simulation_equals_integer(model, {random.random_tensor({2, 5, 7, 6}, -7, 7)});
  }
}

/// Params that LiteRT does not take, and operators that it lacks, stay float.
TEST(LitertWideElementwise, OthersStayFloat) {
  const auto role = [](const std::string& op, const Quantization& output, Rule rule) {
    ModelBuilder b;
    b.model.plan.rule = rule;
    const auto x = b.input("x", {2, 3});
    b.model.plan.values[x] = sixteen_bits(0.001F);
    const auto y = b.node(op, {x});
    b.model.plan.values[y] = output;
    b.output(y);
    EXPECT_TRUE(infer_shapes(b.model.graph));
    const auto placements = place_nodes(b.model);
    EXPECT_TRUE(placements);
    return placements->at(0).role;
  };
  EXPECT_EQ(role("Sigmoid", sixteen_bits(litert::wide_unit), Rule::tflite), Role::wide);
  EXPECT_EQ(role("Sigmoid", sixteen_bits(0.001F), Rule::tflite), Role::floating);
  EXPECT_EQ(role("Sigmoid", bytes(1.0F / 256, -128), Rule::tflite), Role::floating);
  EXPECT_EQ(role("HardSwish", sixteen_bits(0.001F), Rule::tflite), Role::floating);
  EXPECT_EQ(role("Relu", sixteen_bits(0.001F), Rule::onnx), Role::floating);
}

}  // namespace
}  // namespace octet::testing
